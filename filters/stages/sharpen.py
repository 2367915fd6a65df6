"""Crisper features: unsharp masking of luma, less on skin, whose grain it would coarsen."""

import cv2
import numpy as np

from filters.dither import Dither
from filters.image import YuvImage
from filters.region import FaceRegion, load_padded, scale_up
from filters.scratch import Scratch
from filters.stages.base import StrengthStage

GAIN = 1.1
# Part of the gain that skin gets.
ON_SKIN = 0.25


class Sharpen(StrengthStage):
    """Adds back to luma what a 3x3 Gaussian takes from it, inside the face."""

    name = "sharpen"
    parameters = ("sharpen",)

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._dither = Dither()

    def change(self, image: YuvImage, face: FaceRegion, strength: float) -> None:
        """Sharpen one face in place; reads and writes luma inside its rectangle only."""
        take = self._scratch.take
        target = face.crop(image.y)
        rounded = take("rounded", face.shape, np.uint8)
        load_padded(rounded, target)
        luma, blurred = (take(name, face.shape, np.float32) for name in ("luma", "blurred"))
        np.copyto(luma, rounded)
        cv2.GaussianBlur(luma, (3, 3), 0, dst=blurred)
        np.subtract(luma, blurred, out=blurred)
        gain = sharpening(face, strength)
        np.multiply(blurred, scale_up(gain, take("gain", face.shape, np.float32)), out=blurred)
        np.add(luma, blurred, out=luma)
        self._dither.round_into(rounded, luma, face.top, face.left)
        np.copyto(target, rounded[: target.shape[0], : target.shape[1]])


def sharpening(
    face: FaceRegion, strength: float
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """How much of the fine detail each cell gains."""
    on_skin = np.float32(1) - np.float32(1 - ON_SKIN) * face.skin
    return np.asarray(face.glow * on_skin * np.float32(GAIN * strength * face.weight), np.float32)
