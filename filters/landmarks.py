"""Face landmarks: the points of one face's mesh, and the detector that finds them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from filters.errors import FilterError
from filters.facial_data import FacialArray, FacialData
from filters.image import YuvImage

LANDMARK_COUNT = 478  # MediaPipe's face mesh with attention: 468 points and two irises of five


class FaceLandmarks(FacialData):
    """The 478 points of one face, in pixels of the picture they were found in.

    Points may lie outside the picture when the face is cut by its edge. Point numbers are those
    of MediaPipe's canonical face mesh; :mod:`filters.mesh` names the groups we use.
    """

    __slots__ = ("__points", "confidence")

    def __init__(self, points: npt.NDArray[np.float32], confidence: float = 1.0) -> None:
        """Take over ``points``.

        Args:
            points: Shape (478, 3), float32: x to the right, y down, z away from the camera, all
                in pixels (z is relative to the head's centre). Not copied; do not reuse it.
            confidence: How sure the detector is that this is a face, 0 to 1.

        Raises:
            FilterError: Another shape or type, or a value that is not finite.
        """
        if points.shape != (LANDMARK_COUNT, 3) or points.dtype != np.float32:
            raise FilterError(f"landmarks have shape {points.shape} and type {points.dtype}")
        if not np.isfinite(points).all():
            raise FilterError("landmarks hold a value that is not finite")
        self.__points = points.view(FacialArray)
        self.confidence = confidence

    def points(self) -> FacialArray:
        """The points themselves, shape (478, 3), float32, not a copy; the one deliberate way in.

        Only filters that draw on the face need it. Keep it in local variables.
        """
        return self.__points


class FaceDetector(Protocol):
    """Finds faces in pictures of one stream, in their order."""

    def detect(self, image: YuvImage) -> Sequence[FaceLandmarks]:
        """Find the faces in one picture, which is only read.

        Successive calls may be treated as a video: a detector may follow a face. Sizes may
        change from call to call.
        """

    def close(self) -> None:
        """Release the model; calling it again does nothing."""


@runtime_checkable
class ScoutingDetector(FaceDetector, Protocol):
    """A detector that can search for further faces in pictures at which nobody looks."""

    def scout(self, image: YuvImage) -> None:
        """Search one picture, which is only read; the next ``detect`` knows what was found."""
