"""One row per video frame of a room: the moments of its way through the server.

Numbers only: moments, durations of filter stages, and how many packets and viewers there were;
nothing that is derived from a picture. Pure but for the clock that it is given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mediasrv.media import EncodedFrame
from mediasrv.processing.messages import STEP_NAMES, FrameTimes
from mediasrv.relay.packets import TrackPacket

# Frames under way at once; more are forgotten, oldest first.
UNDER_WAY_MAX = 128
RTP_HEADER_BYTES = 12
# Of one frame; more datagrams go on, but are not told one by one.
ARRIVALS_MAX = 256

Row = dict[str, object]


@dataclass(slots=True)
class _Frame:
    """What is known of a frame so far; moments in seconds."""

    moments: dict[str, float] = field(default_factory=dict)
    arrivals: list[float] = field(default_factory=list)
    steps_us: dict[str, int] = field(default_factory=dict)
    packets: int = 0
    unprotect_s: float = 0.0
    keyframe: bool = False


class FrameTracer:
    """Follows the video of one room.

    A row that has ``overtaken`` went into the filter and never came out: a newer one did.

    Moments of a row, ``*_ms`` on the clock: ``first_in`` and ``last_in`` datagram, ``unprotected``
    (the last one), ``arrived`` of each datagram, and on the way through the filter ``complete``,
    ``fed``, ``decoding``,
    ``decoded``, ``begun``, ``encoding``, ``encoded``, ``back``; then ``sending`` begins,
    ``first_sent`` (the first system call is over) and ``sent`` to the last viewer.

    Args:
        clock: Monotonic seconds.
        emit: Takes finished rows.
    """

    def __init__(self, clock: Callable[[], float], emit: Callable[[Row], None]) -> None:
        self._clock = clock
        self._emit = emit
        self._incoming: dict[bytes, _Frame] = {}
        self._filtered: dict[int, _Frame] = {}
        self._outgoing: dict[int, _Frame] = {}
        self._current: _Frame | None = None
        self._batch: list[_Frame] = []

    # Packets of the host

    def arrived(self, packet: bytes, arrived: float) -> None:
        """A packet of the host has been decrypted; what follows until :meth:`handled` is its work.

        Args:
            packet: Plain RTP.
            arrived: When its datagram was read.
        """
        now = self._clock()
        frame = _entry(self._incoming, packet[4:RTP_HEADER_BYTES])
        frame.moments.setdefault("first_in", arrived)
        frame.moments["last_in"], frame.moments["unprotected"] = arrived, now
        frame.unprotect_s += now - arrived
        if len(frame.arrivals) < ARRIVALS_MAX:
            frame.arrivals.append(arrived)
        self._current = frame

    def handled(self) -> None:
        """The packet has been dealt with."""
        self._current = None

    # The filter

    def completed(self, frame: EncodedFrame) -> None:
        """A frame is complete and goes to the worker."""
        if self._current is not None:
            self._current.moments["complete"] = self._clock()
            _put(self._filtered, frame.timestamp_ticks, self._current)

    def fed(self, frame: EncodedFrame) -> None:
        """It is in the worker's channel."""
        known = self._filtered.get(frame.timestamp_ticks)
        if known is not None:
            known.moments["fed"] = self._clock()

    def worked(self, times: FrameTimes) -> None:
        """The worker says where a frame's time went."""
        known = self._filtered.get(times.timestamp_ticks)
        if known is None:
            return
        at_us = times.decoding_us
        known.moments["decoding"] = at_us / 1e6
        spent = (times.decode_us, times.wait_us, times.work_us, times.encode_us)
        for name, us in zip(("decoded", "begun", "encoding", "encoded"), spent, strict=True):
            at_us += us
            known.moments[name] = at_us / 1e6
        known.steps_us = dict(zip(STEP_NAMES, times.steps_us(), strict=True))

    # The track's way out; see relay.track.Observer

    def writing(self, frame: EncodedFrame) -> None:
        """A frame of the worker is about to be cut into packets."""
        self._current = None
        self._forget_overtaken(frame.timestamp_ticks)
        if frame.timestamp_ticks in self._filtered:
            self._current = self._filtered.pop(frame.timestamp_ticks)
            self._current.moments["back"] = self._clock()
            self._current.keyframe = frame.keyframe

    def _forget_overtaken(self, ticks: int) -> None:
        """Emit what went into the filter before ``ticks`` and never came out of it."""
        for overtaken in [known for known in self._filtered if known < ticks]:
            self._emit(_row(self._filtered.pop(overtaken), overtaken, 0) | {"overtaken": True})

    def appended(self, packet: TrackPacket) -> None:
        """A packet of the frame at hand waits to be sent."""
        if self._current is not None:
            self._current.packets += 1
            self._current.keyframe |= packet.starts_keyframe
            _put(self._outgoing, packet.ticks, self._current)

    def sending(self, packets: Sequence[TrackPacket]) -> None:
        """Packets are about to be sent to every viewer."""
        now = self._clock()
        ticks = dict.fromkeys(packet.ticks for packet in packets)
        self._batch = [frame for t in ticks if (frame := self._outgoing.get(t)) is not None]
        for frame in self._batch:
            frame.moments["sending"] = now
            frame.moments.pop("first_sent", None)

    def left(self) -> None:
        """A system call has sent some of them."""
        now = self._clock()
        for frame in self._batch:
            frame.moments.setdefault("first_sent", now)

    def sent(self, packets: Sequence[TrackPacket], viewers: int) -> None:
        """They have been sent to all viewers; with its last packet a frame is finished."""
        now = self._clock()
        for frame in self._batch:
            frame.moments["sent"] = now
        self._batch = []
        for packet in packets:
            if packet.marker and packet.ticks in self._outgoing:
                self._emit(_row(self._outgoing.pop(packet.ticks), packet.ticks, viewers))


def _row(frame: _Frame, ticks: int, viewers: int) -> Row:
    moments = {f"{name}_ms": round(1e3 * at, 4) for name, at in frame.moments.items()}
    return {
        "rtp_ticks": ticks & 0xFFFFFFFF,
        "keyframe": frame.keyframe,
        "packets": frame.packets,
        "viewers": viewers,
        "unprotect_ms": round(1e3 * frame.unprotect_s, 4),
        **moments,
        "arrived_ms": [round(1e3 * at, 4) for at in frame.arrivals],
        "steps_us": frame.steps_us,
    }


_Key = TypeVar("_Key", int, bytes)


def _entry(frames: dict[bytes, _Frame], key: bytes) -> _Frame:
    frame = frames.get(key)
    if frame is None:
        frame = _Frame()
        _put(frames, key, frame)
    return frame


def _put(frames: dict[_Key, _Frame], key: _Key, frame: _Frame) -> None:
    if key not in frames and len(frames) >= UNDER_WAY_MAX:
        del frames[next(iter(frames))]
    frames[key] = frame
