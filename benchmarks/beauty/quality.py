"""How much a filter took from a face and how much it left: figures without a human eye.

Two figures, both from luma. Texture is the standard deviation of a band from 1 to 4 pixels
(difference of two Gaussians) on a cheek: what smoothing should lower. Gradient energy is the
mean squared gradient around the eyes: what smoothing must keep. Areas come from landmarks of the
unfiltered picture.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from filters import mesh
from filters.facial_data import FacialData
from filters.image import YuvImage
from filters.landmarks import FaceDetector, FaceLandmarks

Luma = npt.NDArray[np.uint8]
Area = npt.NDArray[np.bool_]

FINEST_PX, COARSEST_PX = 1.0, 4.0
# A detector that follows a face sees it best on its third look at the same picture.
LOOKS = 3
# Away from fold and hair; with lids and lashes.
CHEEK_SIZE, EYE_SIZE = 0.8, 1.25


class FaceAreas(FacialData):
    """Where to measure on one face.

    Attributes:
        cheeks: True where cheek is measured, shape (H, W): on the one nearer to the camera, for
            the other is often a sliver between nose and hair.
        eyes: True on both eyes with lids and lashes, shape (H, W).
    """

    __slots__ = ("cheeks", "eyes")

    def __init__(self, landmarks: FaceLandmarks, height_px: int, width_px: int) -> None:
        flat = np.asarray(landmarks.points())[:, :2]
        cheeks = [_grown(flat[ring], CHEEK_SIZE) for ring in (mesh.LEFT_CHEEK, mesh.RIGHT_CHEEK)]
        near = max(cheeks, key=cv2.contourArea)
        eyes = [_grown(flat[ring], EYE_SIZE) for ring in (mesh.LEFT_EYE, mesh.RIGHT_EYE)]
        self.cheeks = _filled([near], height_px, width_px)
        self.eyes = _filled(eyes, height_px, width_px)


def find_areas(image: YuvImage, detector: FaceDetector) -> FaceAreas:
    """Find the face in an unfiltered picture and the areas to measure on it.

    Args:
        image: The picture; only read.
        detector: A face detector of its own; the picture is shown to it several times.

    Raises:
        ValueError: No face was found.
    """
    found: Sequence[FaceLandmarks] = []
    for _ in range(LOOKS):
        found = detector.detect(image)
    if not found:
        raise ValueError("there is no face to measure")
    return FaceAreas(found[0], image.height_px, image.width_px)


def image_of_rgb(rgb: npt.NDArray[np.uint8]) -> YuvImage:
    """Convert a captured RGB picture, shape (H, W, 3), cut to even sides."""
    rgb = np.ascontiguousarray(rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2])
    height_px, width_px = rgb.shape[:2]
    i420 = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
    u, v = i420[height_px:].reshape(2, height_px // 2, width_px // 2)
    return YuvImage(i420[:height_px], u, v)


def texture(luma: Luma, area: Area) -> float:
    """Standard deviation of the 1 to 4 pixel band inside ``area``, in code values."""
    pixels = luma.astype(np.float32)
    band = cv2.GaussianBlur(pixels, (0, 0), FINEST_PX) - cv2.GaussianBlur(
        pixels, (0, 0), COARSEST_PX
    )
    return float(band[area].std())


def gradient_energy(luma: Luma, area: Area) -> float:
    """Mean squared gradient (central differences) inside ``area``."""
    down, across = np.gradient(luma.astype(np.float32))
    return float((down**2 + across**2)[area].mean())


def texture_ratio(before: Luma, after: Luma, area: Area) -> float:
    """Texture left by a filter: 1 is all of it, 0 none.

    Args:
        before: Luma of the unfiltered picture, shape (H, W).
        after: Luma of the filtered one, same shape.
        area: Where to measure; :attr:`FaceAreas.cheeks`.
    """
    return texture(after, area) / max(texture(before, area), 1e-6)


def gradient_ratio(before: Luma, after: Luma, area: Area) -> float:
    """Gradient energy left by a filter; arguments as for :func:`texture_ratio`, on the eyes."""
    return gradient_energy(after, area) / max(gradient_energy(before, area), 1e-6)


def _grown(polygon: npt.NDArray[np.float32], factor: float) -> npt.NDArray[np.float32]:
    centre = polygon.mean(axis=0)
    return np.asarray(centre + (polygon - centre) * factor, np.float32)


def _filled(polygons: Sequence[npt.NDArray[np.float32]], height_px: int, width_px: int) -> Area:
    mask = np.zeros((height_px, width_px), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], (1,))
    area: Area = mask.astype(bool)
    return area
