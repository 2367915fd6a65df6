"""Moves a mask of people along with them, in pictures at which the segmentation net does not look.

Dense optical flow (Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search") on a tiny
copy of luma: a twentieth of the net's cost, and without it a mask trails behind whoever moves, by
a picture's way or two.
"""

import cv2
import numpy as np
import numpy.typing as npt

from filters.compositing import FULL, Codes
from filters.image import YuvImage
from filters.scaling import shrink_into

Flow = npt.NDArray[np.float32]

# The copy's sides; a cell of it is 10 pixels of a picture 1280 wide.
WIDTH, HEIGHT = 128, 72
# Flow is found in patches of cells twice as wide.
FINEST_SCALE = 1
# People's own motion is averaged over so many cells, and goes on beyond their outline: near it, the
# flow is partly that of the background, so within half of the second of it little counts.
AROUND, RIM, RIM_COUNTS = 25, 7, 0.05
# Motion in cells per picture: less is within the width of the mask's own border, more is none.
SLOWEST, FASTEST = 0.3, 16.0
# Mean difference of two pictures, in code values, below which nothing moves by that much.
LEAST_CHANGE = 0.6
# Part of a person below which there is nobody whose motion could be known.
LEAST_PERSON = 1e-3


class PeopleMotion:
    """Remembers the last two pictures, in tiny; owns their memory. Not thread-safe."""

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(FINEST_SCALE)
        self._before, self._now = (np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(2))

    def see(self, image: YuvImage) -> None:
        """Take the next picture; it is only read."""
        self._before, self._now = self._now, self._before
        shrink_into(image.y, self._now)

    def flow(self) -> Flow | None:
        """Where everything in the picture before the last has gone, in cells, shape (72, 128, 2).

        Both have to have been seen.

        Returns:
            None when they are too much alike to be worth the time.
        """
        if cv2.mean(cv2.absdiff(self._before, self._now))[0] < LEAST_CHANGE:
            return None
        flow = self._search.calc(self._before, self._now, None)  # type: ignore[call-overload]
        return np.asarray(flow, np.float32)


def moved_along(people: Codes, flow: Flow) -> Codes | None:
    """A mask of people, 0 to 255 per cell, where they are one picture later.

    Returns:
        A new array; None when nobody has moved.
    """
    size = (WIDTH, HEIGHT)
    small = cv2.resize(people, size, interpolation=cv2.INTER_LINEAR)
    within = cv2.erode(small, np.ones((RIM, RIM), np.uint8))
    weight = cv2.addWeighted(
        within, (1 - RIM_COUNTS) / FULL, small, RIM_COUNTS / FULL, 0, dtype=cv2.CV_32F
    )
    around = (AROUND, AROUND)
    share = cv2.max(cv2.blur(weight, around), LEAST_PERSON)  # type: ignore[call-overload]
    motion = [
        cv2.divide(cv2.blur(cv2.multiply(axis, weight), around), share) for axis in cv2.split(flow)
    ]
    fastest = max(float(np.abs(axis[small != 0]).max(initial=0)) for axis in motion)
    if not SLOWEST < fastest < FASTEST:
        return None
    rows, columns = people.shape
    x, y = (
        cv2.resize(axis, (columns, rows), interpolation=cv2.INTER_LINEAR)
        * np.float32(-cells / count)
        for axis, cells, count in zip(motion, (columns, rows), size, strict=True)
    )
    x += np.arange(columns, dtype=np.float32)
    y += np.arange(rows, dtype=np.float32)[:, None]
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(people, x, y, cv2.INTER_LINEAR, borderMode=border), np.uint8)
