"""A time stamp drawn into a picture, which survives encoders, scaling and beauty filters.

Two rows of blocks along the lower edge, where faces are rarely: 32 bits of time and 16 of CRC,
black or white, most significant bit first, and at each end a block of known colour. A block is at
least 24 x 18 pixels at 360p, more than a macroblock, so that even at 500 kb/s its middle keeps its
colour.
``scripts/timecode.js`` draws and reads the same in browsers.
"""

import binascii
import itertools

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]

STAMP_BITS = 32
STAMP_MAX = 1 << STAMP_BITS
TICKS_PER_MS = 10  # of a stamp; 32 bits of them last five days
ROWS, COLUMNS = 2, 26
# Each row is this part of the picture's height.
ROW_SHARE = 1 / 20
# Video range luma (ITU-R BT.601).
BLACK, WHITE = 16, 235
# Between black and white there must be at least this much, or it is no code.
CONTRAST_MIN = 60


def write_code(luma: Luma, stamp: int) -> None:
    """Draw a stamp.

    Args:
        luma: Plane to draw into, shape (H, W).
        stamp: Tenths of milliseconds; only the lowest 32 bits are drawn.
    """
    bits = _bits_of(stamp % STAMP_MAX)
    columns = _edges(luma.shape[1])
    for row in range(ROWS):
        top, bottom = _row(row, luma.shape[0])
        ends = (1, 0) if row == 0 else (0, 1)
        half = bits[row * (COLUMNS - 2) : (row + 1) * (COLUMNS - 2)]
        for column, bit in enumerate((ends[0], *half, ends[1])):
            block = slice(columns[column], columns[column + 1])
            luma[top:bottom, block] = WHITE if bit else BLACK


def read_code(luma: Luma) -> int | None:
    """Read a stamp from a decoded luma plane, shape (H, W); None if there is none."""
    columns = _edges(luma.shape[1])
    bits: list[int] = []
    for row in range(ROWS):
        top, bottom = _row(row, luma.shape[0])
        inner = luma[top + (bottom - top) // 4 : bottom - (bottom - top) // 4]
        means = [
            float(inner[:, left + (right - left) // 4 : right - (right - left) // 4].mean())
            for left, right in itertools.pairwise(columns)
        ]
        white, black = (means[0], means[-1]) if row == 0 else (means[-1], means[0])
        if white - black < CONTRAST_MIN:
            return None
        bits += [int(mean > (white + black) / 2) for mean in means[1:-1]]
    number = int("".join(map(str, bits)), 2)
    stamp, check = number >> 16, number & 0xFFFF
    return stamp if check == _crc(stamp) else None


def _bits_of(stamp: int) -> list[int]:
    number = stamp << 16 | _crc(stamp)
    return [number >> place & 1 for place in reversed(range(STAMP_BITS + 16))]


def _crc(stamp: int) -> int:
    # CRC-16/CCITT begun at all ones, so that black all over is no code.
    return binascii.crc_hqx(stamp.to_bytes(4, "big"), 0xFFFF)


def _edges(width_px: int) -> list[int]:
    return [column * width_px // COLUMNS for column in range(COLUMNS + 1)]


def _row(row: int, height_px: int) -> tuple[int, int]:
    below = ROWS - row
    top = height_px - round(below * height_px * ROW_SHARE)
    return top, height_px - round((below - 1) * height_px * ROW_SHARE)
