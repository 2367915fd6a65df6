"""One track of a room: what feeds it becomes one stream, which goes to every viewer."""

from collections import deque
from dataclasses import dataclass, replace

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import h264, rtcp, vp8
from mediasrv.relay.fanout import BATCH_PACKETS_MAX, Batch, Forwarder, TrackPacket
from mediasrv.relay.keyframes import MERGE_S, KeyframeRequests
from mediasrv.relay.timeline import Timeline

# Packets of a frame wait for its marker, so that they leave in one send; a keyframe that the host
# paces over a longer time is not held back for more than this.
HOLD_S = 0.002
# 1,180 bytes of payload, a header with extensions, 16 bytes of SRTP, UDP and IPv6 stay under
# IPv6's smallest MTU of 1,280.
PAYLOAD_MAX_BYTES = 1180
# The recent keyframe and what followed serve viewers who join while requests are merged.
CATCH_UP_MAX_S = MERGE_S
CATCH_UP_PACKETS_MAX = 512
# Replayed frames are stamped a millisecond apart and end at the present: a player shows the
# newest one at once instead of playing the past in real time.
CATCH_UP_STEP_S = 0.001


@dataclass(frozen=True, slots=True)
class SenderClock:
    """One instant on a track: our NTP clock (seconds) and the track's timestamp."""

    at_s: float
    ticks: int


class TrackRelay:
    """The fan-out of one track, and the wishes for keyframes that come back.

    Args:
        clock_hz: Of its timestamps.
        seekable: True for video, where a viewer can begin only at a keyframe.

    Attributes:
        forwarders: By viewer.
        keyframes: Merged wishes of all viewers.
        packets_in: Packets that were accepted.
        packets_out: Packets handed to viewers' transports.
    """

    def __init__(self, clock_hz: int, *, seekable: bool) -> None:
        self.clock_hz = clock_hz
        self.timeline = Timeline(clock_hz)
        self.keyframes = KeyframeRequests()
        self.forwarders: dict[str, Forwarder] = {}
        self.packets_in = 0
        self.clock: SenderClock | None = None
        self._seekable = seekable
        self._pending: list[TrackPacket] = []
        self._pending_since = 0.0
        self._recent: deque[TrackPacket] = deque()
        self._recent_since: float | None = None

    def splice(self, now: float, *, new_clock: bool) -> None:
        """Let another source go on; what waits from the present one leaves first."""
        self.flush(now)
        self._forget_recent()
        self.timeline.splice(new_clock=new_clock)
        if new_clock:
            self.clock = None

    def write_packet(self, packet: TrackPacket, now: float) -> None:
        """Take a packet of the host, in the host's numbers; it leaves with its frame."""
        placed = self.timeline.map(packet.sequence, packet.ticks, now)
        if placed is None:
            return
        packet.sequence, packet.ticks = placed
        if packet.codec == Codec.VP8 and packet.payload:
            packet.payload = self.timeline.rewrite_vp8(packet.payload)
        self._append(packet, now)

    def write_frame(self, frame: EncodedFrame, now: float) -> None:
        """Take a frame of the beauty worker and send it."""
        if frame.codec is Codec.VP8:
            picture_id = self.timeline.next_picture_id()
            payloads = vp8.packetize(frame.payload, picture_id, PAYLOAD_MAX_BYTES)
        else:
            payloads = h264.packetize(frame.payload, PAYLOAD_MAX_BYTES)
        last = len(payloads) - 1
        for i, payload in enumerate(payloads):
            sequence, ticks = self.timeline.follow(frame.timestamp_ticks, now)
            starts = frame.keyframe and i == 0
            packet = TrackPacket(sequence, ticks, i == last, frame.codec, payload, b"", starts)
            self._append(packet, now)
        self.flush(now)

    def _append(self, packet: TrackPacket, now: float) -> None:
        self.packets_in += 1
        if packet.starts_keyframe and self._seekable:
            self.keyframes.arrived()
            self._forget_recent()
            self._recent_since = now
        if self._recent_since is not None:
            self._recent.append(packet)
            if len(self._recent) > CATCH_UP_PACKETS_MAX:
                self._forget_recent()
        if not self._pending:
            self._pending_since = now
        self._pending.append(packet)
        if packet.marker or not self._seekable or len(self._pending) >= BATCH_PACKETS_MAX:
            self.flush(now)

    def drop_pending(self) -> None:
        """Forget what waits: it must not reach anybody."""
        self._pending = []

    def _forget_recent(self) -> None:
        self._recent.clear()
        self._recent_since = None

    @property
    def flush_at(self) -> float | None:
        """When :meth:`flush` must be called at the latest; None when nothing waits."""
        return self._pending_since + HOLD_S if self._pending else None

    def flush(self, now: float) -> None:
        """Send what waits to every viewer."""
        if not self._pending:
            return
        batch = Batch(self._pending, now)
        self._pending = []
        for forwarder in list(self.forwarders.values()):
            if not forwarder.write(batch) and self._seekable:
                self.keyframes.ask()

    def add(self, viewer: str, forwarder: Forwarder, now: float) -> None:
        """Begin to send to a viewer: from the recent keyframe, else from the next one."""
        self.forwarders[viewer] = forwarder
        if not self._seekable:
            return
        fresh = self._recent_since is not None and now - self._recent_since <= CATCH_UP_MAX_S
        if not fresh or not self._recent or not forwarder.can_carry(self._recent[0].codec):
            self.keyframes.ask()
            return
        # What waits for its marker is part of the recent packets; it must not be sent twice.
        self.flush_without(viewer, now)
        for start in range(0, len(self._recent), BATCH_PACKETS_MAX):
            stop = min(len(self._recent), start + BATCH_PACKETS_MAX)
            if not forwarder.write(Batch(self._catch_up(start, stop), now)):
                self.keyframes.ask()
                return

    def flush_without(self, viewer: str, now: float) -> None:
        """Send what waits to everybody but one viewer."""
        kept = self.forwarders.pop(viewer)
        self.flush(now)
        self.forwarders[viewer] = kept

    def _catch_up(self, start: int, stop: int) -> list[TrackPacket]:
        newest = self._recent[-1].ticks
        distinct = sorted({p.ticks for p in self._recent})
        step = int(CATCH_UP_STEP_S * self.clock_hz)
        stamped = {t: newest - step * (len(distinct) - 1 - i) for i, t in enumerate(distinct)}
        packets = [self._recent[i] for i in range(start, stop)]
        return [replace(p, ticks=max(p.ticks, stamped[p.ticks])) for p in packets]

    def remove(self, viewer: str) -> None:
        """Stop sending to a viewer; unknown ones are ignored."""
        self.forwarders.pop(viewer, None)

    def set_clock(self, at_s: float, ticks: int) -> None:
        """Note what a sender report of the host says, with ``ticks`` unwrapped."""
        if self.timeline.clock_known:
            self.clock = SenderClock(at_s, self.timeline.place_ticks(ticks))

    def sender_report(self, forwarder: Forwarder, now: float) -> rtcp.SenderReport | None:
        """Make a viewer's sender report for ``now``; None before the host's first one."""
        if self.clock is None or forwarder.packets_sent == 0:
            return None
        ticks = self.clock.ticks + int((now - self.clock.at_s) * self.clock_hz)
        return rtcp.SenderReport(
            forwarder.ssrc,
            int(now * (1 << 32)) & 0xFFFFFFFFFFFFFFFF,
            ticks & 0xFFFFFFFF,
            forwarder.packets_sent,
            forwarder.octets_sent,
        )
