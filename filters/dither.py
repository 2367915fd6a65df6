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


def _bayer() -> npt.NDArray[np.float32]:
    """Thresholds in (-0.5, 0.5), each once, shape (8, 8)."""
    order = np.zeros((1, 1), np.int64)
    while len(order) < SIDE:
        order = np.block([[4 * order, 4 * order + 2], [4 * order + 3, 4 * order + 1]])
    return ((order + 0.5) / order.size - 0.5).astype(np.float32)


class Dither:
    """The pattern over any rectangle of a picture; owns the memory of it."""

    def __init__(self) -> None:
        self._plane = _bayer()

    def pattern(self, top: int, left: int, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """View of the pattern under a rectangle of a plane, to be added before rounding."""
        first_row, first_column = top % SIDE, left % SIDE
        rows, columns = first_row + shape[0], first_column + shape[1]
        if rows > self._plane.shape[0] or columns > self._plane.shape[1]:
            times = [
                -(-max(wanted, present) // SIDE)
                for wanted, present in zip((rows, columns), self._plane.shape, strict=True)
            ]
            self._plane = np.tile(_bayer(), times)
        return self._plane[first_row:rows, first_column:columns]

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
