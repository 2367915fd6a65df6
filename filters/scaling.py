"""Scales planes down quickly: OpenCV halves with vector instructions, other factors not."""

import cv2
import numpy as np

from filters.image import Plane, YuvImage


def halved(plane: Plane, times: int) -> Plane:
    """The plane at half its size, so many times; an odd last row or column is left out.

    Returns:
        A new array, or the plane itself when ``times`` is 0.
    """
    for _ in range(times):
        rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
        # By exactly two, else OpenCV takes its slow way.
        even = plane[: 2 * rows, : 2 * columns]
        size = (columns, rows)
        plane = np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), np.uint8)
    return plane


def shrink_into(plane: Plane, target: Plane) -> None:
    """Scale ``plane`` to the size of ``target``: halved as often as it goes, the rest linearly.

    Args:
        plane: Only read; any strides.
        target: Written to; contiguous rows.
    """
    ratio = min(plane.shape[0] / target.shape[0], plane.shape[1] / target.shape[1])
    pixels = plane if plane.strides[1] == 1 else np.ascontiguousarray(plane)
    pixels = halved(pixels, max(0, int(ratio).bit_length() - 1))
    size = (target.shape[1], target.shape[0])
    cv2.resize(pixels, size, dst=target, interpolation=cv2.INTER_LINEAR)


class RgbShrinker:
    """Small RGB copies of pictures, for nets; owns their memory."""

    def __init__(self, width_px: int, height_px: int) -> None:
        """Make copies of this size; both sides are even."""
        self._i420 = np.empty((height_px * 3 // 2, width_px), np.uint8)
        self._rgb = np.empty((height_px, width_px, 3), np.uint8)
        self._y = self._i420[:height_px]
        self._u, self._v = self._i420[height_px:].reshape(2, height_px // 2, width_px // 2)

    def shrink(self, image: YuvImage) -> Plane:
        """The picture in small, shape (height_px, width_px, 3), valid until the next call."""
        shrink_into(image.y, self._y)
        shrink_into(image.u, self._u)
        shrink_into(image.v, self._v)
        cv2.cvtColor(self._i420, cv2.COLOR_YUV2RGB_I420, dst=self._rgb)
        return self._rgb
