"""What is kept of one face from picture to picture, for pictures that have no time to find out.

A picture at which the nets look costs twice as much as one in which faces are followed. So it
leaves to the next what can wait: masks move along with the face, and what smoothing measured still
holds. That is a 30th of a second old, and evens out what pictures cost.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from filters.facial_data import FacialData
from filters.scratch import Scratch

if TYPE_CHECKING:
    from filters.region import FaceRegion
    from filters.texture import TexturePatch


class FaceMemory(FacialData):
    """Lives as long as its face is tracked.

    Attributes:
        grids: Memory of the face's masks.
        drawn: The face in the last picture if its masks were drawn in it; else None.
        patches: What smoothing last measured on it; None before that.
        patches_age: In how many pictures that was used.
    """

    __slots__ = ("drawn", "grids", "patches", "patches_age")

    drawn: "FaceRegion | None"
    patches: "Sequence[TexturePatch] | None"

    def __init__(self) -> None:
        self.grids = Scratch()
        self.drawn = None
        self.patches = None
        self.patches_age = 0
