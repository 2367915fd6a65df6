"""Tells a face's own skin from what covers it: hair, cloth, a mask, a hand.

It compares a face with itself and with no colour of ours, so it works alike on every skin. Ours.
"""

import cv2
import numpy as np
import numpy.typing as npt

from filters import mesh
from filters.facial_data import FacialData
from filters.image import BLACK_Y
from filters.region import FaceRegion, Grid, from_to, odd_cells, smooth_step

Cells = npt.NDArray[np.bool_]

# How far a cell may be from the face's median and count as its skin. Bounds of the deviation in
# code values: wide, for light is never even.
LUMA_SPREAD = (14.0, 30.0)
CHROMA_SPREAD = (3.0, 6.0)
# Deviations up to which a cell is fully skin, and from which on it is none: above the mesh, where
# it may as well be hair or cloth, and inside it, where skin is likely and shadows are deep.
ABOVE, WITHIN = (1.86, 3.04), (2.8, 4.0)
# Inside the mesh, what is only darker is rather shade than hair: it counts by this factor.
SHADOWS_COUNT = 0.3
# But what is darker than smooth skin by these parts of its light, as rough as hair, and above the
# eyes, is hair. Heights go from the middle of the nose to the middle of the forehead.
HAIR_DARKER, HAIR_HEIGHT = (0.05, 0.25), (0.3, 0.5)
# Above the mesh, what is as rough as hair is strange by so many deviations for that alone.
ROUGH_IS_STRANGE = 2.5
# Skin's roughness is at most the first, in parts of the light on it, or so many times that of the
# smoothest tenth of the face, for cameras are rough too; hair's is at least twice that. Averaged
# over a width in parts of the face's size. What is surely skin is smoother by a factor.
SKIN_ROUGHNESS, TIMES_SMOOTHEST, ROUGH_AROUND, SMOOTH = 0.04, 2.0, 0.06, 0.85
# Light that is never fallen below, in code values: in the dark all is rough.
LEAST_LIGHT = 8.0
# Part of a face that its smooth skin is at least.
LEAST_COMPARED = 0.25
# Highlights may be less colourful by this factor; paper and cloth that are lighter still, not.
LIGHTEST = 1.4
SOFTNESS = 0.06
CLEARLY_SKIN = 0.9
# Standard deviations of a normal distribution per median deviation.
NORMAL_PER_MEDIAN = 1.4826


class Complexion(FacialData):
    """What the cells of one face look like; all 0 to 1 per cell, shape ``grid_shape``.

    Attributes:
        within: How much a cell looks like this face's skin, leniently.
        above: The same where it may as well be hair or cloth, strictly.
        hair: How surely it is hair over the brow.
    """

    __slots__ = ("above", "hair", "within")

    def __init__(self, region: FaceRegion, skin: Grid, y: Grid, u: Grid, v: Grid) -> None:
        """Look at a face.

        Args:
            region: Where it is.
            skin: Where its skin should be, 0 to 1 per cell; 0 on eyes, brows, lips.
            y: Mean luma per cell.
            u: Mean Cb per cell.
            v: Mean Cr per cell.
        """
        face = skin > CLEARLY_SKIN
        if not face.any():
            face = skin >= skin.max()
        height = _height(region)
        clear = face & (height > 0)
        if not clear.any():
            clear = face
        light = _in_deviations(y, clear, LUMA_SPREAD)
        lightness = np.minimum(np.maximum(light, 0) + np.float32(1), np.float32(LIGHTEST))
        strange = np.zeros_like(y)
        for plane in (u, v):
            strange += (_in_deviations(plane, clear, CHROMA_SPREAD) / lightness) ** 2
        darker = np.maximum(-light, np.float32(0))
        shade = darker * darker
        rough, lit = _told_by_roughness(y, region, face, height)
        strange_above = strange + shade + np.float32(ROUGH_IS_STRANGE**2) * rough
        self.above = _likeness(strange_above, ABOVE, region)
        hair = (
            rough
            * from_to((np.float32(lit) - y) * np.float32(1 / LUMA_SPREAD[1]), HAIR_DARKER)
            * from_to(height, HAIR_HEIGHT)
        )
        strange += np.float32(SHADOWS_COUNT) * shade + np.float32(WITHIN[1] ** 2) * hair
        self.within = _likeness(strange, WITHIN, region)
        # Brows are rough and dark, too.
        self.hair = _softened(hair * np.minimum(skin * np.float32(2), np.float32(1)), region)


