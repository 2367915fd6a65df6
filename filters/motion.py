"""Carries faces from one picture to the next without looking for them: sparse optical flow.

Lucas, Kanade 1981 in Bouguet's pyramids, on a small crop of luma around each face. What moved is
summed up as one shift, turn and scale, so a few points that go astray (a hand, a blink) change
nothing. A tenth of the cost of the face nets, and without the lag of extrapolation.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from filters import mesh
from filters.facial_data import FacialData
from filters.image import Plane, YuvImage
from filters.landmarks import FaceLandmarks
from filters.region import measure_size_px

# Ours: corners and ridges that move with the skull, spread over the face, clear of its outline.
ANCHORS = mesh.ring(
    "33 133 362 263 70 105 107 336 334 300 1 4 5 6 168 197 98 327 2 61 291 0 50 280 205 425 117 "
    "346 9 151 108 337 199 48"
)
# A face is halved until it is narrower than this; there, flow of a fast move is a few pixels.
NARROWER_THAN_PX = 128.0
MARGIN = 0.15
WINDOW_PX, LEVELS = 9, 2
# Fewer points that agree than this share, and the motion is not known.
LEAST_SHARE = 0.5
AGREE_PX = 1.0
STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 8, 0.03)

Positions = npt.NDArray[np.float32]


class FaceMotion(FacialData):
    """One face as last seen, ready to be found again in the next picture."""

    __slots__ = ("_box", "_confidence", "_crop", "_halvings", "_points", "_size_px", "pace")

    # How far the face's fastest parts moved from the last picture to this, in face widths.
    pace: float

    def __init__(self, image: YuvImage, face: FaceLandmarks) -> None:
        """Keep the face's surroundings; copies a small crop of luma.

        Args:
            image: The picture in which the face was found; only read.
            face: Where it is.
        """
        self._points = np.asarray(face.points())
        self._confidence = face.confidence
        self._size_px = size_px = max(measure_size_px(face.points()), 1.0)
        self.pace = 0.0
        self._halvings = max(0, math.ceil(math.log2(size_px / NARROWER_THAN_PX)))
        unit = 1 << self._halvings
        low = self._points[:, :2].min(axis=0) - MARGIN * size_px
        high = self._points[:, :2].max(axis=0) + MARGIN * size_px
        sides = []
        for axis, limit_px in enumerate((image.width_px, image.height_px)):
            first = int(min(max(low[axis], 0), limit_px)) // unit * unit
            last = int(min(max(high[axis], 0), limit_px))
            sides.append((first, first + (last - first) // unit * unit))
        (left, right), (top, bottom) = sides
        self._box = (left, top, right, bottom)
        self._crop = self._shrunk(image)

    def follow(self, image: YuvImage) -> FaceLandmarks | None:
        """Where the face is in the next picture, and keep that picture for the one after.

        Returns:
            The landmarks, moved; None when too little of the face can be followed.
        """
        before, crop = self._crop, self._shrunk(image)
        if before is None or crop is None:
            return None
        # A cell's number means its centre, a pixel coordinate of a landmark its corner.
        corner = np.array(self._box[:2], np.float32)
        unit = np.float32(1 << self._halvings)
        cells = (self._points[:, :2] - corner) / unit - np.float32(0.5)
        found = _similarity(before, crop, cells[ANCHORS])
        if found is None:
            return None
        self._crop = crop
        motion, shift_cells = found
        self.pace = shift_cells * float(unit) / self._size_px
        points = self._points.copy()
        points[:, :2] = cells @ motion[:, :2].T + motion[:, 2]
        points[:, :2] = (points[:, :2] + np.float32(0.5)) * unit + corner
        points[:, 2] *= np.float32(math.hypot(motion[0, 0], motion[1, 0]))
        self._points = points
        return FaceLandmarks(points.copy(), self._confidence)

    def _shrunk(self, image: YuvImage) -> Plane | None:
        left, top, right, bottom = self._box
        if left >= right or top >= bottom or bottom > image.height_px or right > image.width_px:
            return None
        crop = image.y[top:bottom, left:right]
        for _ in range(self._halvings):
            size = (crop.shape[1] // 2, crop.shape[0] // 2)
            crop = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
        if min(crop.shape) < 2 * WINDOW_PX:
            return None
        return crop.copy() if self._halvings == 0 else crop


def _similarity(before: Plane, after: Plane, start: Positions) -> tuple[Positions, float] | None:
    """The shift, turn and scale that most points agree on.

    Returns:
        A 2x3 matrix from ``before`` to ``after``, and how far the fastest tenth of the points
        moved at least; None when most points disagree.
    """
    window = (WINDOW_PX, WINDOW_PX)
    end, found, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        start,
        None,  # type: ignore[call-overload]
        winSize=window,
        maxLevel=LEVELS,
        criteria=STOP,
    )
    usable = found[:, 0] != 0
    least = math.ceil(LEAST_SHARE * len(start))
    if np.count_nonzero(usable) < least:
        return None
    matrix, agreed = cv2.estimateAffinePartial2D(
        start[usable], end[usable], method=cv2.RANSAC, ransacReprojThreshold=AGREE_PX
    )
    if matrix is None or np.count_nonzero(agreed) < least or not np.isfinite(matrix).all():
        return None
    shifts = np.sort(np.abs(end - start)[usable].max(axis=1))
    return matrix.astype(np.float32), float(shifts[-1 - len(shifts) // 10])
