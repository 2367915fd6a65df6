"""Lays one plane over another where a mask says so, and spends time on the mask's borders only.

Most of a picture is either wholly covered or not at all. Bands of rows are cut into runs of
columns: those that are covered are copied, those that are not are left alone, and only what lies
between is blended pixel by pixel.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from filters.dither import Dither
from filters.image import Plane
from filters.scratch import Scratch

# Bands of a mask whose runs are found together; on a picture each stays in the processor's cache.
BANDS = 4
# Runs of fewer mask cells than this, an odd number, are blended too: not worth their own steps.
SHORTEST_RUN = 7
FULL = 255

Codes = npt.NDArray[np.uint8]
Shares = npt.NDArray[np.float32]
Part = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Run:
    """Cells of a mask that are worked on together.

    Attributes:
        top: First row of cells.
        bottom: Row after the last.
        left: First column.
        right: Column after the last.
        is_covered: All of it is covered, neighbours included; else it has to be blended.
    """

    top: int
    bottom: int
    left: int
    right: int
    is_covered: bool

    def on(self, shape: tuple[int, int], cells: tuple[int, ...]) -> Part:
        """The run's pixels on a plane: those whose centres are in it."""
        top, bottom = (_first_pixel(row, shape[0], cells[0]) for row in (self.top, self.bottom))
        left, right = (_first_pixel(n, shape[1], cells[1]) for n in (self.left, self.right))
        return slice(top, bottom), slice(left, right)


def _first_pixel(cell: int, pixels: int, cells: int) -> int:
    """The first pixel whose centre is not before a cell's border."""
    return -(-(2 * cell * pixels - cells) // (2 * cells))


@dataclass(frozen=True, slots=True)
class Cover:
    """A mask on planes of one shape.

    Attributes:
        whole: What is covered wholly.
        borders: What is covered in part, with how much counts of what was there and of what is
            laid over it, for each pixel.
    """

    whole: Sequence[Part]
    borders: Sequence[tuple[Part, Shares, Shares]]


class Mask:
    """Where to lay, coarsely.

    Attributes:
        codes: How much of each cell is covered, 0 to 255; spread bilinearly over the picture.
    """

    __slots__ = ("_covers", "_runs", "codes")

    def __init__(self, codes: Codes) -> None:
        """Take over ``codes``, at least 1x1."""
        self.codes = codes
        self._runs = tuple(_runs(codes))
        self._covers: dict[tuple[int, int], Cover] = {}

    def on(self, shape: tuple[int, int]) -> Cover:
        """The mask on planes of this shape; kept, for planes share their shapes."""
        cover = self._covers.get(shape)
        if cover is None:
            cover = self._covers[shape] = self._spread(shape)
        return cover

    def _spread(self, shape: tuple[int, int]) -> Cover:
        spread = cv2.resize(self.codes, shape[::-1], interpolation=cv2.INTER_LINEAR)
        whole: list[Part] = []
        borders: list[tuple[Part, Shares, Shares]] = []
        for run in self._runs:
            part = run.on(shape, self.codes.shape)
            if run.is_covered:
                whole.append(part)
            elif spread[part].size:
                laid = np.multiply(spread[part], np.float32(1 / FULL), dtype=np.float32)
                borders.append((part, np.float32(1) - laid, laid))
        return Cover(whole, borders)


class Compositor:
    """Owns the memory for laying planes."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._dither = Dither()

    def lay(self, plane: Plane, layer: Plane, mask: Mask, amount: float) -> None:
        """Lay ``layer`` over ``plane``, in place.

        Args:
            plane: Written to; any strides.
            layer: Same shape; only read.
            mask: Where, on any coarser grid over the same picture.
            amount: More than 0; 1 hides what was there.
        """
        shape = (plane.shape[0], plane.shape[1])
        cover = mask.on(shape)
        if amount < 1:
            layer = self._faded(plane, layer, amount)
        for part in cover.whole:
            np.copyto(plane[part], layer[part])
        for part, kept, laid in cover.borders:
            blended = self._scratch.take("blended", laid.shape, np.uint8)
            cv2.blendLinear(plane[part], layer[part], kept, laid, dst=blended)
            np.copyto(plane[part], blended)

    def _faded(self, plane: Plane, layer: Plane, amount: float) -> Plane:
        """The layer as far as it counts, its fractions dithered."""
        shape = (plane.shape[0], plane.shape[1])
        change = self._scratch.take("change", shape, np.float32)
        faded = self._scratch.take("faded", shape, np.uint8)
        cv2.subtract(layer, plane, dst=change, dtype=cv2.CV_32F)
        cv2.scaleAdd(change, amount, plane.astype(np.float32), dst=change)
        self._dither.round_into(faded, change, 0, 0)
        return faded


def _runs(codes: Codes) -> Iterator[Run]:
    """What of a mask is covered, and what is neither covered nor to be left alone."""
    around = np.ones((3, 3), np.uint8)
    least, most = cv2.erode(codes, around), cv2.dilate(codes, around)
    rows, columns = codes.shape
    tops = sorted({band * rows // BANDS for band in range(BANDS)})
    covered = _long(np.minimum.reduceat(least, tops) == FULL)
    alone = _long(np.maximum.reduceat(most, tops) == 0)
    for top, bottom, kinds in zip(tops, [*tops[1:], rows], covered - alone, strict=True):
        starts = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), columns]
        for left, right in itertools.pairwise(starts):
            if kinds[left] >= 0:
                yield Run(top, bottom, left, right, bool(kinds[left] > 0))


def _long(rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """1 where a run along the row is long enough, else 0."""
    line = np.ones((1, SHORTEST_RUN), np.uint8)
    return np.asarray(cv2.morphologyEx(rows.astype(np.uint8), cv2.MORPH_OPEN, line), np.int8)
