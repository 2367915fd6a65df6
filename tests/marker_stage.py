"""A front stage that paints a known pattern, and the eye that finds it again.

Whatever leaves the worker must carry it; whatever carries it cannot be the host's own picture.
"""

import numpy as np

from filters.image import Plane, YuvImage

SIDE_PX = 64
BLOCK_PX = 16
DARK, BRIGHT = 50, 205
# No row or column repeats another, so neither stripes nor a checked shirt look like it.
PATTERN = np.array([[1, 0, 0, 1], [0, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 0]], bool)
_PIXELS = np.kron(PATTERN, np.ones((BLOCK_PX, BLOCK_PX), bool))


def paint(image: YuvImage) -> None:
    """Paint the pattern into the top left corner, grey."""
    image.y[:SIDE_PX, :SIDE_PX] = np.where(_PIXELS, BRIGHT, DARK)
    image.u[: SIDE_PX // 2, : SIDE_PX // 2] = 128
    image.v[: SIDE_PX // 2, : SIDE_PX // 2] = 128


def is_marked(luma: Plane) -> bool:
    """Whether every block of the pattern is there, as well as encoders leave it."""
    if min(luma.shape) < SIDE_PX:
        return False
    corner = luma[:SIDE_PX, :SIDE_PX].astype(np.float64)
    blocks = corner.reshape(4, BLOCK_PX, 4, BLOCK_PX)[:, 4:12, :, 4:12].mean(axis=(1, 3))
    return bool((np.abs(blocks - np.where(PATTERN, BRIGHT, DARK)) < 40).all())


def open_marker():
    """Make the front stage; named in ``ProcessingConfig.extra_stages``."""
    return paint
