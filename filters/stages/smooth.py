"""Evens out skin and keeps its grain: a guided filter on luma with part of the detail put back.

He, Sun: "Fast Guided Filter", arXiv 1505.00996 (the coefficients are found on a coarse grid and
applied to every pixel, so edges stay where they are). Ours: the threshold between texture and
edge follows the face itself, and how much of the result is used is solved for (``texture.py``), so
that every skin, size and camera loses the same part of its texture.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from filters import mesh
from filters.dither import Dither
from filters.image import BLACK_Y, YuvImage
from filters.masks import SHIFT, cell_corners
from filters.region import FaceRegion, Grid, Points, cell_means, load_padded, scale_up
from filters.scratch import Scratch
from filters.stages.base import StrengthStage
from filters.texture import COARSE_PX, TexturePatch, dose

# Half the filter's window in parts of the face's size: wider than a pore or spot, narrower than
# a nose. On small faces texture is as coarse as on large ones, so it is this wide at least.
RADIUS, LEAST_RADIUS_PX = 0.05, 5.0
# What counts as edge: local variance beyond this many times the face's median, or that of its
# quietest quarter, which hair and rims leave alone, whichever is less; within bounds for faces
# without texture and for faces that are all edges. The bounds are squared code values at a skin of
# mid luma: contrasts of the same skin in other light or tone grow with its luma, so they grow with
# its square. A camera's noise does not: it comes on top.
EDGE_PER_MEDIAN, EDGE_PER_QUARTER = 20.0, 60.0
EDGE_VARIANCE = (40.0, 700.0)
MID_Y = 128
NOISE_VARIANCE = 10.0
# Of the finest grain this part stays whatever the strength.
GRAIN_KEPT = 0.5
GRAIN_PX = 5
# What is left of the texture at full strength (standard deviation); half a slider does most of it:
# 1 - (1 - s) ** 2.
TEXTURE_LEFT = 0.43
SLIDER_EXPONENT = 2.0
# In the shade contrasts are smaller, so below this part of the light on the skin the threshold
# falls with the square of the local light, to a least share; otherwise dark hair and thin rims on
# dark ground would pass for texture.
SHADE_BELOW = 0.8
DARKEST_SHARE = 0.1
CLEARLY_SKIN = 0.9
# Texture is measured in the middle of cheeks and forehead: this part, at most so many pixels wide.
MIDDLE, PATCH_PX = 0.85, 96.0
# A face's texture stays what it is for a tenth of a second, and a steady dose does not flicker.
MEASURE_EVERY = 4


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

        slope, offset = self._coefficients(face, luma)

        # What to take away at most: slope * (luma without part of its grain) - offset.
        change = take("change", face.shape, np.float32)
        cv2.GaussianBlur(luma, (GRAIN_PX, GRAIN_PX), 0, dst=change)
        np.multiply(change, np.float32(GRAIN_KEPT), out=change)
        cv2.scaleAdd(luma, 1 - GRAIN_KEPT, change, dst=change)
        spread = take("spread", face.shape, np.float32)
        np.multiply(change, scale_up(slope, spread), out=change)
        np.subtract(change, scale_up(offset, spread), out=change)
        part = dose(_known_texture(face, luma, change, slope), texture_left(strength))
        cv2.scaleAdd(change, -part * face.weight, luma, dst=luma)
        self._dither.round_into(original, luma, face.top, face.left)
        np.copyto(target, original[: target.shape[0], : target.shape[1]])

    def _coefficients(self, face: FaceRegion, luma: Grid) -> tuple[Grid, Grid]:
        """Guided filter on the grid, the mask already worked in.

        Returns:
            Slope and offset per cell, such that ``slope * luma - offset`` is what could go.
        """
        take, shape = self._scratch.take, face.grid_shape
        squares = take("squares", face.shape, np.float32)
        np.multiply(luma, luma, out=squares)
        width = window(face)
        cells, mean, variance, slope, offset = (
            take(name, shape, np.float32) for name in ("cells", "mean", "variance", "slope", "off")
        )
        cell_means(luma, cells)
        cv2.blur(cells, (width, width), dst=mean)
        # Around each cell's own surroundings, not around the window's middle: the slope of light
        # over a cheek is neither texture nor edge.
        cell_means(squares, slope)
        np.subtract(slope, cells * cells, out=slope)
        np.subtract(cells, mean, out=cells)
        np.add(slope, np.multiply(cells, cells, out=cells), out=slope)
        np.maximum(cv2.blur(slope, (width, width), dst=variance), 0, out=variance)
        edge = edge_variances(mean, variance, face.skin)
        # 1 - a of the guided filter: how much of the detail is texture.
        texture = np.divide(edge, np.add(variance, edge, out=variance), out=variance)
        np.multiply(mean, texture, out=mean)
        cv2.blur(texture, (width, width), dst=slope)
        cv2.blur(mean, (width, width), dst=offset)
        return np.multiply(slope, face.skin, out=slope), np.multiply(offset, face.skin, out=offset)


def texture_left(strength: float) -> float:
    """What is left of the texture at a slider position from 0 to 1, in standard deviations."""
    return float(1 - (1 - TEXTURE_LEFT) * (1 - (1 - strength) ** SLIDER_EXPONENT))


def window(face: FaceRegion) -> int:
    """Side of the filter's window in cells, odd."""
    radius_px = max(RADIUS * face.size_px, LEAST_RADIUS_PX)
    return 2 * max(1, round(radius_px / face.step)) + 1


