"""How steady landmarks and picture are at rest, and how well they keep up with fast motion."""

import math
from collections.abc import Iterable

import cv2
import numpy as np

from benchmarks.beauty.measure import Quality, at_most
from benchmarks.beauty.quality import FaceAreas, Luma, find_areas, image_of_rgb
from benchmarks.beauty.scenes import NOISE, astronaut, scene
from filters.finding import FaceFinder
from filters.image import YuvImage
from filters.pipeline import Pipeline
from filters.presets import PRESETS
from filters.tracking import FaceTracker
from mediasrv.processing.face_pipeline import open_detector

# Pictures until landmarks have come to rest.
SETTLED = 10
# A head that goes from side to side: so many pixels at most, in so many pictures there and back;
# at its fastest a quarter of the face's width per picture.
SWING_PX, SWING_PICTURES, SWINGS = 160, 40, 3


def measure_steadiness() -> Iterable[Quality]:
    """A camera that stands still, with noise: what flickers, and how far landmarks tremble."""
    random = np.random.default_rng(3)
    still = scene(1280, 720, 1, 1)[0]
    detector, follower = open_detector(1), open_detector(1)
    areas = find_areas(still, detector)
    pipeline = Pipeline(follower)
    finder, tracker = FaceFinder(detector), FaceTracker()
    before, after, places = [], [], []
    for _ in range(40):
        image = still.copy()
        noise = random.normal(0, 1.5, image.y.shape)
        image.y[:] = np.clip(np.rint(image.y + noise), 0, 255)
        before.append(image.y.copy())
        tracked = tracker.update(finder.find(image), 1 / 30)
        places.append(np.asarray(tracked[0].landmarks.points())[:, :2])
        pipeline.apply(image, PRESETS["natural"])
        after.append(image.y.copy())
    follower.close()
    detector.close()
    yield at_most("flicker_still", _flicker(after, areas) / _flicker(before, areas), 1.1)
    yield at_most("landmark_jitter_px", float(np.stack(places[SETTLED:]).std(axis=0).mean()), 0.3)


def measure_lag() -> Iterable[Quality]:
    """How many pictures late landmarks are while a head swings, by the best fit in time."""
    detector = open_detector(1)
    finder, tracker = FaceFinder(detector), FaceTracker()
    truth, seen, lost = [], [], 0
    for n in range(SWING_PICTURES * SWINGS):
        x_px = SWING_PX * math.sin(2 * math.pi * n / SWING_PICTURES)
        tracked = tracker.update(finder.find(_swung(x_px, n)), 1 / 30)
        if tracked:
            truth.append(x_px)
            seen.append(float(np.asarray(tracked[0].landmarks.points())[:, 0].mean()))
        elif seen:
            lost += 1
    detector.close()
    yield Quality("landmark_swing_lost", lost, "0", lost == 0)
    yield at_most("landmark_lag_pictures", _lag(np.array(truth), np.array(seen)), 1.0)


def _swung(x_px: float, seed: int) -> YuvImage:
    """The portrait on a wall, moved by any fraction of a pixel, with a camera's noise."""
    shift = np.array([[1.05, 0, 370 + x_px], [0, 1.05, 90]])
    rgb = cv2.warpAffine(
        astronaut(), shift, (1280, 720), borderMode=cv2.BORDER_CONSTANT, borderValue=(168, 160, 158)
    )
    noise = np.random.default_rng(seed).normal(0, NOISE, rgb.shape[:2])[..., None]
    return image_of_rgb(np.clip(np.rint(rgb + noise), 0, 255).astype(np.uint8))


def _lag(
    truth: np.ndarray[tuple[int], np.dtype[np.float64]],
    seen: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> float:
    """Pictures by which ``seen`` has to be moved to fit ``truth`` best."""
    times = np.arange(len(truth), dtype=np.float64)
    inner = slice(SETTLED, -SETTLED)
    lags = np.arange(0, 4, 0.05)
    errors = [
        float(np.std(np.interp(times - lag, times, truth)[inner] - seen[inner])) for lag in lags
    ]
    return float(lags[int(np.argmin(errors))])


def _flicker(pictures: list[Luma], areas: FaceAreas) -> float:
    return float(np.stack(pictures[SETTLED:])[:, areas.cheeks].var(axis=0).mean())
