"""From picture to picture: find faces, follow them, run the stages that have something to do."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from filters.errors import ImageContractError
from filters.finding import LOOK_EVERY, FaceFinder
from filters.image import YuvImage
from filters.ladder import Plan, SpeedLadder
from filters.landmarks import FaceDetector
from filters.masks import MaskBuilder
from filters.parameters import Parameters
from filters.region import FaceRegion
from filters.scene import SceneWatch
from filters.stages import LookingStage, Pace, Stage, default_stages
from filters.tracking import FaceTracker

USUAL_INTERVAL_S = 1 / 30


@dataclass(frozen=True, slots=True)
class Applied:
    """What one call did, as far as anybody may know.

    Nothing here is derived from a face: no count, no place, no size.

    Attributes:
        durations_us: Microseconds spent per step, by stage name, and ``landmarks`` and ``masks``
            when they ran. Empty when nothing was to be done.
    """

    durations_us: dict[str, int]


class Pipeline:
    """Filters the pictures of one stream, in their order. Not thread-safe.

    The detector stays the caller's: who made it closes it.
    """

    def __init__(
        self,
        detector: FaceDetector,
        stages: Sequence[Stage] | None = None,
        *,
        look_every: int = LOOK_EVERY,
        ladder: SpeedLadder | None = None,
    ) -> None:
        """Put stages behind a detector.

        Args:
            detector: Finds the faces of this stream.
            stages: What runs, in order; stage objects belong to one pipeline. Default: all of
                :func:`filters.stages.default_stages`.
            look_every: The detector looks at one of so many pictures; between them faces are
                followed, which is quicker. 1 for files, where time does not matter.
            ladder: Says what to leave out when pictures take too long; without it nothing is.
        """
        self._finder = FaceFinder(detector, look_every)
        self._stages = tuple(default_stages() if stages is None else stages)
        self._scene = SceneWatch()
        self._tracker = FaceTracker()
        self._masks = MaskBuilder()
        self._ladder = ladder
        self._lookers = [stage for stage in self._stages if isinstance(stage, LookingStage)]

    def apply(
        self, image: YuvImage, parameters: Parameters, *, elapsed_s: float = USUAL_INTERVAL_S
    ) -> Applied:
        """Filter one picture in place.

        With all stages off the picture is not touched, not even read.

        Args:
            image: Its planes are written to; they need not be contiguous.
            parameters: Strengths for this picture.
            elapsed_s: Time since the picture before; only steadiness depends on it.

        Raises:
            ImageContractError: A plane cannot be written to.
            FilterError: The detector failed; the picture is as it came.
        """
        if not any(stage.is_active(parameters) for stage in self._stages):
            self.reset()
            return Applied({})
        if not image.is_writable:
            raise ImageContractError("the picture is filtered in place, but a plane is read-only")
        plan = Plan(parameters) if self._ladder is None else self._ladder.plan(parameters)
        durations_us = self._run(image, plan, elapsed_s)
        if self._ladder is not None:
            self._ladder.take(sum(durations_us.values()))
        return Applied(durations_us)

    def allow(self, budget_us: int) -> None:
        """Say what filtering one picture may take from now on; without a ladder it does nothing.

        Args:
            budget_us: On average, more than 0.
        """
        if self._ladder is not None:
            self._ladder.allow(budget_us)

    def reset(self) -> None:
        """Forget the faces seen so far; the next ones are filtered fully at once."""
        self._tracker.reset()
        self._finder.reset()
        if self._ladder is not None:
            self._ladder.reset()

    def _run(self, image: YuvImage, plan: Plan, elapsed_s: float) -> dict[str, int]:
        """Filter as planned; returns microseconds by step."""
        active = [stage for stage in self._stages if stage.is_active(plan.parameters)]
        durations_us: dict[str, int] = {}
        faces: list[FaceRegion] = []
        is_cut, in_haste = self._scene.has_changed(image), False
        if any(stage.needs_faces for stage in active):
            faces = self._find_faces(image, plan, elapsed_s, durations_us, is_cut=is_cut)
            in_haste = self._finder.has_looked
        for looker in self._lookers:
            looker.keep_pace(Pace(plan.segment_every, is_cut, in_haste))
        for stage in active:
            started_ns = time.perf_counter_ns()
            stage.apply(image, faces, plan.parameters)
            durations_us[stage.name] = _since_us(started_ns)
        return durations_us

    def _find_faces(
        self,
        image: YuvImage,
        plan: Plan,
        elapsed_s: float,
        durations_us: dict[str, int],
        *,
        is_cut: bool,
    ) -> list[FaceRegion]:
        started_ns = time.perf_counter_ns()
        if is_cut:
            self._tracker.reset()
        found = self._finder.find(
            image, look=is_cut or self._tracker.has_lost_one, less_often=plan.look_every
        )
        durations_us["landmarks"] = _since_us(started_ns)
        started_ns = time.perf_counter_ns()
        tracked = self._tracker.update(found, elapsed_s)
        in_haste = self._finder.has_looked
        regions = (self._masks.build(image, face, in_haste=in_haste) for face in tracked)
        faces = [region for region in regions if region is not None]
        durations_us["masks"] = _since_us(started_ns)
        return faces


def _since_us(started_ns: int) -> int:
    return (time.perf_counter_ns() - started_ns) // 1000