def _told_by_roughness(
    cells: Grid, region: FaceRegion, face: Cells, height: Grid
) -> tuple[Grid, float]:
    """Hair and skin by how much cells differ from those beside them.

    Args:
        cells: Luma.
        region: The face.
        face: Which cells should be its skin.
        height: Of each cell.

    Returns:
        How surely a cell is too rough for skin, 0 to 1, and the luma of the smooth skin: that of
        the upper half, or as far down as needed where the upper half is mostly hair.
    """
    width = odd_cells(ROUGH_AROUND, region)
    grain = cv2.blur(cv2.absdiff(cells, cv2.blur(cells, (3, 3))), (width, width))
    light = cv2.blur(cells, (width, width)) - np.float32(BLACK_Y)
    grain = np.divide(grain, np.maximum(light, np.float32(LEAST_LIGHT)))
    known = grain[face]
    smoothest = float(np.partition(known, known.size // 10)[known.size // 10])
    most = max(SKIN_ROUGHNESS, TIMES_SMOOTHEST * smoothest)
    rough = smooth_step(grain * np.float32(1 / most) - np.float32(1))
    smooth = face & (grain <= SMOOTH * most)
    if not smooth.any():
        smooth = face
    heights = height[smooth]
    lowest_first = heights.size - 1 - min(int(LEAST_COMPARED * known.size), heights.size - 1)
    lowest = min(0.0, float(np.partition(heights, lowest_first)[lowest_first]))
    return rough, _median(cells[smooth & (height >= lowest)])


def _height(region: FaceRegion) -> Grid:
    """How high on the face each cell is: 0 beside the middle of the nose, 1 at the forehead's."""
    middle, top = region.points[mesh.NOSE_MIDDLE], region.points[mesh.FOREHEAD_TOP]
    right, down = (float(top[axis] - middle[axis]) for axis in (0, 1))
    length = max(right * right + down * down, 1.0)
    rows, columns = region.grid_shape
    x = (np.arange(columns) + 0.5) * region.step + (region.left - float(middle[0]))
    y = (np.arange(rows) + 0.5) * region.step + (region.top - float(middle[1]))
    return np.asarray(x[None, :] * (right / length) + y[:, None] * (down / length), np.float32)


def _likeness(strangeness: Grid, bounds: tuple[float, float], region: FaceRegion) -> Grid:
    """1 for cells less strange than the first bound, 0 beyond the second, softly.

    Strangeness is in squared deviations, bounds in deviations.
    """
    near, far = (bound**2 for bound in bounds)
    likeness = (np.float32(far) - strangeness) * np.float32(1 / (far - near))
    likeness = np.asarray(np.minimum(np.maximum(likeness, np.float32(0)), np.float32(1)))
    return _softened(likeness, region)


def _softened(grid: Grid, region: FaceRegion) -> Grid:
    """A grid without hard borders; written to and returned."""
    width = odd_cells(SOFTNESS, region)
    for _ in range(2):
        cv2.blur(grid, (width, width), dst=grid)
    return grid


def _in_deviations(values: Grid, clear: Cells, bounds: tuple[float, float]) -> Grid:
    """Distance of each cell from the median of the clear ones, in (bounded) deviations."""
    offset: Grid = values - np.float32(_median(values[clear]))
    spread = NORMAL_PER_MEDIAN * _median(np.abs(offset[clear]))
    offset *= np.float32(1 / min(max(spread, bounds[0]), bounds[1]))
    return offset


def _median(values: Grid) -> float:
    middle = values.size // 2
    return float(np.partition(values, middle)[middle])
