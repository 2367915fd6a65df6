"""The field of shifts that moves a face's shape: smooth, bounded, without folds.

Bumps (1 - (r / R)^2)^2 on a coarse grid of nodes; they have no corners (C1). The sum is held so
that it never folds, ends before the rectangle does, and outside the face moves less than the eye
sees on a wall. Ours, after the usual local warps (Gustafsson 1993).
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from filters import mesh
from filters.facial_data import FacialData
from filters.image import YuvImage
from filters.region import FaceRegion, Points

Field = npt.NDArray[np.float32]

# Pixels per node of the field, in parts of the face's size, and the rim around the face's points.
NODES_PER_FACE = 32
RIM = 0.3
# The field falls to 0 over this part of the face's size along the rectangle's sides.
TAPER = 0.22
# Largest slope of the field: below 1 nothing folds; at 0.5 the Jacobian stays above 0.25.
STEEPEST = 0.5
# Shifts outside the face: parts of its size, and pixels per 720 rows of picture, whichever is
# less. A straight line behind the face bends by no more than this.
OUTSIDE, OUTSIDE_PX = 0.0125, 2.6
# Inside it may move by this much more per pixel of depth, beginning softly over this part of the
# face's size.
DEPTH_SLOPE, DEPTH_SOFTNESS = 0.5, 0.04
OUTLINE_NODES = 2.0
# Bumps laid at once: their nodes stay in the processor's cache.
PUSHES_AT_ONCE = 8


class Warp(FacialData):
    """The field of shifts of one face, on nodes of a rectangle.

    A pixel of the result at ``p`` is taken from ``p + shift(p)``.

    Attributes:
        left: First column of the rectangle, even.
        top: First row, even.
        width_px: Columns, even.
        height_px: Rows, even.
        x: Shift to the right per node, in pixels, shape (rows, columns).
        y: Shift down.
    """

    __slots__ = (
        "_axes",
        "_grid",
        "_pushes",
        "_size_px",
        "height_px",
        "left",
        "top",
        "width_px",
        "x",
        "y",
    )

    def __init__(self, face: FaceRegion, image: YuvImage) -> None:
        points = np.asarray(face.points)[:, :2]
        self._size_px = face.size_px
        rim_px = RIM * face.size_px
        sides = []
        for axis, limit_px in enumerate((image.width_px, image.height_px)):
            low = max(0.0, float(points[:, axis].min()) - rim_px)
            high = min(float(limit_px), float(points[:, axis].max()) + rim_px)
            first, last = int(low) // 2 * 2, int(high) // 2 * 2
            sides.append((first, max(0, last - first)))
        (self.left, self.width_px), (self.top, self.height_px) = sides
        step = max(face.size_px / NODES_PER_FACE, 1.0)
        rows, columns = (max(4, round(side / step)) for side in (self.height_px, self.width_px))
        self.x, self.y = (
            np.zeros((rows, columns), np.float32),
            np.zeros((rows, columns), np.float32),
        )
        across = (np.arange(columns) + 0.5) * (self.width_px / columns) + self.left
        down = (np.arange(rows) + 0.5) * (self.height_px / rows) + self.top
        self._grid = (across[None, :].astype(np.float32), down[:, None].astype(np.float32))
        self._axes = _axes(points)
        self._pushes: list[tuple[float, float, float, float, float]] = []

    def push(self, centre: Points, along: float, down: float, radius: float) -> None:
        """Move what is around ``centre`` by a shift in the face's own directions.

        Args:
            centre: In pixels, shape (2,).
            along: Towards the person's left, in parts of the face's size.
            down: Towards the chin.
            radius: Where the shift ends, in parts of the face's size.
        """
        right_x, right_y = self._axes
        right = (along * right_x - down * right_y) * self._size_px
        below = (along * right_y + down * right_x) * self._size_px
        self._pushes.append((float(centre[0]), float(centre[1]), radius, right, below))

    def grow(self, centre: Points, by: float, radius: float) -> None:
        """Magnify what is around ``centre``; ``by`` 0.1 makes its middle a tenth larger."""
        reach = max(radius * self._size_px, 1.0)
        x, y = self._grid[0] - np.float32(centre[0]), self._grid[1] - np.float32(centre[1])
        bump = np.maximum(1 - (x * x + y * y) * np.float32(1 / reach**2), 0)
        bump *= bump
        bump *= np.float32(-by / (1 + by) if by > 0 else -by)
        self.x += bump * x
        self.y += bump * y

    def settle(self) -> None:
        """Work what was pushed into the field, all at once."""
        if not self._pushes:
            return
        x, y, radius, right, down = np.array(self._pushes, np.float32).T
        self._pushes.clear()
        reach = np.maximum(radius * np.float32(self._size_px), np.float32(1))
        across = ((self._grid[0] - x[:, None]) / reach[:, None]) ** 2
        below = np.float32(1) - ((self._grid[1].T - y[:, None]) / reach[:, None]) ** 2
        room = np.empty((PUSHES_AT_ONCE, *self.x.shape), np.float32)
        for first in range(0, len(x), PUSHES_AT_ONCE):
            some = slice(first, first + PUSHES_AT_ONCE)
            bumps = room[: len(x[some])]
            np.subtract(below[some, :, None], across[some, None, :], out=bumps)
            np.maximum(bumps, np.float32(0), out=bumps)
            np.multiply(bumps, bumps, out=bumps)
            flat = bumps.reshape(len(bumps), -1)
            self.x -= (right[some] @ flat).reshape(self.x.shape)
            self.y -= (down[some] @ flat).reshape(self.y.shape)

    def hold(self, face: FaceRegion, image: YuvImage, weight: float) -> None:
        """Keep the field within its bounds: quiet outside the face, 0 at the rim, fold-free."""
        self.settle()
        limit = self._limits(face, image)
        length = np.sqrt(self.x**2 + self.y**2)
        scale = self._window() / np.sqrt(1 + (length / limit) ** 2) * np.float32(weight)
        self.x *= scale
        self.y *= scale
        steepest = self.steepest()
        if steepest > STEEPEST:
            self.x *= np.float32(STEEPEST / steepest)
            self.y *= np.float32(STEEPEST / steepest)

    def steepest(self) -> float:
        """How fast shifts change from pixel to pixel; below 1 the warp does not fold."""
        rows, columns = self.x.shape
        down_px, across_px = self.height_px / rows, self.width_px / columns
        slopes = []
        for field in (self.x, self.y):
            slope = np.zeros((rows, columns), np.float32)
            slope[1:-1] = np.abs(field[2:] - field[:-2]) * np.float32(0.5 / down_px)
            slope[:, 1:-1] += np.abs(field[:, 2:] - field[:, :-2]) * np.float32(0.5 / across_px)
            slopes.append(float(slope.max()))
        return max(slopes)

    def _limits(self, face: FaceRegion, image: YuvImage) -> Field:
        """How far each node may move: little outside the face's outline, more the deeper inside."""
        rows, columns = self.x.shape
        scale = np.array([columns / self.width_px, rows / self.height_px], np.float32)
        origin = np.array([self.left, self.top], np.float32)
        oval = np.asarray(face.points)[mesh.FACE_OVAL, :2]
        corners = np.rint(((oval - origin) * scale - 0.5) * 16).astype(np.int32)
        inside = np.zeros((rows, columns), np.uint8)
        cv2.fillPoly(inside, [corners], (1,), shift=4)
        node_px = np.float32(0.5 * (1 / scale[0] + 1 / scale[1]))
        # The filler counts nodes on the outline as inside.
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - np.float32(OUTLINE_NODES)
        # Without a node outside, depth has no end.
        depth = np.clip(depth, 0, NODES_PER_FACE) * node_px
        outside_px = min(
            OUTSIDE * self._size_px, OUTSIDE_PX * max(image.height_px, image.width_px / 2) / 720
        )
        softness = np.float32(DEPTH_SOFTNESS * self._size_px)
        limit = np.float32(outside_px) + np.float32(DEPTH_SLOPE) * depth**2 / (depth + softness)
        # Rounds the corner at the outline; it stays inside, for depth begins two nodes further in.
        limit = np.asarray(cv2.blur(limit, (3, 3)), np.float32)
        return np.maximum(limit, np.float32(1e-3))

    def _window(self) -> Field:
        """1 inside, falling to 0 with no slope before the rectangle's sides."""
        taper_px = max(min(TAPER * self._size_px, 0.45 * min(self.width_px, self.height_px)), 1.0)
        sides = []
        for axis, (first, length) in enumerate(
            ((self.left, self.width_px), (self.top, self.height_px))
        ):
            place = self._grid[axis].ravel() - np.float32(first)
            # The outermost two nodes are 0, so the spread field is 0 on the border's pixels.
            node_px = length / place.size
            inwards = np.minimum(place, length - place) - np.float32(1.6 * node_px)
            part = np.clip(inwards / np.float32(taper_px), 0, 1)
            sides.append(part * part * (3 - 2 * part))
        return np.asarray(sides[1][:, None] * sides[0][None, :], np.float32)


def _axes(points: Points) -> tuple[float, float]:
    """The unit vector towards the person's left; a quarter turn clockwise it points to the chin."""
    right, left = points[mesh.RIGHT_IRIS_CENTRE].tolist(), points[mesh.LEFT_IRIS_CENTRE].tolist()
    length = math.dist(right, left)
    if length < 1e-3:
        return 1.0, 0.0
    return (left[0] - right[0]) / length, (left[1] - right[1]) / length
