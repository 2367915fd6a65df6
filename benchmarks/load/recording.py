"""What a crowd of viewers noted in the measured window, and what follows from it: pure."""

from dataclasses import dataclass, field

import numpy as np

from benchmarks.rig.machine import percentile

# One entry per read: a train of datagrams of equal size, the last may be shorter.
TRAIN = np.dtype(
    [
        ("viewer", "<u4"),
        ("size", "<u4"),
        ("segment", "<u4"),
        ("stamp_s", "<i8"),
        ("stamp_ns", "<i8"),
        ("header", "u1", (12,)),
    ]
)
PAYLOAD_TYPE_MASK = 0x7F


@dataclass(slots=True)
class Recording:
    """Written by the reading loop without looking at it, read afterwards.

    Attributes:
        trains: TRAIN entries, back to back.
        high: High byte of each packet's sequence number.
        low: Low byte of each packet's sequence number.
    """

    trains: bytearray = field(default_factory=bytearray)
    high: bytearray = field(default_factory=bytearray)
    low: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Counted:
    """Packets of the window.

    Attributes:
        packets: RTP packets that arrived.
        lost: Missing numbers between the first and the last of each stream.
        duplicates: Numbers that came twice.
        reads: System calls that took them.
        viewers: Viewers who got any video.
        bytes: Of the datagrams.
    """

    packets: int
    lost: int
    duplicates: int
    reads: int
    viewers: int
    bytes: int

    @property
    def loss(self) -> float:
        """Share of the expected packets that did not arrive."""
        expected = self.packets - self.duplicates + self.lost
        return self.lost / expected if expected else 0.0


@dataclass(frozen=True, slots=True)
class _Trains:
    """The trains of a window, one column each; ``of`` names each packet's train."""

    viewer: "np.ndarray[tuple[int], np.dtype[np.uint32]]"
    stamp_ns: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    second: "np.ndarray[tuple[int], np.dtype[np.uint8]]"
    ticks: "np.ndarray[tuple[int], np.dtype[np.uint32]]"
    ssrc: "np.ndarray[tuple[int], np.dtype[np.uint32]]"
    size: "np.ndarray[tuple[int], np.dtype[np.uint32]]"
    counts: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    inside: "np.ndarray[tuple[int], np.dtype[np.bool_]]"


