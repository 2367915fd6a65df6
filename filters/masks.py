"""Draws the masks of a face: what is skin, what must be left alone, what may glow.

Everything fades inwards from the outline, so nothing outside the face is ever touched.
"""

import cv2
import numpy as np
import numpy.typing as npt

from filters import mesh
from filters.carrying import carry_masks
from filters.complexion import Complexion
from filters.image import Plane, YuvImage
from filters.region import (
    SMALLEST_SIZE_PX,
    FaceRegion,
    Grid,
    Points,
    bounded_points,
    load_padded,
    odd_cells,
)
from filters.scratch import Scratch
from filters.tracking import TrackedFace

Mask = npt.NDArray[np.uint8]
Corners = npt.NDArray[np.int32]

OUTLINE = (mesh.FACE_OVAL, mesh.SECOND_RING, mesh.THIRD_RING)
FEATURES = (
    *(mesh.RIGHT_EYE_RIM, mesh.LEFT_EYE_RIM, mesh.RIGHT_BROW, mesh.LEFT_BROW),
    *(mesh.LIPS, mesh.NOSE_BASE),
)
# Widths of the fading borders in parts of the face's size: half of the ramp from 0 to 1.
GLOW_FADE = 0.17
FEATURE_FADE = 0.055
# Skin fades over this part of the glow's border.
SKIN_STEEPNESS = 2.0
# The mesh ends at mid-forehead; the outline is lifted by this part of the face's height at most.
FOREHEAD_LIFT = 0.24
# Sub-pixel bits of the polygon filler: without them masks would jump from cell to cell.
SHIFT = 4
FULL = 255


class MaskBuilder:
    """Turns faces into regions; owns the memory that drawing takes."""

    def __init__(self) -> None:
        self._scratch = Scratch()

    def build(
        self, image: YuvImage, face: TrackedFace, *, in_haste: bool = False
    ) -> FaceRegion | None:
        """Draw the masks of one face.

        Args:
            image: The picture as it came, before any stage; only read.
            face: Where the face is and how much of it counts.
            in_haste: Move the masks of the picture before along, if they were drawn in it.

        Returns:
            The region, whose grids are valid until the same face is built again; None when the
            face is outside the picture, too small to have skin, or has faded out.
        """
        points, memory = bounded_points(face.landmarks, image), face.memory
        before, memory.drawn = memory.drawn, None
        region = FaceRegion(points, face.weight, face.size_px, face.landmarks.confidence, memory)
        if region.size_px < SMALLEST_SIZE_PX or region.weight <= 0:
            return None
        lifted = lift_forehead(points)
        outline = np.concatenate((lifted, *(points[ring] for ring in OUTLINE)))
        if not region.place(image, outline):
            return None
        region.in_haste = in_haste and before is not None and before.step == region.step
        if region.in_haste and before is not None:
            carry_masks(before, region, memory.grids)
        else:
            self._draw(image, region, lifted)
            memory.drawn = region
        return region

    def _draw(self, image: YuvImage, region: FaceRegion, lifted: Points) -> None:
        take, shape, keep = self._scratch.take, region.grid_shape, region.memory.grids.take
        # Drawn and blurred with a rim around the region: what lies beyond it, even beyond the
        # picture, then counts as it should instead of being guessed.
        rim = odd_cells(GLOW_FADE, region)
        corners = cell_corners(region, region.points, rim)
        oval = self._fill(shape, rim, "oval", [corners[ring] for ring in OUTLINE])
        tall = self._fill(shape, rim, "tall", [cell_corners(region, lifted, rim)])
        cv2.max(tall, oval, dst=tall)
        # On their side: the filler is exact along rows and jumps by half a cell across them, and
        # eyes, brows and lips are wide and low.
        lying = self._fill(shape[::-1], rim, "features", [corners[ring, ::-1] for ring in FEATURES])

        fade, feature_fade = odd_cells(GLOW_FADE, region), odd_cells(FEATURE_FADE, region)
        glow = _ramp(oval, fade, rim, (2, -1), keep("glow", shape, np.float32))
        above = _ramp(tall, fade, rim, (2, -1), take("above", shape, np.float32))
        bare = _ramp(lying, feature_fade, rim, (-2, 1), take("bare", shape[::-1], np.float32)).T

        skin = keep("skin", shape, np.float32)
        inside = np.minimum(glow * np.float32(SKIN_STEEPNESS), np.float32(1))
        np.multiply(inside, bare, out=skin)
        chroma = (self._sample(plane, region, chroma=True) for plane in (image.u, image.v))
        seen = Complexion(region, skin, self._sample(image.y, region, chroma=False), *chroma)
        region.likeness = seen.within
        inside *= seen.within
        above *= seen.above
        np.maximum(inside, above, out=skin)
        np.multiply(skin, bare, out=skin)
        glow *= np.float32(1) - seen.hair
        np.maximum(glow, above, out=glow)
        region.skin, region.glow = skin, glow

    def _fill(self, shape: tuple[int, int], rim: int, name: str, polygons: list[Corners]) -> Mask:
        mask = self._scratch.take(name, (shape[0] + 2 * rim, shape[1] + 2 * rim), np.uint8)
        mask.fill(0)
        for polygon in polygons:  # one by one: together, overlaps would become holes
            cv2.fillPoly(mask, [polygon], (FULL,), cv2.LINE_AA, SHIFT)
        return mask

    def _sample(self, plane: Plane, region: FaceRegion, *, chroma: bool) -> Grid:
        """Mean of a plane per cell, a new array; past the picture's edge its last pixels go on."""
        scale = 2 if chroma else 1
        rows, columns = region.grid_shape
        shape = (region.height_px // scale, region.width_px // scale)
        pixels = region.crop(plane, chroma=chroma)
        if pixels.shape != shape or pixels.strides[1] != 1:
            padded = self._scratch.take("padded", shape, np.uint8)
            load_padded(padded, pixels)
            pixels = padded
        while pixels.shape[0] > 2 * rows:  # halving is quick, other factors are not
            half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
            pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.uint8)
        means = self._scratch.take("means", (rows, columns), np.uint8)
        # At one pixel per cell chroma has to grow, which INTER_AREA does bluntly.
        how = cv2.INTER_LINEAR if chroma and region.step == 1 else cv2.INTER_AREA
        cv2.resize(pixels, (columns, rows), dst=means, interpolation=how)
        return means.astype(np.float32)


