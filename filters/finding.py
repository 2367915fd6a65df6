"""Finds faces in a stream: the nets look at every second or third picture."""

from collections.abc import Sequence

from filters.image import YuvImage
from filters.landmarks import FaceDetector, FaceLandmarks, ScoutingDetector
from filters.motion import FaceMotion

# One look costs ten times as much as following. On our clips, following for one picture is wrong
# by 0.1 to 0.5 % of a face's width (median), holding the last place by up to 0.8 %, and
# extrapolation by up to 1.1 %: `python -m benchmarks filters` measures it.
LOOK_EVERY = 2
# A face none of whose parts moves faster than this, in its widths per picture, is followed for
# one picture more: what following could miss (a lid, the lips) is smaller than this.
CALM_PACE = 0.006


class FaceFinder:
    """Alternates between the detector and :class:`filters.motion.FaceMotion`.

    Looks at every picture as long as there is no face or one has just been lost. Searching for
    further faces falls to pictures at which nobody looks, so that no picture pays for both.
    """

    def __init__(self, detector: FaceDetector, look_every: int = LOOK_EVERY) -> None:
        """Put the finder before a detector.

        Args:
            detector: Looks at pictures; the caller's to close.
            look_every: 1 looks at every picture, for files that have time.
        """
        self._detector = detector
        self._scout = detector if isinstance(detector, ScoutingDetector) else None
        self._look_every = look_every
        self._since_look = 0
        self._motions: list[FaceMotion] = []

    @property
    def has_looked(self) -> bool:
        """Whether the last picture cost more than others: a look, where there are turns."""
        return self._look_every > 1 and self._since_look == 0

    def find(
        self, image: YuvImage, *, look: bool = False, less_often: int = 1
    ) -> Sequence[FaceLandmarks]:
        """Where the faces of the next picture are; the picture is only read.

        Args:
            image: The next picture.
            look: Look now, whatever the turn: the scene changed, or a face was lost.
            less_often: The detector looks at one of so many pictures that it would look at.

        Raises:
            FilterError: The detector failed.
        """
        self._since_look += 1
        if not look and self._motions and self._since_look < less_often * self._patience():
            followed = [motion.follow(image) for motion in self._motions]
            known = [face for face in followed if face is not None]
            if len(known) == len(followed):
                if self._scout is not None:
                    self._scout.scout(image)
                return known
        found = self._detector.detect(image)
        self._since_look = 0
        is_following = self._look_every > 1
        self._motions = [FaceMotion(image, face) for face in found] if is_following else []
        return found

    def _patience(self) -> int:
        if self._look_every == 1:
            return 1
        is_calm = all(motion.pace < CALM_PACE for motion in self._motions)
        return self._look_every + is_calm

    def reset(self) -> None:
        """Forget where faces were; the next picture is looked at."""
        self._motions = []
