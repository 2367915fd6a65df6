"""A case watched from glass to glass while the server traces it, frame by frame."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.glass import OFF, Case, Theatre
from benchmarks.latency import planting
from benchmarks.latency.chromium import ROOM, Pair, through_server
from benchmarks.latency.feed import FPS
from benchmarks.latency.sightings import Observation, Sighting
from benchmarks.latency.tracing import frame_rows
from benchmarks.latency.waterfall import Stages, match
from benchmarks.rig.live_server import running_server
from benchmarks.rig.refusal import MeasurementRefused
from filters.presets import PRESETS

# Of the frames seen in a window, so many must be known to server and browser alike.
MATCHED_MIN = 0.9
# After tracing began: frames that were under way are known in part only.
BEGUN_MS = 500.0

Frames = list[tuple[Sighting, Stages]]


class TracedPair:
    """Two browsers and a server that can be traced."""

    def __init__(self, pair: Pair, channel: Path) -> None:
        self.pair = pair
        self._channel = channel

    def observe(self, seconds: float) -> tuple[Observation, Frames]:
        """Watch for some time; returns the window and its frames with their stages.

        Raises:
            MeasurementRefused: Too few frames are known to both ends, or the clocks do not agree.
        """
        with frame_rows(self._channel, ROOM) as rows:
            self.pair.viewer.wait_for_timeout(BEGUN_MS)
            seen = self.pair.observe(seconds)
            noted = rows.take()
        frames = match(noted, seen.sightings, seen.browsers.get("jitter_buffer_ms", 0.0))
        if len(frames) < MATCHED_MIN * len(seen.sightings) or not frames:
            raise MeasurementRefused(
                f"only {len(frames)} of {len(seen.sightings)} frames are known to both ends"
            )
        return seen, frames


@contextmanager
def traceable(
    theatre: Theatre, case: Case, *, plant: str | None = None, fps: float = FPS
) -> Iterator[TracedPair]:
    """Start a server and connect a host's and a viewer's browser through it.

    Args:
        theatre: Of the browsers.
        case: What the host sends.
        plant: A stage to be slow now and then, see ``planting``.
        fps: Of the camera.
    """
    settings: dict[str, object] = {"filter_spares": 0}
    if case.preset != OFF:
        settings["starting_parameters"] = PRESETS[case.preset].as_dict()
    if plant == planting.IN_WORKER:
        settings["filter_extra_stages"] = [planting.WORKER_STAGE]
    slow = [f"{planting.PLANT}={plant}"] if plant in planting.IN_SERVER else []
    with tempfile.TemporaryDirectory() as scratch:
        channel = Path(scratch) / "trace"
        with (
            running_server(*slow, trace=str(channel), **settings) as server,
            through_server(
                theatre.hosts,
                theatre.viewers,
                server,
                replace(theatre.setting(case), fps=fps),
                filtered=case.preset != OFF,
            ) as pair,
        ):
            yield TracedPair(pair, channel)
