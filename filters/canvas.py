"""A face in coarse cells, to paint on: most of what beauty does has no fine detail.

Touches (tone, blush, lipstick...) add to three grids what each plane shall gain; the grids are
spread over the pixels once for all of them. The pixels' own detail stays, since it is only added
to.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from filters.dither import Dither
from filters.facial_data import FacialData
from filters.image import BLACK_Y, NEUTRAL_CHROMA, Plane, YuvImage
from filters.masks import cell_corners
from filters.region import (
    FaceRegion,
    Grid,
    Points,
    cell_means,
    load_padded,
    odd_cells,
    scale_up,
)
from filters.scratch import Scratch

# Sub-pixel bits of the polygon filler, as in masks.
SHIFT = 4
FULL = 255
# Paint ends where the glow mask does, with a short slope instead of its long one.
INSIDE_STEEPNESS = 6.0
# Effects follow the light on the face: what is right at this luma is less in the dark.
MID_Y = 128.0
# Skin of all tones is at least this far from grey at mid light, unless a camera or a look took
# the picture's colour.
COLOURED_SKIN = 12.0


class Canvas(FacialData):
    """What one face looks like per cell, and what it shall gain.

    Attributes:
        face: Where it is.
        y: Mean luma per cell, float32, shape ``face.grid_shape``.
        u: Mean Cb per cell.
        v: Mean Cr per cell.
        dy: What luma shall gain, code values; touches add to it.
        du: The same for Cb.
        dv: The same for Cr.
        inside: 0 to 1: where paint may be at all.
    """

    __slots__ = ("_share", "du", "dv", "dy", "face", "inside", "u", "v", "y")

    def __init__(self, face: FaceRegion, y: Grid, u: Grid, v: Grid) -> None:
        self.face, self.y, self.u, self.v = face, y, u, v
        self.dy, self.du, self.dv = (np.zeros_like(y) for _ in range(3))
        glow = np.maximum(face.glow, face.skin)
        self.inside = np.minimum(glow * np.float32(INSIDE_STEEPNESS), np.float32(1))
        self._share: Grid | None = None

    def on_skin(self, grid: Grid) -> float:
        """Mean of a grid over the skin."""
        if self._share is None:
            skin = self.face.skin
            self._share = skin * np.float32(1 / max(float(skin.sum()), 1e-3))
        return float(np.vdot(grid, self._share))

    def light(self) -> float:
        """Light on the skin, 1 at mid luma: contrasts and colours of a face go with it."""
        above_black = (self.on_skin(self.y) - BLACK_Y) / (MID_Y - BLACK_Y)
        return float(min(max(above_black, 0.15), 1.4))

    def colour(self) -> float:
        """How much of its colour the picture has: 1 as usual, 0 in black and white."""
        u, v = (self.on_skin(plane) - NEUTRAL_CHROMA for plane in (self.u, self.v))
        return min(math.hypot(u, v) / (COLOURED_SKIN * self.light()), 1.0)

    def cells(self, part_of_face: float) -> int:
        """The odd number of cells nearest to a length in parts of the face's size."""
        return odd_cells(part_of_face, self.face)

    def blurred(self, grid: Grid, part_of_face: float) -> Grid:
        """A grid after two box blurs of this width in parts of the face's size."""
        width = self.cells(part_of_face)
        once = cv2.blur(grid, (width, width))
        return np.asarray(cv2.blur(once, (width, width)), np.float32)

    def mask(
        self,
        polygons: Sequence[Points],
        softness: float,
        *,
        without: Sequence[Points] = (),
        thickness: float = 0.0,
    ) -> Grid:
        """Fill polygons, or draw lines, with soft borders; 0 to 1 per cell.

        Args:
            polygons: Points in pixels, shape (N, 2 or 3), one array each.
            softness: Width of the border in parts of the face's size.
            without: Polygons to cut out again.
            thickness: 0 fills; else the polygons are open lines of this width in parts of the
                face's size.
        """
        drawn = np.zeros(self.y.shape, np.uint8)
        for polygon in polygons:
            corners = cell_corners(self.face, polygon)
            if thickness:
                width = max(1, round(thickness * self.face.size_px / self.face.step))
                cv2.polylines(drawn, [corners], False, (FULL,), width, cv2.LINE_AA, SHIFT)
            else:
                cv2.fillPoly(drawn, [corners], (FULL,), cv2.LINE_AA, SHIFT)
        for polygon in without:
            cv2.fillPoly(drawn, [cell_corners(self.face, polygon)], (0,), cv2.LINE_AA, SHIFT)
        soft = drawn.astype(np.float32)
        soft *= np.float32(1 / FULL)
        return np.multiply(self.blurred(soft, softness), self.inside)

    def spot(self, centre: Points, radius: float) -> Grid:
        """A soft round spot: 1 at its centre, 0 with no slope at its radius.

        Args:
            centre: In pixels, shape (2 or 3,).
            radius: In parts of the face's size.
        """
        rows, columns = self.y.shape
        step = self.face.step
        reach = max(radius * self.face.size_px, 1.0)
        x = ((np.arange(columns) + 0.5) * step + self.face.left - float(centre[0])) / reach
        y = ((np.arange(rows) + 0.5) * step + self.face.top - float(centre[1])) / reach
        falling = np.maximum(1 - (x[None, :] ** 2 + y[:, None] ** 2), 0)
        return np.multiply((falling * falling).astype(np.float32), self.inside)


