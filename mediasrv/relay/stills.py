"""A viewer whose way carries no moving picture: keyframes only, each as slowly as the way needs.

The sound goes on meanwhile. A second of delay in every picture is better than a queue of seconds on
the way, in which the sound would wait as well.
"""

from collections import deque

from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.history import PacketHistory
from mediasrv.relay.layout import Batch
from mediasrv.relay.packets import TrackPacket

# Keyframes that are asked for go to everybody, and cost several times what other frames do.
EVERY_S = 2.0
# Packets leave in parts at this grain.
STEP_S = 0.02


class Stills:
    """One viewer's keyframes.

    Args:
        forwarder: Of the viewer; in no lane.
        now: Seconds.
        after: The newest packet that the viewer may have been sent. A keyframe before it would take
            the viewer back in time.

    Attributes:
        pace_bps: What the way carries beside the sound.
        due_at: When :meth:`advance` has something to do.
    """

    def __init__(self, forwarder: Forwarder, now: float, *, after: int = -1) -> None:
        self.forwarder = forwarder
        self.pace_bps = 0.0
        self.due_at = now
        self._packets: deque[TrackPacket] = deque()
        self._newest = after
        self._began_at = now - EVERY_S
        self._advanced_at = now
        self._allowed_bytes = 0.0

    @property
    def is_torn(self) -> bool:
        """Whether a picture has left in part."""
        return bool(self._packets)

    def stop(self) -> None:
        """Leave out the rest of the present picture: it will not come, or is not wanted."""
        self.forwarder.interrupt(is_torn=self.is_torn)
        self._packets.clear()

    def advance(self, history: PacketHistory, now: float) -> bool:
        """Send the next part; returns True when another keyframe is needed."""
        earned = self.pace_bps / 8 * (now - self._advanced_at)
        self._allowed_bytes = min(0.0, self._allowed_bytes) + earned
        self._advanced_at, self.due_at = now, now + STEP_S
        if not self._packets and history.keyframe is not None and history.keyframe > self._newest:
            self._begin(history, history.keyframe, now)
        while self._packets and self._allowed_bytes > 0:
            packet = self._packets.popleft()
            self._allowed_bytes -= len(packet.payload)
            self.forwarder.write(Batch([packet], now))
        return not self._packets and now - self._began_at >= EVERY_S

    def _begin(self, history: PacketHistory, keyframe: int, now: float) -> None:
        """Take the newest keyframe if it is whole."""
        first = history.get(keyframe)
        rest = history.between(keyframe, history.newest + 1)
        frame = [packet for packet in rest if first is not None and packet.ticks == first.ticks]
        is_whole = frame and frame[-1].marker and frame[-1].sequence - keyframe == len(frame) - 1
        if is_whole:
            self.forwarder.interrupt(is_torn=False)
            self._packets.extend(frame)
            self._newest, self._began_at = keyframe, now
