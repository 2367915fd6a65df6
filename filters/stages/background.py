"""Blurs what is behind people, or lays a colour or a picture there.

The mask says coarsely where people are (``people.py``). The blur leaves them out, so that nobody
wears a halo of their own colours.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from filters.compositing import FULL, Compositor, Mask
from filters.dither import Dither
from filters.image import Plane, YuvImage
from filters.parameters import Parameters
from filters.people import PeopleWatch, PersonSegmenter
from filters.region import FaceRegion
from filters.scaling import shrink_into
from filters.scratch import Scratch
from filters.stages.base import FaceStage, Pace, strength_of

Weights = npt.NDArray[np.float32]

# Width of the blur in parts of the picture's height. It is made of cells of so many pixels, as
# coarse as its width allows, and made finer before it is rounded.
BLUR = (0.02, 0.09)
CELLS_PX, LEAST_CELLS = (8, 4), 3.0
ROUNDED_AT = 4
LEAST_BACKGROUND = 1e-3
# From this strength on the blur hides what was there; below, it is blended with it.
FULLY_BLURRED_AT = 0.3
# Y, Cb, Cr along the slider: grey, white, beige, sage, blue, black.
SHADES: Final = (
    *((126, 128, 128), (225, 128, 128), (190, 118, 134)),
    *((140, 118, 120), (110, 148, 116), (24, 128, 128)),
)


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
        self._watch = None if segmenter is None else PeopleWatch(segmenter)
        self._picture = picture
        self._scratch = Scratch()
        self._dither = Dither()
        self._compositor = Compositor()
        self._pace = Pace()

    def is_active(self, parameters: Parameters) -> bool:
        """Whether there is something to do and somebody to tell people from background."""
        return self._watch is not None and super().is_active(parameters)

    def keep_pace(self, pace: Pace) -> None:
        """Take what the next picture has time for."""
        self._pace = pace

    def apply(self, image: YuvImage, faces: Sequence[FaceRegion], parameters: Parameters) -> None:
        """Change the background in place."""
        del faces
        blur = strength_of(parameters, "background_blur")
        replace = strength_of(parameters, "background_replace")
        if self._watch is None or not (blur or replace):
            return
        pace = self._pace
        mask = self._watch.behind(
            image, times=pace.look_every, now=pace.is_new_scene, in_haste=pace.in_haste
        )
        if blur:
            self._lay_blurred(image, mask, blur)
        if replace:
            self._lay_shade(image, mask, strength_of(parameters, "background_shade"), replace)

    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Nothing: the background is not a face."""

    def _lay_blurred(self, image: YuvImage, mask: Mask, strength: float) -> None:
        amount = min(1.0, strength / FULLY_BLURRED_AT)
        width_px = (BLUR[0] + (BLUR[1] - BLUR[0]) * strength) * image.height_px
        cell_px = next((px for px in CELLS_PX if width_px >= LEAST_CELLS * px), CELLS_PX[-1])
        width = max(1.0, width_px / cell_px)
        shape = (max(1, image.height_px // cell_px), max(1, image.width_px // cell_px))
        weight = background_weight(mask, shape)
        spread = twice_blurred(weight, width)
        for plane in (image.y, image.u, image.v):
            cells = self._scratch.take("cells", shape, np.uint8)
            shrink_into(plane, cells)
            total = twice_blurred(np.multiply(cells, weight), width)
            layer = self._grown(np.divide(total, spread, out=total), plane)
            self._compositor.lay(plane, layer, mask, amount)

    def _grown(self, blurred: Weights, plane: Plane) -> Plane:
        """Spread blurred cells over a plane's pixels."""
        rows, columns = plane.shape
        fine = (max(1, rows // ROUNDED_AT), max(1, columns // ROUNDED_AT))
        if fine != blurred.shape:
            size = fine[::-1]
            blurred = np.asarray(
                cv2.resize(blurred, size, interpolation=cv2.INTER_LINEAR), np.float32
            )
        # Dithered while it is small: a blurred wall has gradients that would show steps.
        rounded = self._scratch.take("rounded", fine, np.uint8)
        self._dither.round_into(rounded, blurred, 0, 0)
        layer = self._scratch.take("layer", (rows, columns), np.uint8)
        cv2.resize(rounded, (columns, rows), dst=layer, interpolation=cv2.INTER_LINEAR)
        return layer

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


def shade(part: float) -> tuple[int, int, int]:
    """The colour at a place from 0 to 1 along the slider: Y, Cb, Cr."""
    places = np.linspace(0, 1, len(SHADES))
    y, cb, cr = (
        round(float(np.interp(part, places, column))) for column in zip(*SHADES, strict=True)
    )
    return y, cb, cr
