"""Faces for filter tests: landmarks that fit anywhere, grainy pictures, real media."""

import functools
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data

from benchmarks.beauty.quality import image_of_rgb
from filters import mesh
from filters.image import YuvImage
from filters.landmarks import FaceLandmarks
from filters.masks import MaskBuilder
from filters.mediapipe_mesh import MediaPipeFaceMesh, draw_face
from filters.region import FaceRegion, measure_size_px
from filters.tracking import TrackedFace

STILLS = (
    "still_dark_skin_smile.jpg",
    "still_freckles.jpg",
    "still_glasses_grimace.jpg",
    "still_hand_on_cheek.jpg",
    "still_headscarf.jpg",
    "still_yaw45.jpg",
)


@functools.cache
def _unit_points() -> np.ndarray:
    """The mesh of a drawn, upright, frontal face: centred on 0, size 1."""
    mesh = MediaPipeFaceMesh()
    image = image_of_rgb(draw_face(640, 360))
    for _ in range(3):
        found = mesh.detect(image)
    mesh.close()
    points = np.asarray(found[0].points()).copy()
    points[:, :2] -= points[:, :2].mean(axis=0)
    return points / measure_size_px(points)


LOWER_LIP = (14, 178, 87, 317, 402, 88, 318, 95, 324, 146, 91, 181, 84, 17, 314, 405, 321, 375)


def face_at(
    x_px: float,
    y_px: float,
    size_px: float,
    *,
    turn_deg: float = 0,
    squeeze: float = 1,
    mouth: float = 0,
) -> FaceLandmarks:
    """Landmarks of a face around (x, y).

    ``squeeze`` below 1 narrows it, as turning away does; ``mouth`` opens it by a part of its size.
    """
    points = _unit_points() * size_px
    points[list(LOWER_LIP), 1] += mouth * size_px
    points[:, 0] *= squeeze
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points[:, :2] = points[:, :2] @ turn + (x_px, y_px)
    return FaceLandmarks(points.astype(np.float32))


def grainy_image(width_px: int, height_px: int, *, seed: int = 1, level: float = 130) -> YuvImage:
    """Skin-coloured planes with slow shading, grain, and a few hard edges."""
    random = np.random.default_rng(seed)
    image = YuvImage.blank(width_px, height_px)
    rows, columns = np.mgrid[:height_px, :width_px]
    shading = 12 * np.sin(rows / 37) + 9 * np.cos(columns / 29)
    edges = np.where((rows // 23 + columns // 31) % 5 == 0, -35, 0)
    grain = random.normal(0, 4, (height_px, width_px))
    image.y[:] = np.clip(level + shading + edges + grain, 0, 255)
    image.u[:] = np.clip(112 + random.normal(0, 2, image.u.shape), 0, 255)
    image.v[:] = np.clip(148 + random.normal(0, 2, image.v.shape), 0, 255)
    return image


def paint_lips(image: YuvImage, face: FaceLandmarks, *, pinker: int = 8) -> None:
    """Give a face that is all skin the colour of lips where its lips are."""
    points = np.asarray(face.points())[mesh.LIPS, :2]
    lips = np.zeros(image.u.shape, np.uint8)
    cv2.fillPoly(lips, [np.rint(points / 2).astype(np.int32)], (1,))
    image.v[lips != 0] += pinker
    image.u[lips != 0] += pinker // 3


def region_in(image: YuvImage, face: FaceLandmarks, weight: float = 1.0) -> FaceRegion:
    """The region of a face that is known to be in the picture."""
    region = MaskBuilder().build(image, TrackedFace(face, weight))
    assert region is not None
    return region


class KnownFaces:
    """A detector that finds what it is told; pass one list of faces per picture, or one for all."""

    def __init__(self, *per_picture: Sequence[FaceLandmarks]) -> None:
        self._per_picture = per_picture
        self.calls = 0

    def detect(self, image: YuvImage) -> Sequence[FaceLandmarks]:
        del image
        found = self._per_picture[min(self.calls, len(self._per_picture) - 1)]
        self.calls += 1
        return found

    def show(self, *per_picture: Sequence[FaceLandmarks]) -> None:
        """Find something else from now on."""
        self._per_picture, self.calls = per_picture, 0

    def close(self) -> None:
        pass


class KnownPerson:
    """A segmenter that sees a person in the middle third."""

    def __init__(self) -> None:
        self.calls = 0

    def segment(self, image: YuvImage) -> np.ndarray:
        del image
        self.calls += 1
        mask = np.zeros((36, 64), np.float32)
        mask[:, 21:43] = 1
        return mask


def moved(image: YuvImage, x_px: int, y_px: int) -> YuvImage:
    """The picture shifted by whole, even pixels; what leaves on one side enters on the other."""
    y = np.roll(image.y, (y_px, x_px), (0, 1))
    u, v = (np.roll(plane, (y_px // 2, x_px // 2), (0, 1)) for plane in (image.u, image.v))
    return YuvImage(y, u, v)


def planes(image: YuvImage) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return image.y, image.u, image.v


def same(one: YuvImage, other: YuvImage) -> bool:
    """Whether two pictures are bit for bit the same."""
    return all(np.array_equal(a, b) for a, b in zip(planes(one), planes(other), strict=True))


def strided(image: YuvImage) -> YuvImage:
    """The same picture in planes that are neither contiguous nor in memory order."""

    def scattered(plane: np.ndarray) -> np.ndarray:
        rows, columns = plane.shape
        store = np.zeros((rows * 2 + 1, columns * 3 + 1), np.uint8)
        view = store[1::2, 1::3][::-1, ::-1]
        view[:] = plane
        return view

    return YuvImage(*(scattered(plane) for plane in planes(image)))


def portrait() -> YuvImage:
    """scikit-image's astronaut, 512x512."""
    return image_of_rgb(skimage.data.astronaut())


def read_images(path: Path, count: int = 1) -> list[YuvImage]:
    """The first images of a still or clip."""
    with av.open(str(path)) as container:
        frames = (frame for frame, _ in zip(container.decode(video=0), range(count), strict=False))
        pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]
    return [image_of_rgb(rgb) for rgb in pictures]


def look(detector: MediaPipeFaceMesh, image: YuvImage) -> Sequence[FaceLandmarks]:
    """Let the detector settle on a picture."""
    for _ in range(3):
        found = detector.detect(image)
    return found
