"""Follows faces from picture to picture, so that filters neither flicker nor snap."""

from collections.abc import Sequence

import numpy as np

from filters.face_memory import FaceMemory
from filters.facial_data import FacialArray, FacialData
from filters.landmarks import FaceLandmarks
from filters.one_euro import OneEuroFilter
from filters.region import measure_size_px

# A face that is lost fades out over its last place, for detectors miss single pictures and an
# effect that blinks is worse than one that lingers for a third of a second. The detector may notice
# one picture late, which makes ten in all.
FADE_OUT_IMAGES = 9
FADE_IN_IMAGES = 5
# The same face moves less than this many of its widths between two pictures.
REACH = 0.8
# Two detections this near to each other are one face found twice.
SAME = 0.4
# Masks are drawn in whole cells, so every change of size shows a little. A size holds until the
# face is this much larger or smaller, and does not tremble with the landmarks.
KEEP_SIZE = 1.12
# Weight of the newest confidence in the mean: a doubt is followed within a third of a second.
CONFIDENCE_FOLLOWS = 0.25
SHORTEST_S, LONGEST_S = 1 / 240, 1.0


class TrackedFace(FacialData):
    """A face as filters should see it.

    Attributes:
        landmarks: Steadied over time.
        weight: 0 to 1, how much of it counts.
        size_px: How large it is, steadily: follows growing and shrinking in few large steps.
        memory: What filters keep of it; the same object in all its pictures.

    The landmarks' confidence is steadied as well: it falls and rises within a few pictures.
    """

    __slots__ = ("landmarks", "memory", "size_px", "weight")

    def __init__(
        self,
        landmarks: FaceLandmarks,
        weight: float = 1.0,
        size_px: float | None = None,
        memory: FaceMemory | None = None,
    ) -> None:
        self.landmarks = landmarks
        self.weight = weight
        self.size_px = measure_size_px(landmarks.points()) if size_px is None else size_px
        self.memory = FaceMemory() if memory is None else memory


class _Track(FacialData):
    __slots__ = ("centre", "confidence", "filter", "memory", "size_px", "weight")

    def __init__(self, face: FaceLandmarks, weight: float) -> None:
        self.filter = OneEuroFilter(face.points())
        self.confidence = face.confidence
        self.memory = FaceMemory()
        self.weight = weight
        self.size_px = 0.0
        self.locate()

    def locate(self) -> None:
        self.centre = _centre(self.filter.value)
        size_px = max(measure_size_px(self.filter.value), 1.0)
        if not self.size_px / KEEP_SIZE < size_px < self.size_px * KEEP_SIZE:
            self.size_px = size_px

    def is_at(self, centre: FacialArray, reach: float) -> bool:
        return float(np.linalg.norm(centre - self.centre)) < reach * self.size_px


class FaceTracker:
    """Gives every face a life: it fades in, is steadied while seen, and fades out.

    The first faces after construction or :meth:`reset` count fully at once: a filter that is
    switched on must not show the bare face first.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._is_fresh = True
        self._has_lost_one = False

    @property
    def has_lost_one(self) -> bool:
        """Whether a face is fading out because it was not found."""
        return self._has_lost_one

    def reset(self) -> None:
        """Forget all faces; the next ones count fully at once."""
        self._tracks.clear()
        self._is_fresh = True
        self._has_lost_one = False

    def update(self, found: Sequence[FaceLandmarks], elapsed_s: float) -> list[TrackedFace]:
        """Take what a detector found in the next picture.

        Args:
            found: The faces, in any order.
            elapsed_s: Time since the picture before.

        Returns:
            Faces to filter, those that are fading out included.
        """
        elapsed_s = min(max(elapsed_s, SHORTEST_S), LONGEST_S)
        lost = list(self._tracks)
        seen: list[_Track] = []
        for landmarks in found:
            points = landmarks.points()
            centre = _centre(points)
            if any(track.is_at(centre, SAME) for track in seen):
                continue
            track = min(
                (track for track in lost if track.is_at(centre, REACH)),
                key=lambda track: float(np.linalg.norm(centre - track.centre)),
                default=None,
            )
            if track is None:
                track = _Track(landmarks, 1.0 if self._is_fresh else 1 / FADE_IN_IMAGES)
            else:
                lost.remove(track)
                track.filter.update(points, elapsed_s, track.size_px)
                track.confidence += CONFIDENCE_FOLLOWS * (landmarks.confidence - track.confidence)
                track.weight = min(1.0, track.weight + 1 / FADE_IN_IMAGES)
                track.locate()
            seen.append(track)
        self._has_lost_one = bool(lost)
        self._tracks = seen + _faded(lost)
        self._is_fresh = self._is_fresh and not found
        return [
            TrackedFace(
                FaceLandmarks(np.asarray(track.filter.value), track.confidence),
                track.weight,
                track.size_px,
                track.memory,
            )
            for track in self._tracks
        ]


def _faded(lost: list[_Track]) -> list[_Track]:
    for track in lost:
        track.weight -= 1 / FADE_OUT_IMAGES
    return [track for track in lost if track.weight > 1e-6]


def _centre(points: FacialArray) -> FacialArray:
    centre: FacialArray = points[:, :2].mean(axis=0)
    return centre
