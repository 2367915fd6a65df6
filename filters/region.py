"""Where a face is in the picture: a rectangle, and a coarse grid of masks inside it."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from filters import mesh
from filters.face_memory import FaceMemory
from filters.facial_data import FacialData
from filters.image import Plane, YuvImage
from filters.landmarks import FaceLandmarks

Grid = npt.NDArray[np.float32]
# Landmarks while they are worked on; at run time a FacialArray, which does not print.
Points = npt.NDArray[np.float32]

# A face is 48 to 95 cells wide: coarse enough to be cheap, fine enough to draw an eye.
FINEST_CELLS = 96
# Points this many pictures away are nonsense, and would overflow the polygon filler.
FARTHEST_PICTURES = 4.0
SMALLEST_SIZE_PX = 4.0
# Height of a frontal face times this is its width; the larger of both is the size, so that
# turning and nodding change it little.
WIDTH_PER_HEIGHT = 0.8


class FaceRegion(FacialData):
    """One face in one picture.

    The rectangle starts on an even pixel, holds whole cells and has even sides; it may reach
    beyond the right and lower edge of the picture by less than ``max(2, step)`` pixels.

    Attributes:
        points: The landmarks in pixels, shape (478, 3), float32.
        weight: 0 to 1, how much of a filter's strength applies (faces fade in and out).
        confidence: 0 to 1, how sure the detector is of the points.
        size_px: Width of the face as seen from the front; steady, all lengths follow it.
        step: Pixels per grid cell and side, a power of two.
        left: First column of the rectangle.
        top: First row.
        width_px: Columns of the rectangle.
        height_px: Rows.
        skin: 0 to 1 per cell, float32, shape ``grid_shape``: skin, without eyes, brows, lips and
            nostrils.
        glow: The same for the whole face, fading over a wide border.
        likeness: 0 to 1 per cell: how much it looks like this face's skin, wherever it is.
        memory: What is kept of the face from picture to picture.
        in_haste: Whether this picture has no time for what can be taken from ``memory``.
    """

    __slots__ = (
        "confidence",
        "glow",
        "height_px",
        "in_haste",
        "left",
        "likeness",
        "memory",
        "points",
        "size_px",
        "skin",
        "step",
        "top",
        "weight",
        "width_px",
    )

    skin: Grid
    glow: Grid
    likeness: Grid

    def __init__(
        self,
        points: Points,
        weight: float,
        size_px: float,
        confidence: float,
        memory: FaceMemory,
    ) -> None:
        self.points = points
        self.confidence = confidence
        self.weight = weight
        self.size_px = size_px
        self.step = grid_step(size_px)
        self.memory = memory
        self.in_haste = False
        self.left = self.top = self.width_px = self.height_px = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the rectangle in luma pixels."""
        return self.height_px, self.width_px

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the grids."""
        return self.height_px // self.step, self.width_px // self.step

    def crop(self, plane: Plane, *, chroma: bool = False) -> Plane:
        """View of the rectangle in a luma or chroma plane, cut off at the picture's edge."""
        scale = 2 if chroma else 1
        top, left = self.top // scale, self.left // scale
        return plane[top : top + self.height_px // scale, left : left + self.width_px // scale]

    def place(self, image: YuvImage, outline: Points) -> bool:
        """Lay the rectangle around ``outline``, clipped to the picture.

        The grid is anchored to the picture, not to the face: a moving face does not shift the
        sampling, which would shimmer.

        Returns:
            Whether any of it is inside the picture.
        """
        align = max(2, self.step)
        sides = []
        for axis, limit_px in enumerate((image.width_px, image.height_px)):
            low, high = float(outline[:, axis].min()), float(outline[:, axis].max())
            first = max(0, (math.floor(low / align) - 1) * align)
            last = min(-(-limit_px // align), math.ceil(high / align) + 1) * align
            sides.append((first, last - first))
        (self.left, self.width_px), (self.top, self.height_px) = sides
        return (
            self.width_px > 0
            and self.height_px > 0
            and self.left < image.width_px
            and self.top < image.height_px
        )


def bounded_points(landmarks: FaceLandmarks, image: YuvImage) -> Points:
    """The landmarks, with points absurdly far outside the picture pulled nearer."""
    limit_px = FARTHEST_PICTURES * max(image.width_px, image.height_px)
    points = landmarks.points()
    return np.maximum(np.minimum(points, np.float32(limit_px)), np.float32(-limit_px))


def measure_size_px(points: Points) -> float:
    """Width of a face as seen from the front, in pixels."""
    return max(
        _distance_px(points[mesh.RIGHT_SIDE], points[mesh.LEFT_SIDE]),
        WIDTH_PER_HEIGHT * _distance_px(points[mesh.FOREHEAD_TOP], points[mesh.CHIN]),
    )


def grid_step(face_size_px: float) -> int:
    """Pixels per cell for a face of this size: the smallest power of two that keeps it coarse."""
    step = 1
    while face_size_px / step >= FINEST_CELLS:
        step *= 2
    return step


def odd_cells(part_of_face: float, face: FaceRegion) -> int:
    """The odd number of grid cells nearest to a length in parts of the face's size."""
    cells = part_of_face * face.size_px / face.step
    return 2 * max(0, round((cells - 1) / 2)) + 1


def _distance_px(one: Points, other: Points) -> float:
    return math.hypot(float(one[0]) - float(other[0]), float(one[1]) - float(other[1]))


def load_padded(target: Plane, source: Plane) -> None:
    """Copy ``source`` into the upper left of ``target``; its last column and row fill the rest."""
    rows, columns = source.shape
    np.copyto(target[:rows, :columns], source)
    if columns < target.shape[1]:
        target[:rows, columns:] = target[:rows, columns - 1 : columns]
    if rows < target.shape[0]:
        target[rows:] = target[rows - 1]


def scale_up(grid: Grid, target: Grid) -> Grid:
    """Spread a grid over pixels, bilinearly, cell centres on cell centres; returns ``target``."""
    rows, columns = target.shape
    if grid.shape == target.shape:
        np.copyto(target, grid)
    else:
        cv2.resize(grid, (columns, rows), dst=target, interpolation=cv2.INTER_LINEAR)
    return target


def cell_means(pixels: Grid, target: Grid) -> Grid:
    """Mean of the pixels of each cell, whose side is a power of two; returns ``target``.

    Halves again and again, which OpenCV does with vector instructions, other factors not.
    """
    while pixels.shape[0] > 2 * target.shape[0]:
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.float32)
    size = (target.shape[1], target.shape[0])
    cv2.resize(pixels, size, dst=target, interpolation=cv2.INTER_AREA)
    return target


def smooth_step(x: Grid) -> Grid:
    """0 below 0, 1 above 1, and without corners between; a new array."""
    x = np.minimum(np.maximum(x, np.float32(0)), np.float32(1))
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def from_to(values: Grid, bounds: tuple[float, float]) -> Grid:
    """0 up to the first bound, 1 from the second on, and without corners between; a new array."""
    return smooth_step((values - np.float32(bounds[0])) * np.float32(1 / (bounds[1] - bounds[0])))
