"""Moves the shape of faces: one smooth warp for all sliders, on Y, U and V at once.

Each slider lays bumps (1 - (r / R)^2)^2 on a coarse field of shifts; they have no corners (C1).
The sum is held so that it never folds, ends before the rectangle does, and outside the face
moves less than the eye sees on a wall. Ours, after the usual local warps (Gustafsson 1993).
"""

import math
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from filters import mesh
from filters.facial_data import FacialData
from filters.image import Plane, YuvImage
from filters.parameters import Parameters
from filters.region import FaceRegion, Points
from filters.scratch import Scratch
from filters.stages.base import FaceStage, strength_of

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
# Turned heads: effect fades from the first asymmetry of the two halves of the face to the second.
TURNED = (0.35, 0.75)
# Weaker shifts than this many pixels are not worth a resampling, which always blurs a little.
LEAST_PX = 0.02

RIGHT_EYE_CENTRE, LEFT_EYE_CENTRE = mesh.RIGHT_IRIS_CENTRE, mesh.LEFT_IRIS_CENTRE
CONTOUR_R, CONTOUR_L = (132, 58, 172, 136, 150), (361, 288, 397, 365, 379)
CHEEK_R, CHEEK_L = (234, 93, 132, 58), (454, 323, 361, 288)
JAW_R, JAW_L = (58, 172, 136), (288, 397, 365)
CHIN_SIDE_R, CHIN_SIDE_L = (150, 149, 176), (379, 378, 400)
CHEEKBONE_R, CHEEKBONE_L = (227, 116, 123), (447, 345, 352)
NOSE_WING_R, NOSE_WING_L = (48, 64, 98), (278, 294, 327)
FOREHEAD = (10, 109, 338, 67, 297)
CHINS = (152, 148, 377)
NOSE_TIP = (1, 2, 4)
MOUTH_R, MOUTH_L = 61, 291
NOSE_BRIDGE, MOUTH_CENTRE = 168, 13


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
        right, below = self._axes
        shift = (along * right + down * below) * self._size_px
        self._pushes.append(
            (float(centre[0]), float(centre[1]), radius, float(shift[0]), float(shift[1]))
        )

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
        below = ((self._grid[1].T - y[:, None]) / reach[:, None]) ** 2
        bumps = np.float32(1) - below[:, :, None] - across[:, None, :]
        np.maximum(bumps, np.float32(0), out=bumps)
        bumps *= bumps
        flat = bumps.reshape(len(x), -1)
        self.x -= (right @ flat).reshape(self.x.shape)
        self.y -= (down @ flat).reshape(self.y.shape)

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
            down, across = np.gradient(field)
            slopes.append(float((np.abs(down) / down_px + np.abs(across) / across_px).max()))
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


# What one slider does to the field: points in pixels, shape (478, 2), and strength from -1 to 1.
ShapeSlider = Callable[[Warp, Points, float], None]