class Painter:
    """Reads canvases off pictures and puts them back; owns the memory for both."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._dither = Dither()

    def begin(self, image: YuvImage, face: FaceRegion) -> Canvas:
        """Average the face's pixels per cell; the picture is only read."""
        shape = face.grid_shape
        y, u, v = (self._scratch.take(name, shape, np.float32) for name in "yuv")
        self._sample(image.y, face, y, chroma=False)
        self._sample(image.u, face, u, chroma=True)
        self._sample(image.v, face, v, chroma=True)
        return Canvas(face, y, u, v)

    def finish(self, image: YuvImage, canvas: Canvas) -> None:
        """Add what the canvas gained to the picture, in place, inside the face's rectangle."""
        face = canvas.face
        for plane, gain, chroma in (
            (image.y, canvas.dy, False),
            (image.u, canvas.du, True),
            (image.v, canvas.dv, True),
        ):
            if gain.any():
                self._add(plane, face, gain * np.float32(face.weight), chroma=chroma)

    def _sample(self, plane: Plane, face: FaceRegion, target: Grid, *, chroma: bool) -> None:
        pixels = self._pixels(plane, face, chroma=chroma)
        if pixels.shape[0] < target.shape[0]:  # chroma of a face so small that a cell is a pixel
            size = (target.shape[1], target.shape[0])
            cv2.resize(pixels, size, dst=target, interpolation=cv2.INTER_LINEAR)
        else:
            cell_means(pixels, target)

    def _add(self, plane: Plane, face: FaceRegion, gain: Grid, *, chroma: bool) -> None:
        pixels = self._pixels(plane, face, chroma=chroma)
        spread = self._scratch.take("spread", pixels.shape, np.float32)
        if pixels.shape[0] < gain.shape[0]:
            cell_means(gain, spread)
        else:
            scale_up(gain, spread)
        np.add(pixels, spread, out=spread)
        scale = 2 if chroma else 1
        rounded = self._scratch.take("rounded", pixels.shape, np.uint8)
        self._dither.round_into(rounded, spread, face.top // scale, face.left // scale)
        target = face.crop(plane, chroma=chroma)
        np.copyto(target, rounded[: target.shape[0], : target.shape[1]])

    def _pixels(self, plane: Plane, face: FaceRegion, *, chroma: bool) -> Grid:
        scale = 2 if chroma else 1
        shape = (face.height_px // scale, face.width_px // scale)
        padded = self._scratch.take("padded", shape, np.uint8)
        load_padded(padded, face.crop(plane, chroma=chroma))
        pixels = self._scratch.take("pixels", shape, np.float32)
        np.copyto(pixels, padded)
        return pixels
