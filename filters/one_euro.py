"""The One-Euro filter: steady at rest, quick in motion.

Casiez, Roussel, Vogel: "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
Interactive Systems", CHI 2012.
"""

import math

import numpy as np

from filters.facial_data import FacialArray, FacialData

# Speeds are in face widths per second. The values with which MediaPipe's own landmark graph
# smooths a single face (face_landmarks_detector_graph.cc).
MIN_CUTOFF_HZ = 0.05
BETA = 80.0
SPEED_CUTOFF_HZ = 1.0


class OneEuroFilter(FacialData):
    """Smooths one face's points over time, each coordinate by itself."""

    __slots__ = ("_smoothed", "_speed")

    def __init__(self, first: FacialArray) -> None:
        """Start at ``first``, any shape, float32; not copied and not written to."""
        # Inside, plain views: they compute faster, and local variables of this class hold none.
        self._smoothed = first.view(np.ndarray)
        self._speed = np.zeros_like(self._smoothed)

    @property
    def value(self) -> FacialArray:
        """The points as last smoothed."""
        return self._smoothed.view(FacialArray)

    def update(self, points: FacialArray, elapsed_s: float, scale_px: float) -> FacialArray:
        """Take the next measurement and return the smoothed points, a new array.

        Args:
            points: Same shape as the first.
            elapsed_s: Time since the last measurement, more than 0.
            scale_px: Size of the face; speeds are relative to it, so that a face moves as
                smoothly near the camera as far from it.
        """
        offset = points.view(np.ndarray) - self._smoothed
        weight = np.float32(_weight(SPEED_CUTOFF_HZ, elapsed_s))
        self._speed *= 1 - weight
        self._speed += offset * (weight / np.float32(elapsed_s * scale_px))
        # The weight of the low-pass filter whose cutoff rises with speed.
        ratio = np.abs(self._speed)
        ratio *= np.float32(2 * math.pi * elapsed_s * BETA)
        ratio += np.float32(2 * math.pi * elapsed_s * MIN_CUTOFF_HZ)
        offset *= ratio
        ratio += 1
        offset /= ratio
        offset += self._smoothed
        self._smoothed = offset
        return self.value


def _weight(cutoff_hz: float, elapsed_s: float) -> float:
    ratio = 2 * math.pi * elapsed_s * cutoff_hz
    return ratio / (ratio + 1)