class Shape(FaceStage):
    """Slims, narrows, enlarges inside a rectangle around each face; its sides do not move."""

    name = "shape"
    parameters = (
        *("slim", "narrow", "v_shape", "jaw", "chin", "cheekbones", "forehead"),
        *("eye_size", "eye_distance", "nose_width", "nose_length", "mouth_size", "smile"),
    )

    def __init__(self) -> None:
        self._scratch = Scratch()

    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Warp one face in place; reads and writes inside the warp's rectangle only."""
        warp = make_warp(image, face, parameters)
        if warp is None:
            return
        self._remap(image.y, warp, scale=1)
        for plane in (image.u, image.v):
            self._remap(plane, warp, scale=2)

    def _remap(self, plane: Plane, warp: Warp, *, scale: int) -> None:
        take = self._scratch.take
        shape = (warp.height_px // scale, warp.width_px // scale)
        left, top = warp.left // scale, warp.top // scale
        target = plane[top : top + shape[0], left : left + shape[1]]
        source = take("source", shape, np.uint8)
        np.copyto(source, target)
        maps = []
        for field, axis in ((warp.x, 1), (warp.y, 0)):
            spread = take(f"map {axis}", shape, np.float32)
            cv2.resize(field, shape[::-1], dst=spread, interpolation=cv2.INTER_LINEAR)
            if scale > 1:
                np.multiply(spread, np.float32(1 / scale), out=spread)
            ramp = np.arange(shape[axis], dtype=np.float32)
            np.add(spread, ramp[None, :] if axis else ramp[:, None], out=spread)
            maps.append(spread)
        moved = take("moved", shape, np.uint8)
        cv2.remap(
            source,
            maps[0],
            maps[1],
            cv2.INTER_LINEAR,
            dst=moved,
            borderMode=cv2.BORDER_REPLICATE,
        )
        np.copyto(target, moved)


def make_warp(image: YuvImage, face: FaceRegion, parameters: Parameters) -> Warp | None:
    """The warp of one face; None when it would move nothing that anybody could see."""
    weight = face.weight * frontness(face.points)
    warp = Warp(face, image)
    if weight <= 0 or min(warp.width_px, warp.height_px) < 8:
        return None
    points = np.asarray(face.points)[:, :2]
    for name, shape in SHAPES.items():
        strength = strength_of(parameters, name)
        if strength:
            shape(warp, points, strength)
    warp.hold(face, image, weight)
    if max(float(np.abs(warp.x).max()), float(np.abs(warp.y).max())) < LEAST_PX:
        return None
    return warp


def frontness(points: Points) -> float:
    """1 for a face seen from the front, falling to 0 as it turns to the side."""
    flat = np.asarray(points)[:, :2]
    right = math.dist(flat[1].tolist(), flat[mesh.RIGHT_SIDE].tolist())
    left = math.dist(flat[1].tolist(), flat[mesh.LEFT_SIDE].tolist())
    asymmetry = abs(right - left) / max(right + left, 1e-3)
    part = (TURNED[1] - asymmetry) / (TURNED[1] - TURNED[0])
    part = min(max(part, 0.0), 1.0)
    return part * part * (3 - 2 * part)


def _axes(points: Points) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Unit vectors of the face: towards the person's left, and down to the chin."""
    across = (points[LEFT_EYE_CENTRE] - points[RIGHT_EYE_CENTRE]).astype(np.float64)
    length = float(np.hypot(*across))
    across = across / length if length > 1e-3 else np.array([1.0, 0.0])
    return across, np.array([-across[1], across[0]])


def _inwards(
    warp: Warp,
    points: Points,
    right: tuple[int, ...],
    left: tuple[int, ...],
    by: float,
    radius: float,
    down: float = 0.0,
) -> None:
    for numbers, sign in ((right, 1), (left, -1)):
        for number in numbers:
            share = 1 / len(numbers) ** 0.5
            warp.push(points[number], sign * by * share, down * share, radius)


def _slim(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, CONTOUR_R, CONTOUR_L, 0.04 * s, 0.26)


def _narrow(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, CHEEK_R, CHEEK_L, 0.03 * s, 0.3)


def _v_shape(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, CHIN_SIDE_R, CHIN_SIDE_L, 0.035 * s, 0.24, -0.006 * s)


def _jaw(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, JAW_R, JAW_L, 0.035 * s, 0.22)


def _chin(warp: Warp, points: Points, s: float) -> None:
    for number in CHINS:
        warp.push(points[number], 0.0, 0.02 * s, 0.22)


def _cheekbones(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, CHEEKBONE_R, CHEEKBONE_L, 0.03 * s, 0.2)


def _forehead(warp: Warp, points: Points, s: float) -> None:
    for number in FOREHEAD:
        warp.push(points[number], 0.0, -0.012 * s, 0.28)


def _eye_size(warp: Warp, points: Points, s: float) -> None:
    for number in (RIGHT_EYE_CENTRE, LEFT_EYE_CENTRE):
        warp.grow(points[number], 0.24 * s, 0.2)


def _eye_distance(warp: Warp, points: Points, s: float) -> None:
    warp.push(points[RIGHT_EYE_CENTRE], -0.025 * s, 0.0, 0.2)
    warp.push(points[LEFT_EYE_CENTRE], 0.025 * s, 0.0, 0.2)


def _nose_width(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, NOSE_WING_R, NOSE_WING_L, 0.018 * s, 0.13)


def _nose_length(warp: Warp, points: Points, s: float) -> None:
    for number in NOSE_TIP:
        warp.push(points[number], 0.0, 0.01 * s, 0.17)


def _mouth_size(warp: Warp, points: Points, s: float) -> None:
    warp.grow(points[MOUTH_CENTRE], 0.2 * s, 0.28)


def _smile(warp: Warp, points: Points, s: float) -> None:
    for number, sign in ((MOUTH_R, -1), (MOUTH_L, 1)):
        warp.push(points[number], sign * 0.012 * s, -0.03 * s, 0.17)


SHAPES: Mapping[str, ShapeSlider] = {
    "slim": _slim,
    "narrow": _narrow,
    "v_shape": _v_shape,
    "jaw": _jaw,
    "chin": _chin,
    "cheekbones": _cheekbones,
    "forehead": _forehead,
    "eye_size": _eye_size,
    "eye_distance": _eye_distance,
    "nose_width": _nose_width,
    "nose_length": _nose_length,
    "mouth_size": _mouth_size,
    "smile": _smile,
}
