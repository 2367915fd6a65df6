"""Where people are in a stream: a net looks at some of its pictures, the mask is steadied and kept.

In between it moves along with people (``people_motion.py``). The net's edges tremble, so a new mask
counts in part; but what has moved by more than they tremble counts at once, or people would drag
their old outline along.
"""

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from filters.compositing import FULL, Codes, Mask
from filters.image import YuvImage
from filters.people_motion import PeopleMotion, moved_along
from filters.region import from_to

People = npt.NDArray[np.float32]

# One look of the net serves so many pictures.
LOOK_EVERY = 2
# Weight of the newest mask; half a second's trembling is averaged.
FOLLOWS = 0.6
# A change by more than a quarter that is this many cells wide both ways is no trembling.
MOVED_CELLS, MOVED_CODES = 3, 64
# A mean change of the mask beyond this is a cut, and nothing of the old mask stays.
JUMP_CODES = 38.0
# Where a person begins and is certain: the net's own edge is soft.
EDGE = (0.5, 0.9)


class PersonSegmenter(Protocol):
    """Tells people from their background."""

    def segment(self, image: YuvImage) -> People:
        """How much of each part of the picture is a person, 0 to 1, of any shape."""


class PeopleWatch:
    """Keeps the mask of what is behind people, from picture to picture."""

    def __init__(self, segmenter: PersonSegmenter) -> None:
        """Watch with this net; the caller's to close."""
        self._segmenter = segmenter
        self._people: Codes | None = None
        self._behind = Mask(np.zeros((1, 1), np.uint8))
        self._since_look = 0
        self._motion = PeopleMotion()

    def behind(self, image: YuvImage, *, times: int, now: bool, in_haste: bool) -> Mask:
        """How much of each part of the next picture is background.

        Args:
            image: The picture; only read.
            times: Let one mask serve so many times as many pictures as usual.
            now: Look at this picture, whatever the turn.
            in_haste: Rather look at the next one, if it would be this one's turn.
        """
        self._since_look += 1
        self._motion.see(image)
        late = self._since_look - LOOK_EVERY * times
        if self._people is None or now or late > 0 or (late == 0 and not in_haste):
            self._look(image)
        else:
            self._move(self._people)
        return self._behind

    def _move(self, people: Codes) -> None:
        flow = self._motion.flow()
        moved = None if flow is None else moved_along(people, flow)
        if moved is not None:
            self._people = moved
            self._behind = mask_behind(moved)

    def _look(self, image: YuvImage) -> None:
        self._since_look = 0
        newest = cv2.convertScaleAbs(self._segmenter.segment(image), alpha=FULL)
        people = np.asarray(newest, np.uint8)
        self._people = people if self._people is None else steadied(self._people, people)
        self._behind = mask_behind(self._people)


def steadied(people: Codes, newest: Codes) -> Codes:
    """A mask of people after the next look, 0 to 255 per cell; a new array."""
    if people.shape != newest.shape:
        return newest
    change = cv2.absdiff(newest, people)
    if cv2.mean(change)[0] > JUMP_CODES:
        return newest
    steady = cv2.addWeighted(newest, FOLLOWS, people, 1 - FOLLOWS, 0)
    around = np.ones((MOVED_CELLS, MOVED_CELLS), np.uint8)
    moved = cv2.morphologyEx(change, cv2.MORPH_OPEN, around)
    return np.where(moved > MOVED_CODES, newest, np.asarray(steady, np.uint8))


def mask_behind(people: Codes) -> Mask:
    """Where the background is, from how much of each cell is a person, 0 to 255."""
    return Mask(np.asarray(cv2.LUT(people, _BEHIND), np.uint8))


def _behind_codes() -> npt.NDArray[np.uint8]:
    """How much of a cell is background, by how much of it is a person, both 0 to 255."""
    people = np.arange(FULL + 1, dtype=np.float32) * np.float32(1 / FULL)
    certain = from_to(people, EDGE)
    codes: Codes = np.rint((1 - certain) * FULL).astype(np.uint8)
    return codes


_BEHIND = _behind_codes()