def _known_texture(
    face: FaceRegion, luma: Grid, change: Grid, slope: Grid
) -> Sequence[TexturePatch]:
    """As :func:`measure_texture`, now or a few pictures ago; it takes half of the stage's time."""
    memory = face.memory
    is_due = memory.patches_age >= MEASURE_EVERY and not face.in_haste
    if memory.patches is None or is_due:
        memory.patches, memory.patches_age = measure_texture(face, luma, change, slope), 0
    memory.patches_age += 1
    return memory.patches


def measure_texture(face: FaceRegion, luma: Grid, change: Grid, slope: Grid) -> list[TexturePatch]:
    """What a change does to the texture of cheeks and forehead; edges there count little.

    Args:
        face: Where the face is.
        luma: The pixels of its rectangle.
        change: What would be taken from them, same shape.
        slope: How much of a cell's detail is texture, on the face's grid.
    """
    patches, step = [], face.step
    rim = -(-COARSE_PX // 2 // step)
    for ring in (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK, mesh.BROAD_FOREHEAD):
        drawn = np.zeros(face.grid_shape, np.uint8)
        corners = cell_corners(face, shrunk(np.asarray(face.points)[ring]))
        cv2.fillPoly(drawn, [corners], (1,), cv2.LINE_8, SHIFT)
        left, top, columns, rows = cv2.boundingRect(drawn)
        if columns < 2 or rows < 2:  # turned away, or out of the picture
            continue
        # With a rim, for texture of a pixel is a matter of those around it.
        cells = tuple(
            slice(max(0, first - rim), min(limit, first + count + rim))
            for first, count, limit in zip((top, left), (rows, columns), drawn.shape, strict=True)
        )
        pixels = tuple(slice(side.start * step, side.stop * step) for side in cells)
        weight = np.empty(luma[pixels].shape, np.float32)
        scale_up(slope[cells] * drawn[cells], weight)
        patches.append(TexturePatch(luma[pixels], change[pixels], weight))
    return patches


def shrunk(area: Points) -> Points:
    """The middle of an area: clear of its borders, and not too large to be quick."""
    middle = area.mean(axis=0)
    size_px = float((area.max(axis=0) - area.min(axis=0))[:2].max())
    part = min(MIDDLE, PATCH_PX / max(size_px, 1.0))
    return np.asarray(middle + (area - middle) * np.float32(part), np.float32)


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
    edge = min(max(_texture_bound(variance[skin > CLEARLY_SKIN]), lowest), highest)
    light = mean * np.float32(1 / (SHADE_BELOW * on_skin))
    share = np.clip(np.multiply(light, light, out=light), DARKEST_SHARE, 1.0, out=light)
    np.multiply(share, np.float32(edge), out=share)
    return np.add(share, np.float32(NOISE_VARIANCE), out=share)


def _texture_bound(variances: Grid) -> float:
    """The largest variance that still is texture on a face with these."""
    if variances.size == 0:
        return 0.0
    quarter, middle = variances.size // 4, variances.size // 2
    ordered = np.partition(variances, (quarter, middle))
    return min(EDGE_PER_MEDIAN * float(ordered[middle]), EDGE_PER_QUARTER * float(ordered[quarter]))
