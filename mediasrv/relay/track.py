"""One track of a room: what feeds it becomes one stream, which goes to every viewer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import h264, rtcp, vp8
from mediasrv.relay.fanout import BATCH_PACKETS_MAX, Batch, Forwarder, TrackPacket
from mediasrv.relay.keyframes import KeyframeRequests
from mediasrv.relay.timeline import Timeline

# Packets of a frame wait for its marker, so that they leave in one send; a keyframe that the host
# paces over a longer time is not held back for more than this.
HOLD_S = 0.002
# 1,180 bytes of payload, a header with extensions, 16 bytes of SRTP, UDP and IPv6 stay under
# IPv6's smallest MTU of 1,280.
PAYLOAD_MAX_BYTES = 1180
# The recent keyframe and what followed serve viewers who join: longer than requests are merged,
# and long enough for a keyframe that was asked for when the viewer began to connect.
CATCH_UP_MAX_S = 1.0
CATCH_UP_PACKETS_MAX = 512
# Replayed frames are stamped a millisecond apart and end at the present: a player shows the
# newest one at once instead of playing the past in real time.
CATCH_UP_STEP_S = 0.001

_sequence = attrgetter("sequence")


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
        clock: What the host's last sender report said; None before the first.
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
        self._newest_sent = -1
        self._is_torn = False
        self._recent: list[TrackPacket] = []
        self._recent_since = 0.0

    def splice(self, now: float, *, new_clock: bool) -> None:
        """Let another source go on; what waits from the present one leaves first.

        A decoder can go on with another encoder's pictures only at a keyframe, so every viewer
        waits for one.
        """
        self.flush(now)
        self._recent = []
        for forwarder in self.forwarders.values():
            forwarder.interrupt(is_torn=self._is_torn)
        self._is_torn = False
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
        if not self._pending:
            self._pending_since = now
        self._pending.append(packet)
        if packet.marker or not self._seekable or len(self._pending) >= BATCH_PACKETS_MAX:
            self.flush(now)

    def drop_pending(self) -> None:
        """Forget what waits: it must not reach anybody."""
        self._pending = []

    @property
    def flush_at(self) -> float | None:
        """When :meth:`flush` must be called at the latest; None when nothing waits."""
        return self._pending_since + HOLD_S if self._pending else None

    def flush(self, now: float) -> None:
        """Send what waits to every viewer, in the order of its numbers."""
        if not self._pending:
            return
        packets, self._pending = sorted(self._pending, key=_sequence), []
        if self._seekable:
            self._remember(packets, now)
        self._note_newest(packets[-1])
        batch = Batch(packets, now)
        for forwarder in list(self.forwarders.values()):
            if not forwarder.write(batch) and self._seekable:
                self.keyframes.ask()

    def _remember(self, packets: Sequence[TrackPacket], now: float) -> None:
        """Keep the recent keyframe and what follows it, for viewers who join."""
        for packet in packets:
            if packet.starts_keyframe and packet.sequence < self._newest_sent:
                # It comes late: the rest of its frame has gone already, so nobody can start here.
                packet.starts_keyframe = False
            if packet.starts_keyframe:
                self.keyframes.arrived()
                self._recent, self._recent_since = [packet], now
            elif self._recent and packet.sequence > self._recent[0].sequence:
                self._recent.append(packet)
        if len(self._recent) > CATCH_UP_PACKETS_MAX:
            self._recent = []

    def _note_newest(self, packet: TrackPacket) -> None:
        if packet.sequence > self._newest_sent:
            self._newest_sent = packet.sequence
            if self._seekable and packet.payload:
                self._is_torn = not packet.marker

    def add(self, viewer: str, forwarder: Forwarder, now: float) -> None:
        """Begin to send to a viewer: from the recent keyframe, else from the next one."""
        self.forwarders[viewer] = forwarder
        if not self._seekable:
            return
        if not self.can_catch_up(now) or not forwarder.can_carry(self._recent[0].codec):
            self.keyframes.ask()
            return
        packets = self._catch_up()
        for start in range(0, len(packets), BATCH_PACKETS_MAX):
            if not forwarder.write(Batch(packets[start : start + BATCH_PACKETS_MAX], now)):
                self.keyframes.ask()
                return

    def can_catch_up(self, now: float) -> bool:
        """Tell whether a viewer who joins now begins at the recent keyframe."""
        return bool(self._recent) and now - self._recent_since <= CATCH_UP_MAX_S

    def _catch_up(self) -> list[TrackPacket]:
        """Return the recent packets, stamped so that a player shows the newest frame at once.

        Frames after a hole keep their timestamps: when the missing packets come after all, with
        their own timestamps, they must fit to the rest.
        """
        packets = sorted(self._recent, key=_sequence)
        newest, following = packets[0].ticks, packets[0].sequence
        for packet in packets:
            if packet.sequence > following:
                break
            newest, following = packet.ticks, packet.sequence + 1
        past = sorted({p.ticks for p in packets if p.ticks <= newest}, reverse=True)
        step = int(CATCH_UP_STEP_S * self.clock_hz)
        stamps = {ticks: max(ticks, newest - step * i) for i, ticks in enumerate(past)}
        return [replace(p, ticks=stamps.get(p.ticks, p.ticks)) for p in packets]

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
