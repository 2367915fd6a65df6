"""What the worker runs on every image: front stages by name, then the beauty pipeline."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from filters.image import YuvImage
from filters.parameters import Parameters
from mediasrv.processing.errors import ProcessingError

USUAL_INTERVAL_S = 1 / 30
WARM_UP_WIDTH_PX, WARM_UP_HEIGHT_PX = 640, 360


class Applied(Protocol):
    """What a pipeline says about one image: durations, and nothing about faces."""

    @property
    def durations_us(self) -> Mapping[str, int]:
        """Microseconds by stage; ``landmarks`` is the detector."""


class Pipeline(Protocol):
    """What the worker needs of :class:`filters.pipeline.Pipeline`."""

    def apply(self, image: YuvImage, parameters: Parameters, *, elapsed_s: float) -> Applied:
        """Filter ``image`` in place; ``elapsed_s`` is the time since the image before."""


@runtime_checkable
class PacedPipeline(Pipeline, Protocol):
    """A pipeline that can leave things out when time is short."""

    def allow(self, budget_us: int) -> None:
        """Take what filtering an image may take from now on, more than 0."""


class FrontStage(Protocol):
    """An extension that sees every image before the pipeline does, also when filters are at 0."""

    def __call__(self, image: YuvImage) -> None:
        """Work on ``image`` in place; the planes must not be kept."""


def open_named(name: str) -> Any:
    """Call the factory that ``module:factory`` names and return what it makes.

    Raises:
        ProcessingError: There is no such module or factory.
    """
    module_name, colon, factory_name = name.partition(":")
    if not (module_name and colon and factory_name):
        raise ProcessingError(f"{name!r} is not of the form module:factory")
    try:
        factory: Callable[[], Any] = getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError) as exc:
        raise ProcessingError(f"there is no {name!r}") from exc
    return factory()


def open_front_stages(names: Iterable[str]) -> tuple[FrontStage, ...]:
    """Open the front stages in their order."""
    return tuple(open_named(name) for name in names)


def warm_up(pipeline: Pipeline, front_stages: Iterable[FrontStage]) -> None:
    """Run everything once on a blank image, so the first real one finds it loaded."""
    image = YuvImage.blank(WARM_UP_WIDTH_PX, WARM_UP_HEIGHT_PX)
    for stage in front_stages:
        stage(image)
    full = dict.fromkeys(Parameters().as_dict(), 100)
    pipeline.apply(image, Parameters(**full), elapsed_s=USUAL_INTERVAL_S)
