"""The filters of whole pictures once more, slow and obvious: what the fast ones are tested against.

As :mod:`filters.plain`: numpy in double precision, no OpenCV, no bands, no fixed point. Curves and
tables are shared with the fast version; the arithmetic on pixels is not.
"""

import numpy as np
import numpy.typing as npt

from filters.cube import Look
from filters.dither import Dither
from filters.image import BLACK_Y, NEUTRAL_CHROMA, Plane, YuvImage
from filters.stages import low_light
from filters.stages.look import STEP, tables_of

Array = npt.NDArray[np.float64]


def look_picture(image: YuvImage, look: Look, amount: float) -> YuvImage:
    """Do what :class:`filters.stages.look.Look` does, on a copy; sides are even."""
    greys, gains = tables_of(look)
    rows, columns = image.u.shape
    coarse = np.floor(image.y.reshape(rows, 2, columns, 2).mean(axis=(1, 3)) + 0.5).astype(int)
    place = ((coarse // STEP) * 64 + image.u // STEP) * 64 + image.v // STEP
    dy, du, dv = (gain.astype(np.float64)[place] * amount for gain in gains)
    luma = image.y + amount * greys.astype(np.float64)[image.y]
    luma += np.repeat(np.repeat(dy, 2, axis=0), 2, axis=1)
    return YuvImage(rounded(luma), rounded(image.u + du), rounded(image.v + dv))


def lift_picture(image: YuvImage, lift: float) -> YuvImage:
    """Do what :class:`filters.stages.low_light.LowLight` does after it has decided how much."""
    black, white = BLACK_Y, low_light.WHITE_Y
    tone = np.clip((image.y.astype(np.float64) - black) / (white - black), 0, 1)
    lifted = black + (white - black) * tone ** (1 / (1 + low_light.GAMMA * lift))
    outside = (image.y < black) | (image.y > white)
    gain = 1 + low_light.CHROMA_FOLLOWS * lift
    chroma = [
        np.clip(
            np.rint(NEUTRAL_CHROMA + (plane.astype(np.float64) - NEUTRAL_CHROMA) * gain), 0, 255
        )
        for plane in (image.u, image.v)
    ]
    luma = np.where(outside, image.y, np.rint(lifted))
    return YuvImage(*(plane.astype(np.uint8) for plane in (luma, *chroma)))


def lay_plane(plane: Plane, layer: Plane, codes: Plane, amount: float) -> Plane:
    """Do what :meth:`filters.compositing.Compositor.lay` does, on a copy."""
    rows, columns = plane.shape
    share = _resized(codes.astype(np.float64), rows, columns) / 255
    below = plane.astype(np.float64)
    above = rounded(below + (layer - below) * amount) if amount < 1 else layer
    blended: Plane = np.rint(below + (above - below) * share).astype(np.uint8)
    return blended


def blur_without_people(plane: Plane, weight: Array, window: int) -> Array:
    """A plane's weighted mean over a box, twice; what the background's blur is made of."""
    return _box(_box(plane * weight, window), window) / _box(_box(weight, window), window)


def rounded(values: Array) -> Plane:
    """Whole code values, dithered as the filters do."""
    pattern = Dither().pattern(0, 0, (values.shape[0], values.shape[1]))
    codes: Plane = np.clip(np.rint(values + pattern), 0, 255).astype(np.uint8)
    return codes


def _box(values: Array, window: int) -> Array:
    half = window // 2
    padded = np.pad(values, half, mode="reflect")
    rows, columns = values.shape
    return np.asarray(
        np.mean(
            [
                padded[dy : dy + rows, dx : dx + columns]
                for dy in range(window)
                for dx in range(window)
            ],
            axis=0,
        )
    )


def _resized(grid: Array, rows: int, columns: int) -> Array:
    """Bilinear, centres on centres; beyond the outermost centres values stay."""
    return _between(_between(grid, rows).T, columns).T


def _between(values: Array, count: int) -> Array:
    positions = np.clip((np.arange(count) + 0.5) * len(values) / count - 0.5, 0, len(values) - 1)
    lower = np.minimum(positions.astype(int), max(len(values) - 2, 0))
    upper = np.minimum(lower + 1, len(values) - 1)
    part = (positions - lower)[:, None]
    return np.asarray(values[lower] * (1 - part) + values[upper] * part)
