"""Where on a face to measure: its skin, and the features and borders that must stay sharp."""

from collections.abc import Mapping

import cv2
import numpy as np

from benchmarks.beauty.quality import Area
from filters import mesh
from filters.image import YuvImage
from filters.landmarks import FaceLandmarks
from filters.masks import MaskBuilder, lift_forehead
from filters.tracking import TrackedFace

CLEARLY_SKIN = 0.9
# How much larger than its ring a feature is with its border, and the width of the hair band in
# parts of the face's height.
GROWN = 1.3
HAIR_BAND = 0.12


def feature_areas(face: FaceLandmarks, image: YuvImage) -> Mapping[str, Area]:
    """Eyes, brows, lips and the band above the forehead where hair begins, by name."""
    points = np.asarray(face.points())
    features = {
        "eyes": (mesh.RIGHT_EYE, mesh.LEFT_EYE),
        "brows": (mesh.RIGHT_BROW, mesh.LEFT_BROW),
        "lips": (mesh.LIPS,),
    }
    areas = {
        name: _filled([_grown(points[ring, :2]) for ring in rings], image)
        for name, rings in features.items()
    }
    return {**areas, "hair": _hair_band(points, image)}


def skin_area(face: FaceLandmarks, image: YuvImage) -> Area:
    """All that the filters take for clear skin."""
    area = np.zeros((image.height_px, image.width_px), bool)
    region = MaskBuilder().build(image, TrackedFace(face))
    if region is not None:
        size = (region.width_px, region.height_px)
        skin = cv2.resize(region.skin, size, interpolation=cv2.INTER_LINEAR)
        target = region.crop(area.view(np.uint8))
        np.copyto(target, (skin > CLEARLY_SKIN)[: target.shape[0], : target.shape[1]])
    return area


def _hair_band(points: np.ndarray[tuple[int, int], np.dtype[np.float32]], image: YuvImage) -> Area:
    lifted = lift_forehead(points)[:, :2]
    upper = np.flatnonzero(mesh.FOREHEAD_LEVELS[:, 0] > 0)
    order = np.concatenate([upper[upper > len(lifted) // 2], upper[upper <= len(lifted) // 2]])
    edge = lifted[order]
    up = (points[mesh.FOREHEAD_TOP, :2] - points[mesh.CHIN, :2]) * HAIR_BAND
    return _filled([np.concatenate([edge, (edge + up)[::-1]])], image)


def _grown(
    ring: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    middle = ring.mean(axis=0)
    hull = cv2.convexHull((middle + (ring - middle) * GROWN).astype(np.float32))
    return np.asarray(hull[:, 0], np.float32)


def _filled(
    polygons: list[np.ndarray[tuple[int, int], np.dtype[np.float32]]], image: YuvImage
) -> Area:
    drawn = np.zeros((image.height_px, image.width_px), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(drawn, [np.rint(polygon).astype(np.int32)], (1,))
    return drawn.astype(bool)