def lift_forehead(points: Points) -> Points:
    """The face's oval with its upper part moved up towards the hairline, shape (36, 3)."""
    upwards = points[mesh.FOREHEAD_TOP] - points[mesh.CHIN]
    lifted: Points = points[mesh.FACE_OVAL] + mesh.FOREHEAD_LEVELS * (FOREHEAD_LIFT * upwards)
    return lifted


def cell_corners(region: FaceRegion, points: Points, rim: int = 0) -> Corners:
    """Points in cells of the region's grid with its rim, as the polygon filler wants them."""
    origin = np.array([region.left, region.top], np.float32)
    # A cell's number means its centre, a pixel coordinate of a landmark its corner.
    cells = (points[:, :2] - origin) * np.float32(1 / region.step) + np.float32(rim - 0.5)
    corners: Corners = np.rint(cells * np.float32(1 << SHIFT)).astype(np.int32)
    return corners


def _ramp(mask: Mask, width: int, rim: int, line: tuple[float, float], target: Grid) -> Grid:
    """Blur ``mask``, cut off its rim, and put it through a line clipped to 0 and 1.

    A blurred mask is one half at its outline: the line (2, -1) starts there and rises inwards,
    (-2, 1) rises outwards. Writes to both arrays and returns ``target``.
    """
    for _ in range(2):
        cv2.blur(mask, (width, width), dst=mask)
    slope, offset = line
    np.multiply(mask[rim:-rim, rim:-rim], np.float32(slope / FULL), out=target)
    np.add(target, np.float32(offset), out=target)
    np.maximum(target, np.float32(0), out=target)
    return np.minimum(target, np.float32(1), out=target)
