"""Evens out skin and keeps its grain: a guided filter on luma with part of the detail put back.

He, Sun: "Fast Guided Filter", arXiv 1505.00996 (the coefficients are found on a coarse grid and
applied to every pixel, so edges stay where they are). Ours: the threshold between texture and
edge follows the face itself, so that every skin and every camera is smoothed alike.
"""

import cv2
import numpy as np

from filters.dither import Dither
from filters.image import BLACK_Y, YuvImage
from filters.region import FaceRegion, Grid, cell_means, load_padded, scale_up
from filters.scratch import Scratch
from filters.stages.base import StrengthStage

# Half the filter's window in parts of the face's size: wider than a pore or spot, narrower than
# a nose.
RADIUS = 0.05
# What counts as edge: local variance beyond this many times the face's median, within bounds
# for faces without texture and for faces that are all edges. The bounds are squared code values
# at a skin of mid luma; contrasts of the same skin in other light or tone grow with its luma, so
# the bounds grow with its square. A camera's noise does not: it comes on top.
EDGE_PER_TEXTURE = 16.0
EDGE_VARIANCE = (40.0, 320.0)
MID_Y = 128
NOISE_VARIANCE = 10.0
# At full strength this part of the detail goes, and of the finest grain this part stays.
DETAIL_REMOVED = 0.87
GRAIN_KEPT = 0.35
# In the shade contrasts are smaller, so below this part of the light on the skin the threshold
# falls with the square of the local light, to a least share; otherwise dark hair and thin rims on
# dark ground would pass for texture.
SHADE_BELOW = 0.8
DARKEST_SHARE = 0.1
# Bends the slider so that its middle already shows: 1 - (1 - s) ** 1.7.
SLIDER_EXPONENT = 1.7
CLEARLY_SKIN = 0.9


class Smooth(StrengthStage):
    """Smooths the skin of faces; eyes, brows, lips, nostrils and edges stay. Luma only."""

    name = "smooth"
    parameters = ("smooth",)

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._dither = Dither()

    def change(self, image: YuvImage, face: FaceRegion, strength: float) -> None:
        """Smooth one face in place; reads and writes luma inside its rectangle only."""
        take = self._scratch.take
        target = face.crop(image.y)
        original = take("original", face.shape, np.uint8)
        load_padded(original, target)
        luma = take("luma", face.shape, np.float32)
        np.copyto(luma, original)

        slope, offset = self._coefficients(face, luma, amount(strength) * face.weight)

        # What to take away: slope * (luma without part of its grain) - offset.
        grainless = take("grainless", face.shape, np.float32)
        cv2.GaussianBlur(luma, (3, 3), 0, dst=grainless)
        np.multiply(grainless, np.float32(GRAIN_KEPT), out=grainless)
        cv2.scaleAdd(luma, 1 - GRAIN_KEPT, grainless, dst=grainless)
        spread = take("spread", face.shape, np.float32)
        np.multiply(grainless, scale_up(slope, spread), out=grainless)
        np.subtract(luma, grainless, out=luma)
        np.add(luma, scale_up(offset, spread), out=luma)
        self._dither.round_into(original, luma, face.top, face.left)
        np.copyto(target, original[: target.shape[0], : target.shape[1]])

    def _coefficients(self, face: FaceRegion, luma: Grid, share: float) -> tuple[Grid, Grid]:
        """Guided filter on the grid, mask and strength already worked in.

        Returns:
            Slope and offset per cell, such that ``slope * luma - offset`` is what goes.
        """
        take, shape = self._scratch.take, face.grid_shape
        cells, squares = take("cells", shape, np.float32), take("squares", face.shape, np.float32)
        np.multiply(luma, luma, out=squares)
        width = 2 * max(1, round(RADIUS * face.size_px / face.step)) + 1
        mean, variance, slope, offset = (
            take(name, shape, np.float32) for name in ("mean", "variance", "slope", "offset")
        )
        for pixels, windows in ((luma, mean), (squares, variance)):
            cell_means(pixels, cells)
            cv2.blur(cells, (width, width), dst=windows)
        np.subtract(variance, mean * mean, out=variance)
        np.maximum(variance, 0, out=variance)
        edge = edge_variances(mean, variance, face.skin)
        # 1 - a of the guided filter: how much of the detail is texture.
        texture = np.divide(edge, np.add(variance, edge, out=variance), out=variance)
        np.multiply(mean, texture, out=mean)
        cv2.blur(texture, (width, width), dst=slope)
        cv2.blur(mean, (width, width), dst=offset)
        share_of_skin = face.skin * np.float32(share)
        return np.multiply(slope, share_of_skin, out=slope), np.multiply(
            offset, share_of_skin, out=offset
        )


def amount(strength: float) -> float:
    """Part of the detail that goes at a slider position from 0 to 1."""
    return float(DETAIL_REMOVED * (1 - (1 - strength) ** SLIDER_EXPONENT))


def edge_variances(mean: Grid, variance: Grid, skin: Grid) -> Grid:
    """The variance at which half the detail is kept, for each cell in its own light.

    Args:
        mean: Mean luma around each cell.
        variance: Variance of luma around each cell.
        skin: The mask, same shape.
    """
    on_skin = max(float(np.vdot(mean, skin)) / max(float(skin.sum()), 1e-3), BLACK_Y + 1.0)
    contrast = ((on_skin - BLACK_Y) / (MID_Y - BLACK_Y)) ** 2
    lowest, highest = (bound * contrast for bound in EDGE_VARIANCE)
    edge = min(max(EDGE_PER_TEXTURE * _median(variance[skin > CLEARLY_SKIN]), lowest), highest)
    light = mean * np.float32(1 / (SHADE_BELOW * on_skin))
    share = np.clip(np.multiply(light, light, out=light), DARKEST_SHARE, 1.0, out=light)
    np.multiply(share, np.float32(edge), out=share)
    return np.add(share, np.float32(NOISE_VARIANCE), out=share)


def _median(values: Grid) -> float:
    if values.size == 0:
        return 0.0
    middle = values.size // 2
    return float(np.partition(values, middle)[middle])
