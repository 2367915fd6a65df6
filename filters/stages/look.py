"""Colours the whole picture with a look, without leaving YUV.

What greys become is a curve on every luma pixel. What colour adds is looked up once per chroma
pixel in a table of 64 steps a side, which is made from the look's RGB function when it is chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from filters.cube import Look as LookFunction
from filters.dither import PART_BITS, PARTS, Dither
from filters.image import BLACK_Y, NEUTRAL_CHROMA, Plane, YuvImage
from filters.looks import LOOKS
from filters.parameters import MAXIMUM, Parameters
from filters.region import FaceRegion
from filters.scratch import Scratch
from filters.stages.base import FaceStage

STEP_BITS = 2
STEP = 1 << STEP_BITS
SIDE = 256 // STEP
# Y, U, V, and one to fill eight bytes, which are looked up at once.
CHANNELS = 4
# The table as a picture for OpenCV to look up: a row for each Y, in it all U, in each all V.
ROW_OF_Y = (np.arange(256) // STEP).astype(np.int16)
COLUMN_OF_U = ROW_OF_Y * np.int16(SIDE)
# What OpenCV takes for "there is none".
NO_SECOND_MAP = np.empty(0, np.uint16)
# Luma is worked on in bands that stay in the processor's cache.
BAND_ROWS = 32
Table = npt.NDArray[np.float32]
# Code values in 64ths.
Parts = npt.NDArray[np.int16]


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
        self._chosen: tuple[str, int] | None = None
        self._packed = PackedLook(np.zeros(256, np.int16), np.zeros((1, 1, CHANNELS), np.int16))

    def apply(self, image: YuvImage, faces: Sequence[FaceRegion], parameters: Parameters) -> None:
        """Colour the picture in place; faces do not matter."""
        del faces
        if parameters.look_amount <= 0:
            return
        self._choose(look_name(parameters), parameters.look_amount)
        shape = (image.u.shape[0], image.u.shape[1])
        gains = self._scratch.take("gains", (*shape, CHANNELS), np.int16)
        cv2.remap(
            self._packed.table,
            self._places(image, shape),
            NO_SECOND_MAP,
            cv2.INTER_NEAREST,
            dst=gains,
        )
        y, u, v = (self._scratch.take(name, shape, np.int16) for name in "yuv")
        for number, gain in enumerate((y, u, v)):
            cv2.extractChannel(gains, number, dst=gain)
        self._colour(image.u, u)
        self._colour(image.v, v)
        self._light(image.y, y)

    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Nothing: a look is not about faces."""

    def _choose(self, name: str, amount: int) -> None:
        if (name, amount) != self._chosen:
            self._packed = pack(self._custom or LOOKS[name], amount / MAXIMUM)
            self._chosen = (name, amount)

    def _places(self, image: YuvImage, shape: tuple[int, int]) -> Parts:
        """Column and row of the table's entry for each chroma pixel, shape (rows, columns, 2)."""
        coarse = cv2.resize(contiguous(image.y), shape[::-1], interpolation=cv2.INTER_AREA)
        column, row = (self._scratch.take(name, shape, np.int16) for name in ("column", "row"))
        cv2.LUT(contiguous(image.u), COLUMN_OF_U, dst=column)
        steps_of_v = self._scratch.take("steps", shape, np.uint8)
        np.right_shift(image.v, STEP_BITS, out=steps_of_v)
        np.add(column, steps_of_v, out=column)
        cv2.LUT(np.asarray(coarse, np.uint8), ROW_OF_Y, dst=row)
        places = self._scratch.take("places", (*shape, 2), np.int16)
        return np.asarray(cv2.merge((column, row), dst=places), np.int16)

    def _colour(self, plane: Plane, gain: Parts) -> None:
        parts = self._scratch.take("parts", gain.shape, np.int16)
        np.copyto(parts, plane)
        np.left_shift(parts, PART_BITS, out=parts)
        cv2.add(parts, gain, dst=parts)
        self._dither.round_parts_into(plane, parts)

    def _light(self, luma: Plane, gain: Parts) -> None:
        rows, columns = luma.shape
        for top in range(0, rows, BAND_ROWS):
            band = luma[top : top + BAND_ROWS]
            parts = self._scratch.take("parts", (band.shape[0], columns), np.int16)
            cv2.LUT(contiguous(band), self._packed.greys, dst=parts)
            colours = gain[top // 2 : (top + band.shape[0] + 1) // 2]
            # Each for two pixels beside and two below each other.
            pairs = self._scratch.take("pairs", (colours.shape[0], 2 * colours.shape[1]), np.int16)
            cv2.merge((colours, colours), dst=pairs.reshape(*colours.shape, 2))
            for rows_of in (parts[0::2], parts[1::2]):
                np.add(rows_of, pairs[: len(rows_of), :columns], out=rows_of)
            self._dither.round_parts_into(band, parts, top)


def contiguous(plane: Plane) -> Plane:
    """The plane, or a copy of it when its pixels do not lie side by side."""
    return plane if plane.strides[1] == 1 else np.ascontiguousarray(plane)


@dataclass(frozen=True, slots=True)
class PackedLook:
    """A look at one amount, in 64ths of code values.

    Attributes:
        greys: What each luma of a grey becomes, shape (256,).
        table: For each of 64 steps of Y, and 64 of U with 64 of V each: what Y gains beyond the
            grey's, what U and V gain, and nothing; shape (64, 64 * 64, 4).
    """

    greys: Parts
    table: Parts


def pack(look: LookFunction, amount: float) -> PackedLook:
    """Work a look's amount, 0 to 1, into its tables."""
    greys, gains = tables_of(look)
    curve = np.rint((np.arange(256) + amount * greys) * PARTS).astype(np.int16)
    table = np.zeros((SIDE**3, CHANNELS), np.int16)
    for channel, gain in enumerate(gains):
        table[:, channel] = np.rint(gain * np.float32(amount * PARTS))
    return PackedLook(curve, table.reshape(SIDE, SIDE * SIDE, CHANNELS))


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
