"""Rounds to whole code values without losing what is smaller than one.

A filter moves skin by fractions of a code value. Rounding to nearest would drop them: weak
settings would do nothing and smooth skin would show contours. A fixed pattern (Bayer 1973, 8x8)
decides instead which pixels round up, so the mean is right everywhere. It is anchored to the
picture, so it does not move, and a value that is whole already stays as it is.
"""

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 8
# Code values as whole numbers of this many parts, for arithmetic without floats: as many as the
# pattern has thresholds, and the largest luma still fits 16 bits twice.
PARTS, PART_BITS = 64, 6
NOTHING = np.zeros(1, np.int16)


def _order() -> npt.NDArray[np.int16]:
    """The numbers from 0 to 63 in Bayer's order, shape (8, 8)."""
    order = np.zeros((1, 1), np.int16)
    while len(order) < SIDE:
        order = np.block([[4 * order, 4 * order + 2], [4 * order + 3, 4 * order + 1]])
    return order


def _bayer() -> npt.NDArray[np.float32]:
    """Thresholds in (-0.5, 0.5), each once, shape (8, 8)."""
    return ((_order() + 0.5) / PARTS - 0.5).astype(np.float32)


class Dither:
    """The pattern over any rectangle of a picture; owns the memory of it."""

    def __init__(self) -> None:
        self._plane = _bayer()
        self._parts = _order()
        self._rounded = np.empty(0, np.uint8)

    def pattern(self, top: int, left: int, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """View of the pattern under a rectangle of a plane, to be added before rounding."""
        rows, columns = top % SIDE + shape[0], left % SIDE + shape[1]
        if rows > self._plane.shape[0] or columns > self._plane.shape[1]:
            self._plane = np.tile(_bayer(), _times(rows, columns, self._plane.shape))
        return self._plane[top % SIDE : rows, left % SIDE : columns]

    def round_into(
        self,
        target: npt.NDArray[np.uint8],
        values: npt.NDArray[np.float32],
        top: int,
        left: int,
    ) -> None:
        """Round ``values`` into ``target``, of the same shape, and stop at 0 and 255.

        Args:
            target: Written to.
            values: Only read.
            top: First row of both in their plane.
            left: First column.
        """
        cv2.add(
            values,
            self.pattern(top, left, (values.shape[0], values.shape[1])),
            dst=target,
            dtype=cv2.CV_8U,
        )

    def round_parts_into(
        self, target: npt.NDArray[np.uint8], parts: npt.NDArray[np.int16], top: int = 0
    ) -> None:
        """As :meth:`round_into` from the first column on, for values in 64ths of a code value.

        Args:
            target: Written to; any strides.
            parts: Same shape; spoilt.
            top: First row of both in their plane.
        """
        rows, columns = top % SIDE + parts.shape[0], parts.shape[1]
        if rows > self._parts.shape[0] or columns > self._parts.shape[1]:
            self._parts = np.tile(_order(), _times(rows, columns, self._parts.shape))
        cv2.add(parts, self._parts[top % SIDE : rows, :columns], dst=parts)
        cv2.max(parts, NOTHING, dst=parts)
        if self._rounded.size < parts.size:
            self._rounded = np.empty(parts.size, np.uint8)
        rounded = self._rounded[: parts.size].reshape(parts.shape)
        # Rounds down: with this offset the nearest whole number is the one below.
        cv2.convertScaleAbs(parts, dst=rounded, alpha=1 / PARTS, beta=-(PARTS - 1) / (2 * PARTS))
        np.copyto(target, rounded)


def _times(rows: int, columns: int, present: tuple[int, ...]) -> tuple[int, int]:
    """How often the pattern has to be repeated to cover all that was and is asked for."""
    return -(-max(rows, present[0]) // SIDE), -(-max(columns, present[1]) // SIDE)
