"""What was seen of coded pictures, and the figures that follow from it, unless they may not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from os import cpu_count

from benchmarks.latency.hops import where_most_were_lost
from benchmarks.latency.timecode import STAMP_MAX, TICKS_PER_MS
from benchmarks.rig.machine import percentile
from benchmarks.rig.refusal import MeasurementRefused

FREEZE_MS = 200.0
FRAMES_MIN = 60
# Beyond these shares the figures are about something else than the path. A screen that refreshes
# at 60 Hz leaves out one picture in twenty-five of a camera that drifts against it.
UNREAD_MAX = 0.02
DROPPED_MAX = 0.10
LATE_MAX = 0.05


@dataclass(frozen=True, slots=True)
class Sighting:
    """One picture on its way; times are CLOCK_MONOTONIC in milliseconds.

    Attributes:
        captured_ms: When the camera handed it over, as drawn into it.
        shown_ms: When it was composited at the viewer, or came out of the decoder without one.
        received_ms: When the viewer had its last packet; None where nobody tells.
        decoding_ms: From there being a decoder for it until it was decoded; None likewise.
        rtp_ticks: Its RTP timestamp at the viewer, 32 bits; None likewise.
    """

    captured_ms: float
    shown_ms: float
    received_ms: float | None = None
    decoding_ms: float | None = None
    rtp_ticks: int | None = None

    @property
    def glass_ms(self) -> float:
        """From glass to glass."""
        return self.shown_ms - self.captured_ms


@dataclass(frozen=True, slots=True)
class Observation:
    """What one window of time showed.

    Attributes:
        sightings: Pictures whose code could be read, in the order in which they were shown.
        unread: Pictures whose code could not be read.
        sent: Pictures that the camera handed over meanwhile.
        late: Those of them that the camera was late with: it is the load that is slow then.
        seconds: Length of the window.
        size: Width and height of the pictures, px.
        clock_bracket_ms: How far the clocks involved could be apart; 0 for one clock.
        browsers: What the browsers counted: means per frame, in milliseconds, by name.
        target_bps: What the host's encoder was told to take at the end; None where nobody tells.
        pictures: How many came how far, see ``hops``; empty where nobody counts.
        cores: How many cores who took, see ``usage``; empty likewise.
    """

    sightings: Sequence[Sighting]
    unread: int
    sent: int
    late: int
    seconds: float
    size: tuple[int, int]
    clock_bracket_ms: float = 0.0
    browsers: dict[str, float] = field(default_factory=dict)
    target_bps: float | None = None
    pictures: dict[str, int] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)


def captured_at(stamp: int, shown_ms: float) -> float:
    """Return the time of which a code holds the lowest 32 bits: the last one before ``shown_ms``.

    Args:
        stamp: As read.
        shown_ms: When it was seen, on the camera's clock.
    """
    shown = round(shown_ms * TICKS_PER_MS)
    return (shown - (shown - stamp) % STAMP_MAX) / TICKS_PER_MS


def figures(
    seen: Observation, wanted: tuple[int, int] | None = None, *, dropped_max: float = DROPPED_MAX
) -> dict[str, object]:
    """Sum up a window.

    Args:
        seen: The window.
        wanted: The size that the pictures should have; None takes any.
        dropped_max: Share of pictures that may be missing on the screen.

    Raises:
        MeasurementRefused: Too little was seen, or too much of it was not what it should be.
    """
    first = _first_showings(seen.sightings)
    check(seen, len(first), wanted, dropped_max)
    glass_ms = [one.glass_ms for one in first]
    gaps_ms = [after.shown_ms - before.shown_ms for before, after in pairwise(first)]
    steps_ms = [abs(after - before) for before, after in pairwise(glass_ms)]
    return {
        "glass_ms": spread(glass_ms),
        "jitter_ms": round(sum(steps_ms) / len(steps_ms), 2),
        "fps": round(len(first) / seen.seconds, 2),
        "freezes": sum(gap >= FREEZE_MS for gap in gaps_ms),
        "longest_gap_ms": round(max(gaps_ms), 1),
        "frames": len(first),
        "sent": seen.sent,
        "unread": seen.unread,
        "clock_bracket_ms": round(seen.clock_bracket_ms, 2),
        "browsers": {name: round(value, 2) for name, value in seen.browsers.items()},
        "target_bps": seen.target_bps,
        "pictures": seen.pictures,
        "cores": seen.cores,
        "samples_ms": [round(value, 1) for value in glass_ms],
    }


def check(
    seen: Observation, frames: int, wanted: tuple[int, int] | None, dropped_max: float
) -> None:
    """Refuse a window that does not show what it should.

    Raises:
        MeasurementRefused: With the reason.
    """
    if wanted is not None and seen.size != wanted:
        raise MeasurementRefused(f"the pictures were {seen.size[0]}x{seen.size[1]}")
    if seen.late > LATE_MAX * max(1, seen.sent):
        raise MeasurementRefused(f"the camera was late with {seen.late} of {seen.sent} pictures")
    if frames < FRAMES_MIN:
        raise MeasurementRefused(f"only {frames} pictures were seen")
    shown = frames + seen.unread
    if seen.unread > UNREAD_MAX * shown:
        raise MeasurementRefused(f"the code could not be read in {seen.unread} of {shown} pictures")
    dropped = 1 - shown / max(1, seen.sent)
    if dropped > dropped_max:
        raise MeasurementRefused(
            f"{100 * dropped:.0f} % of the pictures never reached the screen{_why(seen)}"
        )


def _why(seen: Observation) -> str:
    """Say how far the pictures came, at what rate and beside what, as far as it is known."""
    told = [f"{count} {hop}" for hop, count in seen.pictures.items()]
    lost = where_most_were_lost(seen.pictures)
    if seen.target_bps is not None:
        told.append(f"the host was to send {seen.target_bps / 1e6:.1f} Mb/s")
    told += [f"{name} took {cores} cores" for name, cores in seen.cores.items()]
    if seen.cores:
        cores = cpu_count() or 1
        told.append(f"{max(0.0, cores - sum(seen.cores.values())):.2f} of {cores} were left")
    where = f", {lost}" if lost is not None else ""
    return where + (f" ({', '.join(told)})" if told else "")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and p99."""
    ordered = sorted(values)
    return {f"p{int(p * 100)}": round(percentile(ordered, p), 2) for p in (0.5, 0.95, 0.99)}


def _first_showings(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Leave out a picture that is shown again, or after a newer one."""
    first: list[Sighting] = []
    for sighting in sightings:
        if not first or sighting.captured_ms > first[-1].captured_ms:
            first.append(sighting)
    return first
