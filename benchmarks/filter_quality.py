"""Quality of the beauty filters in figures, each with the limit that it has to keep."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.filter_scenes import astronaut, in_tone, portrait, read_clip, scene
from benchmarks.quality import (
    FaceAreas,
    Luma,
    find_areas,
    gradient_ratio,
    image_of_rgb,
    texture_ratio,
)
from filters.finding import FaceFinder
from filters.image import YuvImage
from filters.landmarks import FaceDetector, FaceLandmarks
from filters.masks import MaskBuilder
from filters.parameters import Parameters
from filters.pipeline import Pipeline
from filters.presets import PRESETS
from filters.stages import STAGE_TYPES, Stage
from filters.stages.shape import make_warp
from filters.stages.shape_sliders import SHAPES
from filters.tracking import FaceTracker, TrackedFace
from filters.warp import Warp
from mediasrv.processing.face_pipeline import open_detector

# Monk skin tones 1 to 10, RGB.
MONK = (
    *((246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150)),
    *((160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32)),
)
CLIP = "clip_woman_1280x720.mp4"
LOOKS = 3
# Pictures until landmarks have come to rest.
SETTLED = 10


@dataclass(frozen=True)
class Quality:
    """One figure and whether it keeps its limit."""

    metric: str
    value: float
    limit: str
    passed: bool


def measure(media: Path | None) -> Iterable[Quality]:
    """Measure everything; on real clips too when there are any."""
    detector = open_detector(1)
    try:
        yield from _skin("portrait", scene(1280, 720, 1, 1)[0], detector)
        if media is not None:
            yield from _skin("clip", read_clip(media / CLIP, 1)[0], detector)
        yield from _tones(detector)
        yield from _shapes()
        yield from _steadiness(detector)
        yield _no_face()
    finally:
        detector.close()


def _skin(name: str, image: YuvImage, detector: FaceDetector) -> Iterable[Quality]:
    areas = find_areas(image, detector)
    natural = filtered(image, PRESETS["natural"], detector)
    kept = texture_ratio(image.y, natural.y, areas.cheeks)
    yield Quality(f"texture_natural_{name}", kept, "0.4 to 0.7", 0.4 <= kept <= 0.7)
    ratios = [
        texture_ratio(image.y, filtered(image, Parameters(smooth=s), detector).y, areas.cheeks)
        for s in (0, 20, 40, 60, 80, 100)
    ]
    yield Quality(f"texture_smooth_100_{name}", ratios[-1], "> 0.25", ratios[-1] > 0.25)
    fall = float(np.diff(ratios).max())
    yield Quality(f"texture_largest_rise_{name}", fall, "< 0", fall < 0)
    eyes = gradient_ratio(image.y, natural.y, areas.eyes)
    yield Quality(f"gradient_eyes_natural_{name}", eyes, ">= 0.95", eyes >= 0.95)
    outside = _outside(image, every_face_filter(100), detector)
    yield Quality(f"outside_largest_difference_{name}", outside, "0", outside == 0)


def every_face_filter(value: int) -> Parameters:
    """Every filter that works inside faces at this strength."""
    inside = [stage for stage in STAGE_TYPES if not stage.whole_picture]
    names = [name for stage in inside for name in stage.parameters]
    return Parameters(**dict.fromkeys(names, value))


def filtered(
    image: YuvImage,
    parameters: Parameters,
    detector: FaceDetector,
    stages: Sequence[Stage] | None = None,
) -> YuvImage:
    """A filtered copy, by a pipeline that has seen nothing yet and a detector that has."""
    result = image.copy()
    for _ in range(LOOKS):
        detector.detect(image)
    Pipeline(detector, stages, look_every=1).apply(result, parameters)
    return result


def _outside(image: YuvImage, parameters: Parameters, detector: FaceDetector) -> float:
    """Largest difference outside the face's rectangle and its warp's."""
    faces = detector.detect(image)
    result = image.copy()
    Pipeline(_Told(faces), look_every=1).apply(result, parameters)
    region = MaskBuilder().build(image, TrackedFace(faces[0]))
    assert region is not None
    difference = np.abs(result.y.astype(int) - image.y)
    for box in (region, Warp(region, image)):
        rows, columns = box.top + box.height_px, box.left + box.width_px
        difference[box.top : rows, box.left : columns] = 0
    return float(difference.max())


class _Told:
    """A detector that finds what it was told."""

    def __init__(self, faces: Sequence[FaceLandmarks]) -> None:
        self._faces = faces

    def detect(self, image: YuvImage) -> Sequence[FaceLandmarks]:
        """The faces, whatever the picture."""
        del image
        return self._faces

    def close(self) -> None:
        """Nothing to release."""


def _tones(detector: FaceDetector) -> Iterable[Quality]:
    areas = find_areas(portrait(), detector)
    rgb = astronaut()
    ratios, found = [], 0
    for tone in MONK:
        image = image_of_rgb(in_tone(rgb, areas.cheeks, tone))
        for _ in range(LOOKS):
            faces = detector.detect(image)
        found += bool(faces)
        result = filtered(image, PRESETS["natural"], detector)
        ratios.append(texture_ratio(image.y, result.y, areas.cheeks))
    spread = max(ratios) / min(ratios)
    yield Quality("tones_texture_spread", spread, "<= 1.25", spread <= 1.25)
    yield Quality("tones_least_effect", max(ratios), "< 0.95", max(ratios) < 0.95)
    yield Quality("tones_faces_found", found, "10", found == len(MONK))


def _shapes() -> Iterable[Quality]:
    image = scene(1280, 720, 1, 1)[0]
    detector = open_detector(1)
    for _ in range(LOOKS):
        face = detector.detect(image)[0]
    detector.close()
    region = MaskBuilder().build(image, TrackedFace(face))
    assert region is not None
    hull = cv2.convexHull(np.rint(np.asarray(face.points())[:, :2]).astype(np.int32))
    behind = np.ones((720, 1280), np.uint8)
    cv2.fillPoly(behind, [hull], (0,))
    settings = {
        "default": PRESETS["natural"],
        "glam": PRESETS["glam"],
        "full": Parameters(**dict.fromkeys(SHAPES, 100)),
    }
    for name, parameters in settings.items():
        warp = make_warp(image, region, parameters)
        bend, jacobian = (0.0, 1.0) if warp is None else _warped(warp, behind)
        limit = 3.0 if name == "full" else 1.0
        yield Quality(f"line_bend_{name}_px", bend, f"<= {limit:g}", bend <= limit)
        yield Quality(f"least_jacobian_{name}", jacobian, "> 0", jacobian > 0)


def _warped(warp: Warp, behind: Luma) -> tuple[float, float]:
    size = (warp.width_px, warp.height_px)
    x, y = (cv2.resize(field, size, interpolation=cv2.INTER_LINEAR) for field in (warp.x, warp.y))
    wall = behind[warp.top : warp.top + size[1], warp.left : warp.left + size[0]] != 0
    (xy, xx), (yy, yx) = np.gradient(x), np.gradient(y)
    jacobian = float(((1 + xx) * (1 + yy) - xy * yx).min())
    return float(np.hypot(x, y)[wall].max()), jacobian


def _steadiness(detector: FaceDetector) -> Iterable[Quality]:
    """A camera that stands still, with noise: what flickers, and how far landmarks tremble."""
    random = np.random.default_rng(3)
    still = scene(1280, 720, 1, 1)[0]
    areas = find_areas(still, detector)
    follower = open_detector(1)
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
    flicker = _flicker(after, areas) / _flicker(before, areas)
    yield Quality("flicker_still", flicker, "<= 1.1", flicker <= 1.1)
    jitter = float(np.stack(places[SETTLED:]).std(axis=0).mean())
    yield Quality("landmark_jitter_px", jitter, "<= 0.3", jitter <= 0.3)


def _flicker(pictures: list[Luma], areas: FaceAreas) -> float:
    return float(np.stack(pictures[SETTLED:])[:, areas.cheeks].var(axis=0).mean())


def _no_face() -> Quality:
    detector = open_detector(1)
    random = np.random.default_rng(5)
    image = YuvImage.blank(1280, 720)
    image.y[:] = random.integers(16, 235, image.y.shape)
    result = image.copy()
    Pipeline(detector).apply(result, PRESETS["glam"])
    detector.close()
    planes = ((result.y, image.y), (result.u, image.u), (result.v, image.v))
    difference = float(max(np.abs(a.astype(int) - b).max() for a, b in planes))
    return Quality("no_face_largest_difference", difference, "0", difference == 0)
