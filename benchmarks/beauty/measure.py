"""What all quality benchmarks of the filters share: a figure with its limit, a filtered picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from filters.image import YuvImage
from filters.landmarks import FaceDetector
from filters.parameters import Parameters
from filters.pipeline import Pipeline
from filters.stages import Stage

LOOKS = 3


@dataclass(frozen=True)
class Quality:
    """One figure and whether it keeps its limit."""

    metric: str
    value: float
    limit: str
    passed: bool


def at_most(metric: str, value: float, limit: float) -> Quality:
    """A figure that must not be larger."""
    return Quality(metric, value, f"<= {limit:g}", value <= limit)


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
