"""Colours the whole picture with a look, without leaving YUV.

What greys become is a curve on every luma pixel. What colour adds is looked up once per chroma
pixel in a table of 64 steps a side, which is made from the look's RGB function when it is chosen.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from filters.cube import Look as LookFunction
from filters.dither import Dither
from filters.image import BLACK_Y, NEUTRAL_CHROMA, Plane, YuvImage
from filters.looks import LOOKS
from filters.parameters import MAXIMUM, Parameters
from filters.region import FaceRegion
from filters.scratch import Scratch
from filters.stages.base import FaceStage, strength_of

STEP = 4
SIDE = 256 // STEP
# Luma is worked on in bands that stay in the processor's cache.
BAND_ROWS = 32
Table = npt.NDArray[np.float32]


class Look(FaceStage):
    """One look over the whole picture, as much of it as its amount says."""

    name = "look"
    parameters = ("look_amount",)
    needs_faces = False
    whole_picture = True

    def __init__(self, custom: LookFunction | None = None) -> None:
        """Take the built-in looks.

        Args:
            custom: Used instead of them, whatever the parameter ``look`` says; a
                :class:`filters.cube.Cube`, for one.
        """
        self._custom = custom
        self._scratch = Scratch()
        self._dither = Dither()
        self._chosen: str | None = None
        self._greys = np.zeros(256, np.float32)
        self._tables: tuple[Table, Table, Table] = (self._greys, self._greys, self._greys)

    def apply(self, image: YuvImage, faces: Sequence[FaceRegion], parameters: Parameters) -> None:
        """Colour the picture in place; faces do not matter."""
        del faces
        amount = strength_of(parameters, "look_amount")
        if amount <= 0:
            return
        self._choose(look_name(parameters))
        shape = image.u.shape
        places = self._places(image, shape)
        gains = []
        for name, table in zip("yuv", self._tables, strict=True):
            gain = self._scratch.take(f"gain {name}", shape, np.float32)
            np.take(table, places, out=gain, mode="clip")
            gain *= np.float32(amount)
            gains.append(gain)
        for plane, gain in ((image.u, gains[1]), (image.v, gains[2])):
            np.add(gain, plane, out=gain)
            self._round(plane, gain)
        self._light(image.y, gains[0], amount)

    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Nothing: a look is not about faces."""

    def _choose(self, name: str) -> None:
        if name != self._chosen:
            self._greys, self._tables = tables_of(self._custom or LOOKS[name])
            self._chosen = name

    def _places(self, image: YuvImage, shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
        """Number of the table's entry for each chroma pixel."""
        coarse = cv2.resize(
            np.ascontiguousarray(image.y), shape[::-1], interpolation=cv2.INTER_AREA
        )
        places = self._scratch.take("places", (shape[0], shape[1]), np.int32)
        np.copyto(places, coarse // STEP)
        for plane in (image.u, image.v):
            places *= SIDE
            places += plane // STEP
        return places

    def _light(self, luma: Plane, gain: Table, amount: float) -> None:
        rows, columns = luma.shape
        curve = np.arange(256, dtype=np.float32) + np.float32(amount) * self._greys
        for top in range(0, rows, BAND_ROWS):
            band = slice(top, min(top + BAND_ROWS, rows))
            shape = (band.stop - band.start, columns)
            curved = self._scratch.take("curved", shape, np.float32)
            cv2.LUT(np.ascontiguousarray(luma[band]), curve, dst=curved)
            spread = self._scratch.take("spread", shape, np.float32)
            colours = gain[top // 2 : (band.stop + 1) // 2]
            cv2.resize(colours, shape[::-1], dst=spread, interpolation=cv2.INTER_NEAREST)
            cv2.add(curved, spread, dst=curved)
            self._round(luma[band], curved, top)

    def _round(self, plane: Plane, values: Table, top: int = 0) -> None:
        rounded = self._scratch.take("rounded", (plane.shape[0], plane.shape[1]), np.uint8)
        self._dither.round_into(rounded, values, top, 0)
        np.copyto(plane, rounded)


def look_name(parameters: Parameters) -> str:
    """The look that a slider from 0 to 100 stands at."""
    names = list(LOOKS)
    return names[min(parameters.look * len(names) // MAXIMUM, len(names) - 1)]


def tables_of(look: LookFunction) -> tuple[Table, tuple[Table, Table, Table]]:
    """What a look adds, in code values.

    Returns:
        For each luma of a grey what luma gains, shape (256,); and for each of 64 steps of Y, U
        and V what luma gains beyond that, and what U and V gain, shape (64 ** 3,) each.
    """
    greys = np.arange(256, dtype=np.float32)
    neutral = np.full(256, NEUTRAL_CHROMA, np.float32)
    curve = _gains(look, greys, neutral, neutral)[0]
    middles = np.arange(SIDE, dtype=np.float32) * STEP + np.float32((STEP - 1) / 2)
    y, u, v = (axis.ravel() for axis in np.meshgrid(middles, middles, middles, indexing="ij"))
    dy, du, dv = _gains(look, y, u, v)
    dy -= np.interp(y, greys, curve).astype(np.float32)
    return curve, (dy, du, dv)


def _gains(look: LookFunction, y: Table, u: Table, v: Table) -> tuple[Table, Table, Table]:
    """What a look adds to colours in YUV (BT.601, video range)."""
    light = (y - BLACK_Y) / np.float32(219)
    cb, cr = (u - NEUTRAL_CHROMA) / np.float32(224), (v - NEUTRAL_CHROMA) / np.float32(224)
    rgb = np.stack(
        [light + 1.402 * cr, light - 0.344136 * cb - 0.714136 * cr, light + 1.772 * cb], axis=-1
    )
    before = np.clip(rgb, 0, 1).astype(np.float32)
    change = look(before) - before
    dy = change @ np.array([0.299, 0.587, 0.114], np.float32)
    du = (change[..., 2] - dy) / np.float32(1.772) * np.float32(224)
    dv = (change[..., 0] - dy) / np.float32(1.402) * np.float32(224)
    return dy * np.float32(219), du, dv
