"""Where a face is to be looked at: a turned square, and the pixels in it for the landmark net."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from filters.facial_data import FacialData
from filters.image import Plane, YuvImage
from filters.scaling import halved

# What the landmark net takes in, per side.
CROP_PX = 192
# Side of the square in parts of the longer side of what it is laid around; the net was trained so.
MARGIN = 1.5
EYE_CORNERS = (33, 263)
SMALLEST_SIDE_PX = 8.0

Points = npt.NDArray[np.float32]


class FaceRoi(FacialData):
    """A square on a picture, turned so that the face in it is upright.

    Attributes:
        x: Centre, in pixels.
        y: Centre, in pixels.
        side_px: Length of its sides.
        angle: By how much it is turned clockwise, in radians.
    """

    __slots__ = ("angle", "side_px", "x", "y")

    def __init__(self, x: float, y: float, side_px: float, angle: float) -> None:
        self.x, self.y, self.side_px, self.angle = x, y, side_px, angle

    @classmethod
    def around(cls, points: Points) -> "FaceRoi":
        """The square in which to look for a face that was at ``points``, shape (478, 3)."""
        flat = np.asarray(points)[:, :2]
        low, high = flat.min(axis=0), flat.max(axis=0)
        right, left = flat[EYE_CORNERS[0]], flat[EYE_CORNERS[1]]
        return cls(
            float(low[0] + high[0]) / 2,
            float(low[1] + high[1]) / 2,
            MARGIN * float((high - low).max()),
            math.atan2(float(left[1] - right[1]), float(left[0] - right[0])),
        )

    def is_on(self, other: "FaceRoi") -> bool:
        """Whether both must be about the same face."""
        distance = math.hypot(self.x - other.x, self.y - other.y)
        return distance < 0.4 / MARGIN * max(self.side_px, other.side_px)

    def to_picture(self, points: Points) -> Points:
        """Points in parts of the square's sides, in pixels of the picture; z has x's scale."""
        cosine, sine = np.float32(math.cos(self.angle)), np.float32(math.sin(self.angle))
        x, y = points[:, 0] - np.float32(0.5), points[:, 1] - np.float32(0.5)
        result = np.empty_like(points)
        side = np.float32(self.side_px)
        result[:, 0] = (cosine * x - sine * y) * side + np.float32(self.x)
        result[:, 1] = (sine * x + cosine * y) * side + np.float32(self.y)
        result[:, 2] = points[:, 2] * side
        return result


class FaceCropper:
    """Cuts squares out of pictures as the landmark net wants them; owns their memory."""

    def __init__(self) -> None:
        self._i420 = np.empty((CROP_PX * 3 // 2, CROP_PX), np.uint8)
        self._rgb = np.empty((CROP_PX, CROP_PX, 3), np.uint8)

    def crop(self, image: YuvImage, roi: FaceRoi) -> Plane | None:
        """The square's pixels as RGB, shape (192, 192, 3), valid until the next call.

        What lies beyond the picture repeats its edge.

        Returns:
            None when the square is outside the picture or has no pixels.
        """
        if not SMALLEST_SIDE_PX <= roi.side_px < 1e6:
            return None
        halvings = max(0, int(roi.side_px / CROP_PX).bit_length() - 1)
        box = self._box(image, roi, 2 << halvings)
        if box is None:
            return None
        half = CROP_PX // 2
        u, v = self._i420[CROP_PX:].reshape(2, half, half)
        for plane, scale, target in (
            (image.y, 1, self._i420[:CROP_PX]),
            (image.u, 2, u),
            (image.v, 2, v),
        ):
            self._cut(plane, roi, box, halvings, scale, target)
        cv2.cvtColor(self._i420, cv2.COLOR_YUV2RGB_I420, dst=self._rgb)
        return self._rgb

    def _box(
        self, image: YuvImage, roi: FaceRoi, align_px: int
    ) -> tuple[int, int, int, int] | None:
        """The upright rectangle around the square inside the picture: left, top, right, bottom."""
        reach = 0.5 * roi.side_px * (abs(math.cos(roi.angle)) + abs(math.sin(roi.angle)))
        sides = []
        for centre, limit_px in ((roi.x, image.width_px), (roi.y, image.height_px)):
            first = max(0, math.floor(centre - reach - 2) // align_px * align_px)
            last = min(limit_px, math.ceil(centre + reach + 2))
            if last - first < align_px:
                return None
            sides.append((first, last))
        (left, right), (top, bottom) = sides
        return left, top, right, bottom

    def _cut(
        self,
        plane: Plane,
        roi: FaceRoi,
        box: tuple[int, int, int, int],
        halvings: int,
        scale: int,
        target: Plane,
    ) -> None:
        left, top, right, bottom = (side // scale for side in box)
        pixels = plane[top:bottom, left:right]
        if pixels.strides[1] != 1:
            pixels = np.ascontiguousarray(pixels)
        pixels = halved(pixels, halvings)
        unit = scale << halvings
        side, count = roi.side_px / unit, target.shape[0]
        # From the centre of the target's pixel (i, j) to the centre of the source's pixel.
        cosine, sine = math.cos(roi.angle) * side / count, math.sin(roi.angle) * side / count
        middle = 0.5 - 0.5 * count
        matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0]])
        matrix[:, 2] = matrix[:, :2] @ (middle, middle)
        matrix[:, 2] += (roi.x - box[0]) / unit - 0.5, (roi.y - box[1]) / unit - 0.5
        cv2.warpAffine(
            pixels,
            matrix,
            (count, count),
            dst=target,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
