"""From moments to stages: where the time of each frame went, from glass to glass."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.latency.sightings import Sighting, spread
from benchmarks.rig.machine import percentile

# Stage to the moment at which it ends; each begins where the one before ended. The first list is
# the way without a filter, the second with it.
DIRECT = (
    ("host", "first_in"),
    ("datagrams in", "last_in"),
    ("unprotect", "unprotected"),
    ("frame complete", "sending"),
    ("first send", "first_sent"),
    ("last send", "sent"),
)
FILTERED = (
    ("host", "first_in"),
    ("datagrams in", "last_in"),
    ("unprotect", "unprotected"),
    ("frame complete", "complete"),
    ("to worker", "decoding"),
    ("decode", "decoded"),
    ("newest image", "begun"),
    ("filters", "encoding"),
    ("encode", "encoded"),
    ("back", "back"),
    ("packets", "sending"),
    ("first send", "first_sent"),
    ("last send", "sent"),
)
COPY = "copy"
VIEWER = ("network", "viewer buffer", "viewer decode", "viewer paint")

Row = Mapping[str, Any]
Stages = dict[str, float]


def server_stages(row: Row, captured_ms: float | None = None) -> Stages | None:
    """Return the durations of a traced frame's stages in the server, in milliseconds, in order.

    Args:
        row: Of mediasrv.tracing.
        captured_ms: When it was captured; None leaves the host's stage out.

    Returns:
        None when a moment is missing: the frame was under way when tracing began.
    """
    way = FILTERED if "complete_ms" in row else DIRECT
    stages: Stages = {}
    before = captured_ms
    for name, moment in way:
        at = row.get(f"{moment}_ms")
        if at is None:
            return None
        if before is not None:
            stages[name] = at - before
        before = at
    return _with_steps(stages, row) if "filters" in stages else stages


def _with_steps(stages: Stages, row: Row) -> Stages:
    """Put each filter's own time in the place of the whole; what is left is copying the picture."""
    steps_ms = {name: us / 1000 for name, us in row["steps_us"].items() if us > 0}
    split: Stages = {}
    for name, ms in stages.items():
        if name != "filters":
            split[name] = ms
            continue
        split[COPY] = max(0.0, ms - sum(steps_ms.values()))
        split.update(steps_ms)
    return split


def frame_stages(row: Row, sighting: Sighting, buffer_ms: float) -> Stages | None:
    """Return all stages of a frame from glass to glass, in milliseconds, in order.

    Args:
        row: What the server traced.
        sighting: What the viewer's browser noted; with its own moments.
        buffer_ms: What frames spent in the browser's jitter buffer on average: it tells no more.
    """
    stages = server_stages(row, sighting.captured_ms)
    if stages is None or sighting.received_ms is None or sighting.decoding_ms is None:
        return None
    waited_ms = sighting.shown_ms - sighting.received_ms - sighting.decoding_ms
    buffered_ms = min(max(buffer_ms, 0.0), max(waited_ms, 0.0))
    stages["network"] = sighting.received_ms - row["sent_ms"]
    stages["viewer buffer"] = buffered_ms
    stages["viewer decode"] = sighting.decoding_ms
    stages["viewer paint"] = waited_ms - buffered_ms
    return stages


def match(
    rows: Iterable[Row], sightings: Sequence[Sighting], buffer_ms: float
) -> list[tuple[Sighting, Stages]]:
    """Join what the server traced with what was seen, by the RTP timestamp on the last hop."""
    by_ticks = {row["rtp_ticks"]: row for row in rows if "sent_ms" in row}
    joined = []
    for sighting in sightings:
        row = by_ticks.get(sighting.rtp_ticks)
        stages = frame_stages(row, sighting, buffer_ms) if row is not None else None
        if stages is not None:
            joined.append((sighting, stages))
    return joined


def sum_up(frames: Sequence[Stages]) -> dict[str, dict[str, float]]:
    """Return mean and percentiles of each stage, in the order of the way.

    A stage that a frame has not counts as 0 there: filters that look at one of several pictures.
    """
    longest = max(frames, key=len)
    names = _in_order(frames, longest)
    summed = {}
    for name in names:
        values = [stages.get(name, 0.0) for stages in frames]
        mean = sum(values) / len(values)
        summed[name] = {
            "mean": round(mean, 3),
            **{k: round(v, 3) for k, v in spread(values).items()},
        }
    return summed


def _in_order(frames: Sequence[Stages], longest: Stages) -> list[str]:
    names = list(longest)
    for stages in frames:
        for before, name in pairwise(stages):
            if name not in names:
                names.insert(names.index(before) + 1, name)
    return names


def totals_ms(frames: Sequence[Stages]) -> list[float]:
    """Return the sum of each frame's stages."""
    return [sum(stages.values()) for stages in frames]


def middle_frame(frames: Sequence[tuple[Sighting, Stages]]) -> Stages:
    """Return the stages of the frame whose whole is nearest to the median."""
    middle_ms = percentile([sighting.glass_ms for sighting, _ in frames], 0.5)
    return min(frames, key=lambda pair: abs(pair[0].glass_ms - middle_ms))[1]
