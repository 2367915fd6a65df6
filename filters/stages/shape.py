"""Moves the shape of faces: one smooth warp for all sliders, on Y, U and V at once.

The field is :class:`filters.warp.Warp`, what goes into it is in ``shape_sliders.py``.
"""

import math

import cv2
import numpy as np

from filters import mesh
from filters.image import Plane, YuvImage
from filters.parameters import Parameters
from filters.region import FaceRegion, Points
from filters.scratch import Scratch
from filters.stages.base import FaceStage, strength_of
from filters.stages.shape_sliders import SHAPES
from filters.warp import Field, Warp

# Turned heads: effect fades from the first asymmetry of the two halves of the face to the second.
TURNED = (0.35, 0.75)
# It fades, too, as the detector becomes unsure what it sees: none at the first confidence, all at
# the second.
SURE = (0.6, 0.9)
# Weaker shifts than this many pixels are not worth a resampling, which always blurs a little.
LEAST_PX = 0.02
# The resampling knows places to a 32nd of a pixel: a shift below half of that is none.
NO_SHIFT_PX = 1 / 64

Box = tuple[slice, slice]


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
        self._move((image.y,), warp, 1)
        self._move((image.u, image.v), warp, 2)

    def _move(self, planes: tuple[Plane, ...], warp: Warp, scale: int) -> None:
        """Move planes of one size, which is the picture's divided by ``scale``, together."""
        take = self._scratch.take
        shape = (warp.height_px // scale, warp.width_px // scale)
        left, top = warp.left // scale, warp.top // scale
        targets = [plane[top : top + shape[0], left : left + shape[1]] for plane in planes]
        box = moving_box(warp, shape, scale)
        x = self._sources(warp.x, 1, shape, box, scale)
        y = self._sources(warp.y, 0, shape, box, scale)
        # One channel as OpenCV wants it: without an axis of its own.
        depth = (len(planes),) if len(planes) > 1 else ()
        source = take("source", (*shape, *depth), np.uint8)
        moved = take("moved", (*x.shape, *depth), np.uint8)
        for channel, target in enumerate(targets):
            np.copyto(source[..., channel] if depth else source, target)
        cv2.remap(source, x, y, cv2.INTER_LINEAR, dst=moved, borderMode=cv2.BORDER_REPLICATE)
        for channel, target in enumerate(targets):
            np.copyto(target[box], moved[..., channel] if depth else moved)

    def _sources(
        self, field: Field, axis: int, shape: tuple[int, int], box: Box, scale: int
    ) -> Field:
        """Where each pixel of the box comes from, along one axis of a plane's rectangle."""
        spread = self._scratch.take(f"map {axis}", shape, np.float32)
        cv2.resize(field, shape[::-1], dst=spread, interpolation=cv2.INTER_LINEAR)
        places = spread[box]
        if scale > 1:
            np.multiply(places, np.float32(1 / scale), out=places)
        ramp = np.arange(box[axis].start, box[axis].stop, dtype=np.float32)
        return np.add(places, ramp[None, :] if axis else ramp[:, None], out=places)


def moving_box(warp: Warp, shape: tuple[int, int], scale: int) -> Box:
    """The part of a plane's rectangle in which anything moves, at least one pixel."""
    moves = np.maximum(np.abs(warp.x), np.abs(warp.y)) >= NO_SHIFT_PX * scale
    first_column, first_row, columns, rows = cv2.boundingRect(moves.view(np.uint8))
    sides = []
    for first, count, nodes, length in zip(
        (first_row, first_column), (rows, columns), moves.shape, shape, strict=True
    ):
        node_px = length / nodes
        # A node's shift reaches the centres of its neighbours.
        start = max(0, math.floor((first - 0.5) * node_px))
        stop = min(length, math.ceil((first + count + 0.5) * node_px))
        sides.append(slice(min(start, length - 1), max(stop, min(start, length - 1) + 1)))
    return sides[0], sides[1]


def make_warp(image: YuvImage, face: FaceRegion, parameters: Parameters) -> Warp | None:
    """The warp of one face; None when it would move nothing that anybody could see."""
    weight = face.weight * frontness(face.points) * sureness(face.confidence)
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


def sureness(confidence: float) -> float:
    """1 for a face that the detector is sure of, falling to 0: a wrong shape is worse than none."""
    return _smooth_step((confidence - SURE[0]) / (SURE[1] - SURE[0]))


def frontness(points: Points) -> float:
    """1 for a face seen from the front, falling to 0 as it turns to the side."""
    flat = np.asarray(points)[:, :2]
    right = math.dist(flat[1].tolist(), flat[mesh.RIGHT_SIDE].tolist())
    left = math.dist(flat[1].tolist(), flat[mesh.LEFT_SIDE].tolist())
    asymmetry = abs(right - left) / max(right + left, 1e-3)
    return _smooth_step((TURNED[1] - asymmetry) / (TURNED[1] - TURNED[0]))


def _smooth_step(part: float) -> float:
    part = min(max(part, 0.0), 1.0)
    return part * part * (3 - 2 * part)
