"""Blurs what is behind people, or lays a colour or a picture there.

The segmentation says coarsely where people are; its mask is steadied over time, and the blur
leaves people out, so that nobody wears a halo of their own colours.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from filters.compositing import FULL, Compositor, Mask
from filters.dither import Dither
from filters.image import Plane, YuvImage
from filters.parameters import Parameters
from filters.region import FaceRegion, smooth_step
from filters.scaling import shrink_into
from filters.scratch import Scratch
from filters.stages.base import FaceStage, strength_of

People = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float32]

# One look of the net serves so many pictures.
LOOK_EVERY = 2
# Weight of the newest mask; half a second's trembling is averaged, a move is followed.
FOLLOWS = 0.6
# A mean change of the mask beyond this is a cut, and nothing of the old mask stays.
JUMP = 0.15
# Where a person begins and is certain: the net's own edge is soft.
EDGE = (0.5, 0.9)
# Blurred at this part of the size; width of the blur in parts of the picture's height.
SHRINK = 4
BLUR = (0.02, 0.09)
LEAST_BACKGROUND = 1e-3
# From this strength on the blur hides what was there; below, it is blended with it.
FULLY_BLURRED_AT = 0.3
# Y, Cb, Cr along the slider: grey, white, beige, sage, blue, black.
SHADES: Final = (
    *((126, 128, 128), (225, 128, 128), (190, 118, 134)),
    *((140, 118, 120), (110, 148, 116), (24, 128, 128)),
)


class PersonSegmenter(Protocol):
    """Tells people from their background."""

    def segment(self, image: YuvImage) -> People:
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
        self._compositor = Compositor()
        # How much of each cell is a person, and the mask that was made of it.
        self._people: People | None = None
        self._mask = Mask(np.zeros((1, 1), np.uint8))
        self._turn = 0
        self._look_every = LOOK_EVERY

    def is_active(self, parameters: Parameters) -> bool:
        """Whether there is something to do and somebody to tell people from background."""
        return self._segmenter is not None and super().is_active(parameters)

    def look_less_often(self, times: int) -> None:
        """Let one mask serve ``times`` as many pictures as usual."""
        self._look_every = LOOK_EVERY * times

    def apply(self, image: YuvImage, faces: Sequence[FaceRegion], parameters: Parameters) -> None:
        """Change the background in place."""
        del faces
        blur = strength_of(parameters, "background_blur")
        replace = strength_of(parameters, "background_replace")
        if self._segmenter is None or not (blur or replace):
            return
        mask = self._behind(image, self._segmenter)
        if blur:
            self._lay_blurred(image, mask, blur)
        if replace:
            self._lay_shade(image, mask, strength_of(parameters, "background_shade"), replace)

    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Nothing: the background is not a face."""

    def _behind(self, image: YuvImage, segmenter: PersonSegmenter) -> Mask:
        """How much of each part of the picture is background, steadied."""
        if self._people is None or self._turn % self._look_every == 0:
            newest = segmenter.segment(image)
            if self._people is None or _is_another_scene(self._people, newest):
                self._people = newest.astype(np.float32)
            else:
                self._people += np.float32(FOLLOWS) * (newest - self._people)
            self._mask = behind(self._people)
        self._turn += 1
        return self._mask

    def _lay_blurred(self, image: YuvImage, mask: Mask, strength: float) -> None:
        amount = min(1.0, strength / FULLY_BLURRED_AT)
        luma = self._blurred((image.y,), mask, strength, "y")
        chroma = self._blurred((image.u, image.v), mask, strength, "uv")
        for plane, layer in zip((image.y, image.u, image.v), luma + chroma, strict=True):
            self._compositor.lay(plane, layer, mask, amount)

    def _lay_shade(self, image: YuvImage, mask: Mask, place: float, amount: float) -> None:
        planes = (image.y, image.u, image.v)
        laid = self._picture
        for name, plane, colour in zip("yuv", planes, shade(place), strict=True):
            layer = self._scratch.take("layer", (plane.shape[0], plane.shape[1]), np.uint8)
            if laid is None:
                layer.fill(colour)
            else:
                shrink_into(getattr(laid, name), layer)
            self._compositor.lay(plane, layer, mask, amount)

    def _blurred(
        self, planes: tuple[Plane, ...], mask: Mask, strength: float, name: str
    ) -> list[Plane]:
        """Planes of one size without their people, blurred."""
        rows, columns = planes[0].shape
        small = (max(1, rows // SHRINK), max(1, columns // SHRINK))
        weight = background_weight(mask, small)
        width = max(1.0, (BLUR[0] + (BLUR[1] - BLUR[0]) * strength) * small[0])
        spread = twice_blurred(weight, width)
        layers = []
        for number, plane in enumerate(planes):
            pixels = self._scratch.take("small", small, np.uint8)
            shrink_into(plane, pixels)
            total = twice_blurred(np.multiply(pixels, weight), width)
            # Dithered while it is small: a blurred wall has gradients that would show steps.
            self._dither.round_into(pixels, np.divide(total, spread, out=total), 0, 0)
            layer = self._scratch.take(f"{name} {number}", (rows, columns), np.uint8)
            cv2.resize(pixels, (columns, rows), dst=layer, interpolation=cv2.INTER_LINEAR)
            layers.append(layer)
        return layers


def behind(people: People) -> Mask:
    """Where the background is, from how much of each cell is a person."""
    certain = smooth_step((people - np.float32(EDGE[0])) * np.float32(1 / (EDGE[1] - EDGE[0])))
    return Mask(np.rint((1 - certain) * FULL).astype(np.uint8))


def background_weight(mask: Mask, shape: tuple[int, int]) -> Weights:
    """How much each pixel of a small picture counts as background: a little even people do."""
    codes = cv2.resize(mask.codes, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.multiply(codes, np.float32(1 / FULL), dtype=np.float32) + np.float32(LEAST_BACKGROUND)


def twice_blurred(values: Weights, width: float) -> Weights:
    """After two box blurs of any width from 1 on: between whole widths, a mix; a new array."""
    narrow = 2 * int((width - 1) / 2) + 1
    once = cv2.blur(values, (narrow, narrow))
    twice, wider = (np.asarray(cv2.blur(once, (w, w)), np.float32) for w in (narrow, narrow + 2))
    wider -= twice
    wider *= np.float32((width - narrow) / 2)
    return np.add(twice, wider, out=wider)


def _is_another_scene(people: People, newest: People) -> bool:
    return people.shape != newest.shape or float(np.abs(newest - people).mean()) > JUMP


def shade(part: float) -> tuple[int, int, int]:
    """The colour at a place from 0 to 1 along the slider: Y, Cb, Cr."""
    places = np.linspace(0, 1, len(SHADES))
    y, cb, cr = (
        round(float(np.interp(part, places, column))) for column in zip(*SHADES, strict=True)
    )
    return y, cb, cr
