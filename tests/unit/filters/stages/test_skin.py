import math

import numpy as np
import pytest

from filters.image import YuvImage
from filters.parameters import Parameters
from filters.stages.skin import Skin
from tests.filter_faces import face_at, grainy_image, region_in


def forehead(tone: int, image: YuvImage) -> tuple[float, float]:
    """Cb and Cr from grey in the middle of a forehead."""
    face, result = face_at(320, 240, 260), image.copy()
    Skin().apply(result, [region_in(image, face)], Parameters(tone=tone))
    x, y = (int(v) // 2 for v in np.asarray(face.points())[9, :2])
    around = np.s_[y - 8 : y + 8, x - 8 : x + 8]
    return float(result.u[around].mean()) - 128, float(result.v[around].mean()) - 128


@pytest.mark.parametrize(("u", "v"), [(112, 148), (120, 153)])
def test_a_tan_is_more_colour_and_never_redder(u, v):
    image = grainy_image(640, 480)
    image.u[:], image.v[:] = u, v
    (bare_u, bare_v), (tanned_u, tanned_v) = forehead(0, image), forehead(-100, image)
    assert math.hypot(tanned_u, tanned_v) > 1.1 * math.hypot(bare_u, bare_v)
    assert tanned_v / -tanned_u < bare_v / -bare_u
