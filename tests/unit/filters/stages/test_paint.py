import numpy as np
import pytest

from filters import plain
from filters.canvas import Painter
from filters.parameters import Parameters
from filters.stages import STAGE_TYPES
from filters.stages.paint import PaintStage
from filters.stages.sharpen import Sharpen
from tests.filter_faces import face_at, grainy_image, planes, region_in

PAINT = [
    pytest.param(stage, name, id=name)
    for stage in STAGE_TYPES
    if issubclass(stage, PaintStage)
    for name in stage.parameters
]


def largest_difference(one, other) -> int:
    return max(
        int(np.abs(a.astype(int) - b).max())
        for a, b in zip(planes(one), planes(other), strict=True)
    )


@pytest.mark.parametrize("size_px", [30, 100, 260])
@pytest.mark.parametrize(("stage_type", "name"), PAINT)
def test_it_does_what_the_plain_version_does(stage_type, name, size_px):
    image, parameters = grainy_image(401, 303), Parameters(**{name: 80})
    region = region_in(image, face_at(210, 160, size_px, turn_deg=10, mouth=0.1), 0.9)
    slow = plain.paint_face(stage_type, image, region, parameters)
    fast = image.copy()
    stage_type().apply(fast, [region], parameters)
    assert largest_difference(fast, slow) <= plain.TOLERANCE


@pytest.mark.parametrize("size_px", [30, 100, 260])
def test_sharpening_does_what_the_plain_version_does(size_px):
    image = grainy_image(401, 303)
    region = region_in(image, face_at(210, 160, size_px), 0.9)
    fast = image.copy()
    Sharpen().change(fast, region, 0.7)
    assert largest_difference(fast, plain.sharpen_face(image, region, 0.7)) <= plain.TOLERANCE


def test_a_spot_is_one_at_its_centre_and_ends_without_a_corner():
    image = grainy_image(400, 300)
    region = region_in(image, face_at(200, 150, 200))
    canvas = Painter().begin(image, region)
    canvas.inside[:] = 1
    spot = canvas.spot(np.array([200, 150], np.float32), 0.2)
    middle = spot[(150 - region.top) // region.step]
    assert middle.max() == pytest.approx(1, abs=0.02)
    assert np.count_nonzero(middle) == pytest.approx(2 * 0.2 * region.size_px / region.step, abs=2)
    assert np.abs(np.diff(middle, 2)).max() < 0.1


def test_all_touches_together_are_put_on_the_picture_once():
    image = grainy_image(400, 300)
    region = region_in(image, face_at(200, 150, 200, mouth=0.1))
    for stage_type in {case.values[0] for case in PAINT}:
        canvas = Painter().begin(image, region)
        singles = []
        for name in stage_type.parameters:
            alone = Painter().begin(image, region)
            stage_type.paint(alone, Parameters(**{name: 50}))
            singles.append(alone.dy + alone.du + alone.dv)
        stage_type.paint(canvas, Parameters(**dict.fromkeys(stage_type.parameters, 50)))
        together = canvas.dy + canvas.du + canvas.dv
        assert np.allclose(together, sum(singles), atol=1e-3)
