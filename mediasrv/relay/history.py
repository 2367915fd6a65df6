"""The recent packets of one track, kept once for all viewers.

Lost packets are sent again from here, and viewers who join begin at the recent keyframe. Payloads
are the very objects that were sent; nothing is copied per viewer.
"""

from collections import deque
from itertools import islice

from mediasrv.relay.packets import TrackPacket

# A second of 1080p at 20 Mb/s; whoever sends more gets less history, not our memory.
BYTES_MAX = 2_500_000
PACKETS_MAX = 4096


class PacketHistory:
    """Packets by their sequence number, the oldest forgotten first.

    Args:
        duration_s: How long a packet is kept.
        bytes_max: Payload bytes that are kept at most.

    Attributes:
        payload_bytes: Payload bytes that are kept now.
        keyframe: Sequence number at which the newest keyframe begins; None without one.
        keyframe_at: When that keyframe began to leave, in seconds.
        newest: The highest sequence number; -1 when empty.
    """

    def __init__(self, duration_s: float, *, bytes_max: int = BYTES_MAX) -> None:
        self.payload_bytes = 0
        self.keyframe: int | None = None
        self.keyframe_at = 0.0
        self.newest = -1
        self._duration_s = duration_s
        self._bytes_max = bytes_max
        self._forgotten = -1
        self._packets: dict[int, TrackPacket] = {}
        self._order: deque[TrackPacket] = deque()

    def __len__(self) -> int:
        """Count the packets."""
        return len(self._order)

    def add(self, packet: TrackPacket, now: float) -> None:
        """Keep a new packet, which leaves at ``now``; forget what is too old or too much."""
        packet.sent_at = now
        self._packets[packet.sequence] = packet
        self._order.append(packet)
        self.payload_bytes += len(packet.payload)
        self.newest = max(self.newest, packet.sequence)
        oldest_at = now - self._duration_s
        while self._order and (
            self._order[0].sent_at < oldest_at
            or self.payload_bytes > self._bytes_max
            or len(self._order) > PACKETS_MAX
        ):
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        packet = self._order.popleft()
        del self._packets[packet.sequence]
        self.payload_bytes -= len(packet.payload)
        self._forgotten = max(self._forgotten, packet.sequence)
        if packet.sequence == self.keyframe:
            self.keyframe = None

    def mark_keyframe(self, sequence: int, now: float) -> None:
        """Note that a keyframe begins at a packet that was just added."""
        self.keyframe, self.keyframe_at = sequence, now

    def is_new(self, sequence: int) -> bool:
        """Tell whether a packet is none of those that are kept, and none from before them."""
        if sequence in self._packets:
            return False
        return sequence > self._forgotten

    def get(self, sequence: int) -> TrackPacket | None:
        """Return a packet, None when it is not there any more."""
        return self._packets.get(sequence)

    def is_forgotten(self, sequence: int) -> bool:
        """Tell whether a packet has left and is not kept any more."""
        return sequence <= self._forgotten

    def between(self, first: int, end: int) -> list[TrackPacket]:
        """Return the packets from ``first`` to before ``end``, in order, without the missing."""
        get = self._packets.get
        found = (get(sequence) for sequence in range(first, end))
        return [packet for packet in found if packet is not None]

    def latest(self, count: int) -> list[TrackPacket]:
        """Return the packets that came last, the newest first."""
        return list(islice(reversed(self._order), count))

    def clear(self) -> None:
        """Forget everything: another source goes on, and nothing of this one may leave again."""
        self._forgotten = max(self._forgotten, self.newest)
        self._packets.clear()
        self._order.clear()
        self.payload_bytes = 0
        self.keyframe = None
        self.newest = -1
