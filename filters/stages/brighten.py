"""Lifts the light on faces: the same step of lightness on every skin tone, without greying it.

Ours. Luma gets a curve that adds nearly the same amount between shadow and highlight and nothing
at black and white. It is looked up by the mean around a pixel, not by the pixel: the curve's slopes
would flatten the grain of light skin and coarsen that of dark skin. Chroma grows in proportion, for
adding luma alone turns dark skin grey.
"""

import cv2
import numpy as np
import numpy.typing as npt

from filters.dither import Dither
from filters.image import BLACK_Y, NEUTRAL_CHROMA, YuvImage
from filters.region import (
    FaceRegion,
    Grid,
    cell_means,
    load_padded,
    odd_cells,
    scale_up,
    smooth_step,
)
from filters.scratch import Scratch
from filters.stages.base import StrengthStage

WHITE_Y = 235
# Added at full strength, in luma code values: about 8 steps of CIE L*.
LIFT = 18.0
# Where the curve reaches its plateau, in parts of the range. Steeper than 1 / (1.5 * part) would
# reverse the order of tones.
SHADOW_PART, HIGHLIGHT_PART = 0.18, 0.2
# Part of the relative gain in luma that chroma follows, and the most it may gain.
CHROMA_FOLLOWS = 0.6
CHROMA_GAIN_LIMIT = 0.25
DARKEST_GAIN_BASE = 8.0
# The light around a place decides: the mean over this part of the face, wider than texture, which
# the curve's slopes would flatten on light skin and coarsen on dark skin. Texture is not finer on
# small faces, so it is this wide at least.
AROUND, LEAST_AROUND_PX = 0.09, 15

Curve = npt.NDArray[np.float32]


class Brighten(StrengthStage):
    """Brightens faces; fades over a wide border, so that the neck does not give it away."""

    name = "brighten"
    parameters = ("brighten",)

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._dither = Dither()
        # Both curves hold until the slider moves.
        self._lifted_by = 0.0
        self._lifts = lift_curve(0.0)
        self._gains = gain_curve(self._lifts)

    def change(self, image: YuvImage, face: FaceRegion, strength: float) -> None:
        """Brighten one face in place; reads and writes inside its rectangle only."""
        if strength != self._lifted_by:
            self._lifted_by, self._lifts = strength, lift_curve(strength)
            self._gains = gain_curve(self._lifts)
        target = face.crop(image.y)
        luma = self._scratch.take("luma", face.shape, np.uint8)
        load_padded(luma, target)
        self._colour(image, face, luma)
        self._light(face, luma)
        np.copyto(target, luma[: target.shape[0], : target.shape[1]])

    def _light(self, face: FaceRegion, luma: npt.NDArray[np.uint8]) -> None:
        take = self._scratch.take
        pixels, lift = (take(name, face.shape, np.float32) for name in ("pixels", "lift"))
        np.copyto(pixels, luma)
        cells = cell_means(pixels, take("cells", face.grid_shape, np.float32))
        width = window(face)
        cv2.blur(cells, (width, width), dst=cells)
        gained = lift_of(cells, self._lifted_by)
        gained *= face.glow * np.float32(face.weight)
        np.add(scale_up(gained, lift), pixels, out=lift)
        # What is lighter than its surroundings ends at white, unless it came in beyond.
        cv2.threshold(lift, WHITE_Y, 0, cv2.THRESH_TRUNC, dst=lift)
        cv2.max(lift, pixels, dst=lift)
        self._dither.round_into(luma, lift, face.top, face.left)

    def _colour(self, image: YuvImage, face: FaceRegion, luma: npt.NDArray[np.uint8]) -> None:
        take = self._scratch.take
        half = (face.height_px // 2, face.width_px // 2)
        coarse = take("coarse", half, np.uint8)
        cv2.resize(luma, half[::-1], dst=coarse, interpolation=cv2.INTER_AREA)
        gain = take("gain", half, np.float32)
        cv2.LUT(coarse, self._gains, dst=gain)
        np.multiply(gain, self._chroma_mask(face, half), out=gain)
        np.multiply(gain, np.float32(face.weight), out=gain)
        padded = take("padded", half, np.uint8)
        colour = take("colour", half, np.float32)
        for plane in (image.u, image.v):
            target = face.crop(plane, chroma=True)
            load_padded(padded, target)
            np.subtract(padded, np.float32(NEUTRAL_CHROMA), out=colour)
            np.multiply(colour, gain, out=colour)
            np.add(colour, padded, out=colour)
            self._dither.round_into(padded, colour, face.top // 2, face.left // 2)
            np.copyto(target, padded[: target.shape[0], : target.shape[1]])

    def _chroma_mask(self, face: FaceRegion, half: tuple[int, int]) -> Grid:
        mask = self._scratch.take("chroma mask", half, np.float32)
        if face.step == 1:
            cv2.resize(face.glow, half[::-1], dst=mask, interpolation=cv2.INTER_AREA)
            return mask
        return scale_up(face.glow, mask)


def window(face: FaceRegion) -> int:
    """Side of the square whose mean light decides, in cells, odd."""
    return max(odd_cells(AROUND, face), 2 * (LEAST_AROUND_PX // (2 * face.step)) + 1)


def lift_of(luma: Grid, strength: float) -> Grid:
    """What is added to these luma code values at a strength from 0 to 1; a new array."""
    tone = (luma - np.float32(BLACK_Y)) * np.float32(1 / (WHITE_Y - BLACK_Y))
    shape = smooth_step(tone * np.float32(1 / SHADOW_PART))
    shape *= smooth_step((1 - tone) * np.float32(1 / HIGHLIGHT_PART))
    return np.multiply(shape, np.float32(LIFT * strength), out=shape)


def lift_curve(strength: float) -> Curve:
    """What is added to each luma code value at a strength from 0 to 1, shape (256,)."""
    return lift_of(np.arange(256, dtype=np.float32), strength)


def gain_curve(lift: Curve) -> Curve:
    """Relative gain of chroma that belongs to a lift of luma, shape (256,)."""
    above_black = np.maximum(np.arange(256) - BLACK_Y, DARKEST_GAIN_BASE)
    gain = np.minimum(CHROMA_FOLLOWS * lift / above_black, CHROMA_GAIN_LIMIT)
    return np.asarray(gain, np.float32)
