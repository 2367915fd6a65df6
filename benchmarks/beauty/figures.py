"""Quality of the beauty filters in figures, each with the limit that it has to keep."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.beauty.areas import feature_areas
from benchmarks.beauty.fairness import measure_stills, measure_tones
from benchmarks.beauty.measure import Quality, filtered
from benchmarks.beauty.motion import measure_lag, measure_steadiness
from benchmarks.beauty.quality import Luma, find_areas, gradient_ratio, texture_ratio
from benchmarks.beauty.scenes import read_clip, scene
from filters.image import YuvImage
from filters.landmarks import FaceDetector, FaceLandmarks
from filters.masks import MaskBuilder
from filters.parameters import Parameters
from filters.pipeline import Pipeline
from filters.presets import PRESETS
from filters.stages import STAGE_TYPES
from filters.stages.shape import make_warp
from filters.stages.shape_sliders import SHAPES
from filters.tracking import TrackedFace
from filters.warp import Warp
from mediasrv.processing.face_pipeline import open_detector

CLIP = "clip_woman_1280x720.mp4"
LOOKS = 3


def measure(media: Path | None) -> Iterable[Quality]:
    """Measure everything; on real clips and stills too when there are any."""
    detector = open_detector(1)
    try:
        yield from _skin("portrait", scene(1280, 720, 1, 1)[0], detector)
        if media is not None:
            yield from _skin("clip", read_clip(media / CLIP, 1)[0], detector)
            yield from measure_stills(media)
        yield from measure_tones()
        yield from _shapes()
        yield from measure_steadiness()
        yield from measure_lag()
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
    rise = float(np.diff(ratios).max())
    yield Quality(f"texture_largest_rise_{name}", rise, "< 0", rise < 0)
    face = detector.detect(image)[0]
    for part, area in feature_areas(face, image).items():
        kept = gradient_ratio(image.y, natural.y, area)
        yield Quality(f"gradient_{part}_natural_{name}", kept, ">= 0.95", kept >= 0.95)
    outside = _outside(image, every_face_filter(100), detector)
    yield Quality(f"outside_largest_difference_{name}", outside, "0", outside == 0)


def every_face_filter(value: int) -> Parameters:
    """Every filter that works inside faces at this strength."""
    inside = [stage for stage in STAGE_TYPES if not stage.whole_picture]
    names = [name for stage in inside for name in stage.parameters]
    return Parameters(**dict.fromkeys(names, value))


def _outside(image: YuvImage, parameters: Parameters, detector: FaceDetector) -> float:
    """Largest difference outside the face's rectangle and its warp's."""
    faces = detector.detect(image)
    result = image.copy()
    Pipeline(Told(faces), look_every=1).apply(result, parameters)
    region = MaskBuilder().build(image, TrackedFace(faces[0]))
    assert region is not None
    difference = np.abs(result.y.astype(int) - image.y)
    for box in (region, Warp(region, image)):
        rows, columns = box.top + box.height_px, box.left + box.width_px
        difference[box.top : rows, box.left : columns] = 0
    return float(difference.max())


class Told:
    """A detector that finds what it was told."""

    def __init__(self, faces: Sequence[FaceLandmarks]) -> None:
        self._faces = faces

    def detect(self, image: YuvImage) -> Sequence[FaceLandmarks]:
        """The faces, whatever the picture."""
        del image
        return self._faces

    def close(self) -> None:
        """Nothing to release."""


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
