"""Lays one plane over another where a mask says so, and spends time on the mask's borders only.

Most of a picture is either wholly covered or not at all. Bands of rows are cut into runs of
columns: those that are covered are copied, those that are not are left alone, and only what lies
between is blended pixel by pixel, with its fractions dithered.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from filters.dither import Dither
from filters.image import Plane
from filters.scratch import Scratch

# Bands of a mask whose runs are found together; on a picture each stays in the processor's cache.
BANDS = 12
# Runs of fewer mask cells than this, an odd number, are blended too: not worth their own steps.
SHORTEST_RUN = 7
FULL = 255

Codes = npt.NDArray[np.uint8]


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

    def on(self, shape: tuple[int, int], cells: tuple[int, ...]) -> tuple[slice, slice]:
        """The run's pixels on a plane: those whose centres are in it."""
        top, bottom = (_first_pixel(row, shape[0], cells[0]) for row in (self.top, self.bottom))
        left, right = (_first_pixel(n, shape[1], cells[1]) for n in (self.left, self.right))
        return slice(top, bottom), slice(left, right)


def _first_pixel(cell: int, pixels: int, cells: int) -> int:
    """The first pixel whose centre is not before a cell's border."""
    return -(-(2 * cell * pixels - cells) // (2 * cells))


class Mask:
    """Where to lay, coarsely, and what of it needs which work.

    Attributes:
        codes: How much of each cell is covered, 0 to 255; spread bilinearly over the picture.
        runs: All of it that is not to be left alone.
    """

    __slots__ = ("_spreads", "codes", "runs")

    def __init__(self, codes: Codes) -> None:
        """Take over ``codes``, at least 1x1."""
        self.codes = codes
        self.runs = tuple(_runs(codes))
        self._spreads: dict[tuple[int, int], Codes] = {}

    def spread(self, shape: tuple[int, int]) -> Codes:
        """The codes for each pixel of a plane; kept, for planes share their shapes."""
        found = self._spreads.get(shape)
        if found is None:
            size = (shape[1], shape[0])
            spread = cv2.resize(self.codes, size, interpolation=cv2.INTER_LINEAR)
            found = self._spreads[shape] = np.asarray(spread, np.uint8)
        return found


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
        spread = mask.spread(shape)
        for run in mask.runs:
            part = run.on(shape, mask.codes.shape)
            if run.is_covered and amount >= 1:
                np.copyto(plane[part], layer[part])
            elif plane[part].size:
                self._blend(plane, layer, spread, amount, part)

    def _blend(
        self, plane: Plane, layer: Plane, spread: Codes, amount: float, part: tuple[slice, slice]
    ) -> None:
        target = plane[part]
        take, shape = self._scratch.take, (target.shape[0], target.shape[1])
        pixels, change = take("pixels", shape, np.float32), take("change", shape, np.float32)
        shares, rounded = take("shares", shape, np.float32), take("rounded", shape, np.uint8)
        np.copyto(pixels, target)
        np.subtract(layer[part], pixels, out=change)
        np.multiply(spread[part], np.float32(amount / FULL), out=shares)
        cv2.multiply(change, shares, dst=change)
        cv2.add(change, pixels, dst=change)
        self._dither.round_into(rounded, change, part[0].start, part[1].start)
        np.copyto(target, rounded)


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
