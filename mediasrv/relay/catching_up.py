"""A viewer on its way from the recent keyframe to the present, in parts that no queue chokes on."""

from collections import deque
from collections.abc import Sequence

from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.history import PacketHistory
from mediasrv.relay.packets import TrackPacket

# The recent keyframe and what followed serve viewers who join: longer than requests are merged,
# and long enough for a keyframe that was asked for when the viewer began to connect.
CATCH_UP_MAX_S = 1.0
CATCH_UP_PACKETS_MAX = 512
# Replayed frames are stamped a millisecond apart and end at the present: a player shows the
# newest one at once instead of playing the past in real time.
CATCH_UP_STEP_S = 0.001
# They leave at 32 Mb/s, so that a second of 2.5 Mb/s is there within 80 ms and no queue on the way
# has to take it in one gulp. The first part is what a slow start would allow in any case.
CATCH_UP_FIRST_BYTES = 24_000
CATCH_UP_BYTES = 12_000
CATCH_UP_EVERY_S = 0.003


def can_catch_up(history: PacketHistory, now: float) -> bool:
    """Tell whether a viewer who joins now begins at the recent keyframe."""
    if history.keyframe is None or now - history.keyframe_at > CATCH_UP_MAX_S:
        return False
    return history.newest - history.keyframe < CATCH_UP_PACKETS_MAX


class Joiner:
    """A viewer who is sent the past, and then goes on with everybody else.

    Args:
        forwarder: The viewer's.
        history: Of the track.
        clock_hz: Of the track's timestamps.

    Attributes:
        forwarder: The viewer's.
        due_at: When the next part leaves; read it after the first :meth:`feed`.
    """

    def __init__(self, forwarder: Forwarder, history: PacketHistory, clock_hz: int) -> None:
        self.forwarder = forwarder
        self.due_at = 0.0
        self._history = history
        self._end = history.newest + 1
        begin = self._end if history.keyframe is None else history.keyframe
        self._packets = deque(history.between(begin, self._end))
        self._ticks = _stamps(self._packets, int(CATCH_UP_STEP_S * clock_hz))

    @property
    def has_arrived(self) -> bool:
        """Is there nothing left of the past?"""
        return not self._packets and self._end > self._history.newest

    def feed(self, now: float, part_bytes: int) -> bool:
        """Send the next part; False when the viewer needs a keyframe to go on."""
        history = self._history
        if not self._packets:
            self._packets.extend(history.between(self._end, history.newest + 1))
            self._end = history.newest + 1
        part: list[TrackPacket] = []
        while self._packets and part_bytes > 0:
            part_bytes -= len(self._packets[0].payload)
            part.append(self._packets.popleft())
        self.due_at = now + CATCH_UP_EVERY_S
        return self.forwarder.replay(part, self._ticks, now)


def _stamps(packets: Sequence[TrackPacket], step: int) -> dict[int, int]:
    """Return timestamps for past packets, so that a player shows the newest frame at once.

    Frames after a hole keep theirs: when the missing packets come after all, with their own
    timestamps, they must fit to the rest.
    """
    newest, following = packets[0].ticks, packets[0].sequence
    for packet in packets:
        if packet.sequence > following:
            break
        newest, following = packet.ticks, packet.sequence + 1
    past = sorted({p.ticks for p in packets if p.ticks <= newest}, reverse=True)
    return {ticks: max(ticks, newest - step * i) for i, ticks in enumerate(past)}
