"""Blurs what is behind people, or lays a colour or a picture there.

The segmentation says coarsely where people are; its mask is steadied over time, and the blur
leaves people out, so that nobody wears a halo of their own colours.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from filters.dither import Dither
from filters.image import Plane, YuvImage
from filters.parameters import Parameters
from filters.region import FaceRegion
from filters.scratch import Scratch
from filters.stages.base import FaceStage, strength_of

Mask = npt.NDArray[np.float32]

# One look of the net serves so many pictures.
LOOK_EVERY = 2
# Weight of the newest mask; half a second's trembling is averaged, a move is followed.
FOLLOWS = 0.6
# A mean change of the mask beyond this is a cut, and nothing of the old mask stays.
JUMP = 0.15
# Where a person begins and is certain: the net's own edge is soft.
EDGE = (0.35, 0.75)
# Blurred at this part of the size; width of the blur in parts of the picture's height.
SHRINK = 4
BLUR = (0.02, 0.09)
LEAST_BACKGROUND = 1e-3
# Worked on in bands that stay in the processor's cache; whole periods of the dither's pattern.
BAND_ROWS = 32
# Y, Cb, Cr along the slider: grey, white, beige, sage, blue, black.
SHADES: Final = (
    *((126, 128, 128), (225, 128, 128), (190, 118, 134)),
    *((140, 118, 120), (110, 148, 116), (24, 128, 128)),
)


class PersonSegmenter(Protocol):
    """Tells people from their background."""

    def segment(self, image: YuvImage) -> Mask:
        """How much of each part of the picture is a person, 0 to 1, of any shape."""


class Background(FaceStage):
    """What is not a person; people stay as they are. Without a segmenter it is never active."""

    name = "background"
    parameters = ("background_blur", "background_replace")
    needs_faces = False
    whole_picture = True

    def __init__(
        self, segmenter: PersonSegmenter | None = None, picture: YuvImage | None = None
    ) -> None:
        """Take over what is needed.

        Args:
            segmenter: The caller's to close.
            picture: Laid behind people instead of a colour, scaled to the size of the stream.
        """
        self._segmenter = segmenter
        self._picture = picture
        self._scratch = Scratch()
        self._dither = Dither()
        self._mask: Mask | None = None
        self._turn = 0

    def is_active(self, parameters: Parameters) -> bool:
        """Whether there is something to do and somebody to tell people from background."""
        return self._segmenter is not None and super().is_active(parameters)

    def apply(self, image: YuvImage, faces: Sequence[FaceRegion], parameters: Parameters) -> None:
        """Change the background in place."""
        del faces
        blur = strength_of(parameters, "background_blur")
        replace = strength_of(parameters, "background_replace")
        if self._segmenter is None or not (blur or replace):
            return
        behind = self._behind(image, self._segmenter)
        half = (image.u.shape[0], image.u.shape[1])
        behind_half = self._scratch.take("behind half", half, np.float32)
        cv2.resize(behind, half[::-1], dst=behind_half, interpolation=cv2.INTER_LINEAR)
        colour = shade(strength_of(parameters, "background_shade"))
        laid = self._picture
        others = (None, None, None) if laid is None else (laid.y, laid.u, laid.v)
        for plane, colour_of, other in zip(
            (image.y, image.u, image.v), colour, others, strict=True
        ):
            mask = behind if plane is image.y else behind_half
            if blur:
                self._mix(plane, self._blurred(plane, behind, blur), mask, 1 - (1 - blur) ** 2)
            if replace:
                self._mix(plane, _fitted(other, plane.shape, colour_of), mask, replace)

    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Nothing: the background is not a face."""

    def _behind(self, image: YuvImage, segmenter: PersonSegmenter) -> Mask:
        """How much of each pixel is background, 0 to 1, steadied; shape of luma."""
        if self._mask is None or self._turn % LOOK_EVERY == 0:
            newest = segmenter.segment(image)
            if self._mask is None or _is_another_scene(self._mask, newest):
                self._mask = newest.astype(np.float32)
            else:
                self._mask += np.float32(FOLLOWS) * (newest - self._mask)
        self._turn += 1
        certain = np.clip((self._mask - EDGE[0]) / (EDGE[1] - EDGE[0]), 0, 1)
        behind = 1 - certain * certain * (3 - 2 * certain)
        target = self._scratch.take("behind", (image.height_px, image.width_px), np.float32)
        size = (image.width_px, image.height_px)
        cv2.resize(behind.astype(np.float32), size, dst=target, interpolation=cv2.INTER_LINEAR)
        return target

    def _blurred(self, plane: Plane, behind: Mask, strength: float) -> Mask:
        """The plane without its people, blurred."""
        rows, columns = (max(1, side // SHRINK) for side in plane.shape)
        size = (columns, rows)
        halved = np.ascontiguousarray(plane)
        if min(plane.shape) >= SHRINK:  # halving is quick, other factors are not
            half = (plane.shape[1] // 2, plane.shape[0] // 2)
            halved = np.asarray(cv2.resize(halved, half, interpolation=cv2.INTER_AREA), np.uint8)
        small = cv2.resize(halved, size, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(behind, size, interpolation=cv2.INTER_LINEAR)
        weight = weight + np.float32(LEAST_BACKGROUND)
        width = BLUR[0] + (BLUR[1] - BLUR[0]) * strength
        window = 2 * max(1, round(width * rows / 2)) + 1
        total = small.astype(np.float32) * weight
        for _ in range(2):
            total = cv2.blur(total, (window, window))
            weight = cv2.blur(weight, (window, window))
        target = self._scratch.take("blurred", (plane.shape[0], plane.shape[1]), np.float32)
        size = (plane.shape[1], plane.shape[0])
        cv2.resize(np.divide(total, weight), size, dst=target, interpolation=cv2.INTER_LINEAR)
        return target

    def _mix(self, plane: Plane, other: Mask, behind: Mask, amount: float) -> None:
        columns = plane.shape[1]
        for top in range(0, plane.shape[0], BAND_ROWS):
            band = slice(top, min(top + BAND_ROWS, plane.shape[0]))
            shape = (band.stop - band.start, columns)
            share = self._scratch.take("share", shape, np.float32)
            np.multiply(behind[band], np.float32(amount), out=share)
            change = self._scratch.take("change", shape, np.float32)
            pixels = self._scratch.take("pixels", shape, np.float32)
            np.copyto(pixels, plane[band])
            cv2.subtract(other[band], pixels, dst=change)
            cv2.multiply(change, share, dst=change)
            cv2.add(change, pixels, dst=change)
            rounded = self._scratch.take("rounded", shape, np.uint8)
            self._dither.round_into(rounded, change, top, 0)
            np.copyto(plane[band], rounded)


def _is_another_scene(mask: Mask, newest: Mask) -> bool:
    return mask.shape != newest.shape or float(np.abs(newest - mask).mean()) > JUMP


def shade(part: float) -> tuple[int, int, int]:
    """The colour at a place from 0 to 1 along the slider: Y, Cb, Cr."""
    places = np.linspace(0, 1, len(SHADES))
    y, cb, cr = (
        round(float(np.interp(part, places, column))) for column in zip(*SHADES, strict=True)
    )
    return y, cb, cr


def _fitted(other: Plane | None, shape: tuple[int, ...], colour: int) -> Mask:
    if other is None:
        return np.full(shape, colour, np.float32)
    size = (shape[1], shape[0])
    scaled = cv2.resize(np.ascontiguousarray(other), size, interpolation=cv2.INTER_AREA)
    return np.asarray(scaled, np.float32)
