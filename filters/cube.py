"""Colour looks as three-dimensional tables, and the ``.cube`` files in which they are exchanged.

Adobe, "Cube LUT Specification", version 1.0 (2013): lines of red, green and blue, red fastest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.errors import ParameterError

# RGB values from 0 to 1, shape (..., 3).
Colours = npt.NDArray[np.float32]
Look = Callable[[Colours], Colours]

SMALLEST, LARGEST = 2, 65
# A file of the largest size has 274,625 lines of at most this many bytes.
MAX_CHARACTERS = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cube:
    """A table of colours.

    Attributes:
        table: Shape (n, n, n, 3), float32, indexed by red, green, blue; values from 0 to 1.
        low: Input that the first entry stands for, per channel.
        high: Input of the last entry.
    """

    table: Colours
    low: tuple[float, float, float] = (0.0, 0.0, 0.0)
    high: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __call__(self, colours: Colours) -> Colours:
        """Look colours up, trilinearly; what is outside the table's domain counts as its edge."""
        low, high = np.asarray(self.low, np.float32), np.asarray(self.high, np.float32)
        last = len(self.table) - 1
        places = np.clip((colours - low) / (high - low), 0, 1) * np.float32(last)
        first = np.minimum(places.astype(np.intp), last - 1)
        part = places - first
        result = np.zeros_like(colours)
        for corner in np.ndindex(2, 2, 2):
            weight = np.where(corner, part, 1 - part).prod(axis=-1, keepdims=True)
            r, g, b = np.moveaxis(first + corner, -1, 0)
            result += weight * self.table[r, g, b]
        return result


def parse_cube(text: str) -> Cube:
    """Read a three-dimensional ``.cube`` file.

    Raises:
        ParameterError: It is no such file; the text says where.
    """
    if len(text) > MAX_CHARACTERS:
        raise ParameterError("a look of this size is none that we read")
    size, rows = 0, []
    domain = {"DOMAIN_MIN": (0.0, 0.0, 0.0), "DOMAIN_MAX": (1.0, 1.0, 1.0)}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words or words[0] == "TITLE":
            continue
        if words[0] == "LUT_3D_SIZE":
            size = _size(words, number)
        elif words[0] in domain:
            domain[words[0]] = _triple(words[1:], number)
        elif words[0][0].isalpha():
            raise ParameterError(f"line {number} of the look: {words[0][:24]!r} is not understood")
        else:
            rows.append(_triple(words, number))
    if not size or len(rows) != size**3:
        raise ParameterError(f"the look has {len(rows)} colours; its size asks for {size**3}")
    low, high = domain["DOMAIN_MIN"], domain["DOMAIN_MAX"]
    if any(one >= other for one, other in zip(low, high, strict=True)):
        raise ParameterError("the look's DOMAIN_MIN is not below its DOMAIN_MAX")
    table = np.asarray(rows, np.float32).reshape(size, size, size, 3).transpose(2, 1, 0, 3)
    return Cube(np.clip(table, 0, 1), low, high)


def _size(words: list[str], number: int) -> int:
    wanted = words[1] if len(words) == 2 else ""
    if not (wanted.isascii() and wanted.isdigit() and SMALLEST <= int(wanted[:9]) <= LARGEST):
        raise ParameterError(f"line {number} of the look: sizes go from {SMALLEST} to {LARGEST}")
    return int(wanted)


def _triple(words: list[str], number: int) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(word) for word in words)
    except ValueError as exc:
        raise ParameterError(f"line {number} of the look is not three numbers") from exc
    if not all(math.isfinite(value) for value in (red, green, blue)):
        raise ParameterError(f"line {number} of the look is not three numbers")
    return red, green, blue