def _columns(recording: Recording, window_ns: tuple[int, int]) -> _Trains:
    rows = np.frombuffer(bytes(recording.trains), TRAIN)
    header = np.ascontiguousarray(rows["header"])
    stamp_ns = rows["stamp_s"] * 1_000_000_000 + rows["stamp_ns"]
    words = header[:, 4:12].copy().view(">u4").astype(np.uint32)
    return _Trains(
        viewer=rows["viewer"],
        stamp_ns=stamp_ns,
        second=header[:, 1],
        ticks=words[:, 0],
        ssrc=words[:, 1],
        size=rows["size"],
        counts=-(-rows["size"].astype(np.int64) // rows["segment"].astype(np.int64)),
        inside=(stamp_ns >= window_ns[0]) & (stamp_ns < window_ns[1]),
    )


def count(recording: Recording, window_ns: tuple[int, int], video_type: int) -> Counted:
    """Count packets and gaps of the window, of all viewers.

    Args:
        recording: What was noted.
        window_ns: Begin and end, on the kernel's realtime clock.
        video_type: RTP payload type of the video.
    """
    trains = _columns(recording, window_ns)
    packet_inside = np.repeat(trains.inside, trains.counts)
    high = np.frombuffer(bytes(recording.high), np.uint8).astype(np.uint16)
    low = np.frombuffer(bytes(recording.low), np.uint8).astype(np.uint16)
    sequences = (high << 8 | low)[packet_inside]
    key = trains.viewer.astype(np.uint64) << np.uint64(32) | trains.ssrc.astype(np.uint64)
    keys = np.repeat(key, trains.counts)[packet_inside]
    lost = duplicates = 0
    order = np.argsort(keys, kind="stable")
    keys, sequences = keys[order], sequences[order]
    for own in np.split(sequences, np.flatnonzero(np.diff(keys)) + 1):
        missing, twice = _gaps(own)
        lost += missing
        duplicates += twice
    is_video = (trains.second & PAYLOAD_TYPE_MASK) == video_type
    return Counted(
        packets=len(sequences),
        lost=lost,
        duplicates=duplicates,
        reads=int(trains.inside.sum()),
        viewers=len(np.unique(trains.viewer[trains.inside & is_video])),
        bytes=int(trains.size[trains.inside].sum()),
    )


def _gaps(sequences: "np.ndarray[tuple[int], np.dtype[np.uint16]]") -> tuple[int, int]:
    """Count missing and repeated numbers of one stream in the order of arrival."""
    if not len(sequences):
        return 0, 0
    steps = np.diff(sequences).astype(np.int16).astype(np.int64)
    unwrapped = np.concatenate([[0], np.cumsum(steps)])
    distinct = len(np.unique(unwrapped))
    expected = int(unwrapped.max() - unwrapped.min()) + 1
    return expected - distinct, len(sequences) - distinct


def arrival_ms(
    recording: Recording,
    window_ns: tuple[int, int],
    video_type: int,
    sent: list[tuple[int, int]],
) -> dict[str, dict[str, float]]:
    """Measure from a frame's first packet leaving the publisher to its arrival, whole.

    The kernel stamps what arrives, so that a viewer that reads late does not count as late.

    Args:
        recording: What was noted.
        window_ns: Begin and end.
        video_type: RTP payload type of the video.
        sent: Of each frame of the publisher in order: timestamp, and when it left (ns).

    Returns:
        p50, p95, p99 and max in milliseconds for ``first`` and ``last``, the first and the last
        viewer of each frame, and ``each``, all viewers. Empty without frames.
    """
    trains = _columns(recording, window_ns)
    wanted = trains.inside & ((trains.second & PAYLOAD_TYPE_MASK) == video_type)
    left_ns = np.array([ns for _, ns in sent], np.int64)
    sent_ticks = np.array([ticks for ticks, _ in sent], np.int64)
    if not wanted.any() or len(sent) < 2:
        return {}
    step = int(np.median(np.diff(sent_ticks) & 0xFFFFFFFF))
    frames, delays = [], []
    for viewer in np.unique(trains.viewer[wanted]):
        own = wanted & (trains.viewer == viewer)
        index, delay = _delays(trains.ticks[own], trains.stamp_ns[own], left_ns, step)
        frames.append(index)
        delays.append(delay)
    return _summary(np.concatenate(frames), np.concatenate(delays))


def _delays(
    ticks: "np.ndarray[tuple[int], np.dtype[np.uint32]]",
    stamp_ns: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    left_ns: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    step: int,
) -> (
    "tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int64]]]"
):
    """Match one viewer's frames with the publisher's: index of the frame, delay in ns.

    Servers write timestamps of their own, a constant off. Of all the offsets by which no frame
    arrives before it left, the one with the least delay is taken.
    """
    relative = ((ticks - ticks[0]).astype(np.int32) // step).astype(np.int64)
    numbers, inverse = np.unique(relative, return_inverse=True)
    arrived_ns = np.zeros(len(numbers), np.int64)
    np.maximum.at(arrived_ns, inverse, stamp_ns)
    shift = int((np.searchsorted(left_ns, arrived_ns, side="right") - 1 - numbers).min())
    index = numbers + shift
    known = (index >= 0) & (index < len(left_ns))
    return index[known], arrived_ns[known] - left_ns[index[known]]


def _summary(
    frames: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    delays: "np.ndarray[tuple[int], np.dtype[np.int64]]",
) -> dict[str, dict[str, float]]:
    if not len(frames):
        return {}
    _, inverse = np.unique(frames, return_inverse=True)
    first = np.full(inverse.max() + 1, np.iinfo(np.int64).max)
    last = np.zeros(inverse.max() + 1, np.int64)
    np.minimum.at(first, inverse, delays)
    np.maximum.at(last, inverse, delays)
    return {
        name: percentiles([ns / 1e6 for ns in values.tolist()])
        for name, values in (("first", first), ("last", last), ("each", delays))
    }


def percentiles(values_ms: list[float]) -> dict[str, float]:
    """Return p50, p95, p99 and max."""
    named = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(values_ms, share), 3) for name, share in named.items()}
