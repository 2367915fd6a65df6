"""The One-Euro filter: steady at rest, quick in motion.

Casiez, Roussel, Vogel: "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
Interactive Systems", CHI 2012.
"""

import math

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
        self._smoothed = first
        self._speed = first * 0

    @property
    def value(self) -> FacialArray:
        """The points as last smoothed."""
        return self._smoothed

    def update(self, points: FacialArray, elapsed_s: float, scale_px: float) -> FacialArray:
        """Take the next measurement and return the smoothed points, a new array.

        Args:
            points: Same shape as the first.
            elapsed_s: Time since the last measurement, more than 0.
            scale_px: Size of the face; speeds are relative to it, so that a face moves as
                smoothly near the camera as far from it.
        """
        moved = (points - self._smoothed) / (elapsed_s * scale_px)
        self._speed = self._speed + _weight(SPEED_CUTOFF_HZ, elapsed_s) * (moved - self._speed)
        cutoff_hz = MIN_CUTOFF_HZ + BETA * abs(self._speed)
        ratio = (2 * math.pi * elapsed_s) * cutoff_hz
        self._smoothed = self._smoothed + (ratio / (ratio + 1)) * (points - self._smoothed)
        return self._smoothed


def _weight(cutoff_hz: float, elapsed_s: float) -> float:
    ratio = 2 * math.pi * elapsed_s * cutoff_hz
    return ratio / (ratio + 1)
