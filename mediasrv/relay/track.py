"""One track of a room: what feeds it becomes one stream, which goes to every viewer."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import h264, rtcp, vp8
from mediasrv.relay.catching_up import (
    CATCH_UP_BYTES,
    CATCH_UP_FIRST_BYTES,
    Joiner,
    can_catch_up,
)
from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.history import PacketHistory
from mediasrv.relay.keyframes import KeyframeRequests
from mediasrv.relay.lanes import Fanout, Lane, PlainGroup
from mediasrv.relay.layout import BATCH_PACKETS_MAX, Batch
from mediasrv.relay.packets import TrackPacket
from mediasrv.relay.patience import Patience
from mediasrv.relay.stills import Stills
from mediasrv.relay.timeline import Timeline

# Packets of a frame wait for its marker, so that they leave in one send; a keyframe that the host
# paces over a longer time is not held back for more than this.
HOLD_S = 0.002
# 1,180 bytes of payload, a header with extensions, 16 bytes of SRTP, UDP and IPv6 stay under
# IPv6's smallest MTU of 1,280.
PAYLOAD_MAX_BYTES = 1180
# What comes later than this is no repair any more: players have moved on.
VIDEO_HISTORY_S = 1.0
AUDIO_HISTORY_S = 0.5
LAYERS = 4

_sequence = attrgetter("sequence")


@dataclass(frozen=True, slots=True)
class SenderClock:
    """One instant on a track: our NTP clock (seconds) and the track's timestamp."""

    at_s: float
    ticks: int


class Observer(Protocol):
    """Follows frames through a track, for tracing; must not raise."""

    def writing(self, frame: EncodedFrame) -> None:
        """A frame of the beauty worker is about to be cut into packets."""

    def appended(self, packet: TrackPacket) -> None:
        """A packet waits to be sent, in the track's numbers."""

    def sending(self, packets: Sequence[TrackPacket]) -> None:
        """Packets are about to be sent to every viewer."""

    def sent(self, packets: Sequence[TrackPacket], viewers: int) -> None:
        """They have been."""


class TrackRelay:
    """The fan-out of one track, and the wishes for keyframes that come back.

    Args:
        clock_hz: Of its timestamps.
        seekable: True for video, where a viewer can begin only at a keyframe.
        fanout: Sends to many viewers at once.

    Attributes:
        forwarders: By viewer.
        history: The recent packets.
        keyframes: Merged wishes of all viewers.
        packets_in: Packets that were accepted.
        duplicates: Packets that came twice, or too late for anybody.
        layer_bytes: Payload bytes by temporal layer.
        clock: What the host's last sender report said; None before the first.
        left_since: When the oldest packet arrived of those that left last; None once it was read.
        observer: Who traces the track; None usually.
    """

    def __init__(self, clock_hz: int, *, seekable: bool, fanout: Fanout = PlainGroup) -> None:
        self.clock_hz = clock_hz
        self.timeline = Timeline(clock_hz)
        self.keyframes = KeyframeRequests()
        self.forwarders: dict[str, Forwarder] = {}
        self.history = PacketHistory(VIDEO_HISTORY_S if seekable else AUDIO_HISTORY_S)
        self.packets_in = 0
        self.duplicates = 0
        self.layer_bytes = [0] * LAYERS
        self.clock: SenderClock | None = None
        self.left_since: float | None = None
        self.observer: Observer | None = None
        self._fanout = fanout
        self._lanes: dict[tuple[int, int], Lane] = {}
        self._lane_of: dict[str, Lane] = {}
        self._singles: dict[str, Forwarder] = {}
        self._joining: dict[str, Joiner] = {}
        self._stills: dict[str, Stills] = {}
        self._expected: dict[str, tuple[TrackRelay, int]] = {}
        self._patience: dict[str, Patience] = {}
        self._seekable = seekable
        self._pending: list[TrackPacket] = []
        self._pending_since = 0.0
        self._newest_sent = -1
        self._is_torn = False

    # What comes in

    def splice(self, now: float, *, new_clock: bool) -> None:
        """Let another source go on; what waits from the present one leaves first.

        A decoder can go on with another encoder's pictures only at a keyframe, so every viewer
        waits for one. Nothing of the source before is sent again.
        """
        self.flush(now)
        self.history.clear()
        for stills in self._stills.values():
            stills.stop()
        for viewer, forwarder in self.forwarders.items():
            if viewer in self._stills:
                continue
            self._single_out(viewer)
            forwarder.interrupt(is_torn=self._is_torn or viewer in self._joining)
            self._singles[viewer] = forwarder
        self._is_torn = False
        self._joining.clear()
        self.timeline.splice(new_clock=new_clock)
        if new_clock:
            self.clock = None

    def write_packet(self, packet: TrackPacket, now: float) -> None:
        """Take a packet of the host, in the host's numbers; it leaves with its frame.

        Raises:
            vp8.PayloadRefused: It is malformed, and was not taken.
        """
        placed = self.timeline.map(packet.sequence, packet.ticks, now)
        if placed is None:
            return
        packet.sequence, packet.ticks = placed
        if packet.codec == Codec.VP8 and packet.payload:
            self.timeline.place_picture(packet)
        self._append(packet, now)

    def write_frame(self, frame: EncodedFrame, now: float) -> None:
        """Take a frame of the beauty worker and send it."""
        if self.observer is not None:
            self.observer.writing(frame)
        picture_id = None
        if frame.codec is Codec.VP8:
            picture_id = self.timeline.next_picture_id()
            layer = None
            if frame.layer is not None:
                layer = self.timeline.next_layer(frame.layer, sync=frame.layer_sync)
            payloads = vp8.packetize(frame.payload, picture_id, PAYLOAD_MAX_BYTES, layer)
        else:
            payloads = h264.packetize(frame.payload, PAYLOAD_MAX_BYTES)
        last = len(payloads) - 1
        for i, payload in enumerate(payloads):
            sequence, ticks = self.timeline.follow(frame.timestamp_ticks, now)
            packet = TrackPacket(sequence, ticks, i == last, frame.codec, payload)
            packet.starts_keyframe = frame.keyframe and i == 0
            packet.layer, packet.layer_sync = frame.layer or 0, frame.layer_sync
            if picture_id is not None:
                packet.picture_id, packet.picture_id_bits = picture_id, vp8.PICTURE_ID_BITS
            self._append(packet, now)
        self.flush(now)

    def _append(self, packet: TrackPacket, now: float) -> None:
        if not self._is_new(packet.sequence):
            # SRTP drops duplicates already. One that comes through must not leave: a viewer may
            # have been sent it with another timestamp, and would see one number twice.
            self.duplicates += 1
            return
        self.packets_in += 1
        self.layer_bytes[packet.layer] += len(packet.payload)
        if not self._pending:
            self._pending_since = now
        self._pending.append(packet)
        if self.observer is not None:
            self.observer.appended(packet)
        if packet.marker or not self._seekable or len(self._pending) >= BATCH_PACKETS_MAX:
            self.flush(now)

    def _is_new(self, sequence: int) -> bool:
        if not self.history.is_new(sequence):
            return False
        return all(packet.sequence != sequence for packet in self._pending)

    def drop_pending(self) -> None:
        """Forget what waits and what was sent: it must not reach anybody, not even again."""
        self._pending = []
        self.history.clear()

    # What goes out

    @property
    def due_at(self) -> float | None:
        """When :meth:`advance` must be called at the latest; None when nothing waits."""
        times = [joiner.due_at for joiner in self._joining.values()]
        times += [stills.due_at for stills in self._stills.values()]
        if self._pending:
            times.append(self._pending_since + HOLD_S)
        return min(times, default=None)

    def advance(self, now: float) -> None:
        """Send what has waited long enough for the rest of its frame, and the next past frames."""
        if self._pending and now >= self._pending_since + HOLD_S:
            self.flush(now)
        for viewer, joiner in list(self._joining.items()):
            if joiner.due_at <= now:
                self._feed(viewer, joiner, CATCH_UP_BYTES, now)
        for stills in self._stills.values():
            if stills.due_at <= now and stills.advance(self.history, now):
                self.keyframes.ask()

    def flush(self, now: float) -> None:
        """Send what waits to every viewer, in the order of its numbers."""
        if not self._pending:
            return
        packets, self._pending = self._pending, []
        if len(packets) > 1:
            packets.sort(key=_sequence)
        for packet in packets:
            if self._seekable:
                self._note_keyframe(packet, now)
            self.history.add(packet, now)
        if self._expected and any(packet.starts_keyframe for packet in packets):
            self._welcome()
        self._note_newest(packets[-1])
        if self.observer is not None:
            self.observer.sending(packets)
        self._send(Batch(packets, now))
        if self.observer is not None:
            self.observer.sent(packets, len(self.forwarders))
        self.left_since = self._pending_since

    def _send(self, batch: Batch) -> None:
        lost: list[Forwarder] = []
        for lane in self._lanes.values():
            for viewer in self._names_of(lane.late_for(batch)):
                self._single_out(viewer)
            lost += lane.write(batch)
        for viewer, forwarder in list(self._singles.items()):
            if forwarder.write(batch):
                self._let_in_step(viewer, forwarder, batch.codec)
            else:
                self._ask_keyframe(viewer, forwarder, batch.now)
        # Last, so that nobody whose socket was full is sent the same once more at once.
        for viewer in self._names_of(lost):
            self._single_out(viewer)
            self.forwarders[viewer].lose()
            self._ask_keyframe(viewer, self.forwarders[viewer], batch.now)

    def _ask_keyframe(self, viewer: str, forwarder: Forwarder, now: float) -> None:
        """Wish for a keyframe for a viewer who waits for one, if it may cost one by now."""
        if not self._seekable:
            return
        losses = forwarder.counters.sends_failed
        if losses and not self._patience.setdefault(viewer, Patience()).may_ask(losses, now):
            return
        self.keyframes.ask()

    def _let_in_step(self, viewer: str, forwarder: Forwarder, codec: str) -> None:
        """Let a viewer who needs nothing of its own go on with those like it."""
        kind = forwarder.lane_kind(codec)
        if kind is None or not forwarder.in_step:
            return
        key = (kind.key, forwarder.route)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(kind, self._fanout)
        del self._singles[viewer]
        self._lane_of[viewer] = lane
        lane.enter(forwarder)

    def _single_out(self, viewer: str) -> None:
        """Take a viewer out of its lane, if it is in one."""
        lane = self._lane_of.pop(viewer, None)
        if lane is None:
            return
        forwarder = self.forwarders[viewer]
        lane.leave(forwarder)
        self._singles[viewer] = forwarder
        if not lane.members:
            self._lanes = {key: other for key, other in self._lanes.items() if other is not lane}

    def _names_of(self, forwarders: Sequence[Forwarder]) -> list[str]:
        if not forwarders:
            return []
        wanted = {id(forwarder) for forwarder in forwarders}
        return [name for name, known in self.forwarders.items() if id(known) in wanted]

    def _note_keyframe(self, packet: TrackPacket, now: float) -> None:
        if packet.starts_keyframe and packet.sequence < self._newest_sent:
            # It comes late: the rest of its frame has gone already, so nobody can start here.
            packet.starts_keyframe = False
        if packet.starts_keyframe:
            self.keyframes.arrived()
            self.history.mark_keyframe(packet.sequence, now)

    def _note_newest(self, packet: TrackPacket) -> None:
        if packet.sequence > self._newest_sent:
            self._newest_sent = packet.sequence
            if self._seekable and packet.payload:
                self._is_torn = not packet.marker

    # Viewers

    def add(self, viewer: str, forwarder: Forwarder, now: float) -> None:
        """Begin to send to a viewer: from the recent keyframe, else from the next one."""
        self.remove(viewer)
        self.forwarders[viewer] = forwarder
        if self._seekable and self._can_replay(forwarder, now):
            joiner = Joiner(forwarder, self.history, self.clock_hz)
            self._joining[viewer] = joiner
            self._feed(viewer, joiner, CATCH_UP_FIRST_BYTES, now)
        else:
            self._singles[viewer] = forwarder
            if self._seekable:
                self.keyframes.ask()

    def remove(self, viewer: str) -> None:
        """Stop sending to a viewer; unknown ones are ignored."""
        self._single_out(viewer)
        self.forwarders.pop(viewer, None)
        self._singles.pop(viewer, None)
        self._joining.pop(viewer, None)
        self._stills.pop(viewer, None)
        self._expected.pop(viewer, None)
        self._patience.pop(viewer, None)

    # From one quality of a video to another

    def expect(self, viewer: str, source: "TrackRelay", layer: int) -> None:
        """Take a viewer over from another track, at the next keyframe of this one.

        Args:
            viewer: Its id; unless it is here by then, ``source`` has it.
            source: Who sends to it meanwhile.
            layer: The highest temporal layer that it is to get here.
        """
        self._expected[viewer] = (source, layer)

    def forget(self, viewer: str) -> None:
        """Take back :meth:`expect`."""
        self._expected.pop(viewer, None)

    def is_expecting(self, viewer: str) -> bool:
        """Tell whether a viewer comes here at the next keyframe."""
        return viewer in self._expected

    def _welcome(self) -> None:
        expected, self._expected = self._expected, {}
        for viewer, (source, layer) in expected.items():
            self.take_over(viewer, source, layer)

    def take_over(self, viewer: str, source: "TrackRelay", layer: int) -> None:
        """Send to a viewer of another track from the next keyframe on, and that track no more."""
        forwarder = source.forwarders[viewer]
        source.show_moving(viewer)
        is_torn = source._is_torn or viewer in source._joining
        source.remove(viewer)
        forwarder.hand_over(source.timeline.position, is_torn=is_torn)
        forwarder.want_layer(layer)
        self.forwarders[viewer] = self._singles[viewer] = forwarder

    # Viewers who get less

    def show_stills(self, viewer: str, pace_bps: float, now: float) -> None:
        """Send a viewer keyframes only, at this pace; :meth:`show_moving` ends it."""
        forwarder = self.forwarders.get(viewer)
        if forwarder is None:
            return
        if viewer not in self._stills:
            self._single_out(viewer)
            forwarder.interrupt(is_torn=self._is_torn or viewer in self._joining)
            self._singles.pop(viewer, None)
            self._joining.pop(viewer, None)
            self._stills[viewer] = Stills(forwarder, now, after=self.history.newest)
        self._stills[viewer].pace_bps = pace_bps

    def show_moving(self, viewer: str) -> None:
        """Send a viewer all frames again, from the next keyframe on."""
        stills = self._stills.pop(viewer, None)
        if stills is not None:
            stills.stop()
            self._singles[viewer] = stills.forwarder
            self.keyframes.ask()

    def shows_stills(self, viewer: str) -> bool:
        """Tell whether a viewer gets keyframes only."""
        return viewer in self._stills

    def pad(self, viewer: str, size_bytes: int, now: float) -> int:
        """Fill a viewer's way, see :meth:`Forwarder.pad`; one who catches up has it full."""
        if viewer in self._joining or viewer not in self.forwarders:
            return 0
        return self.forwarders[viewer].pad(self.history, size_bytes, now)

    def want_layer(self, viewer: str, layer: int) -> None:
        """Choose a viewer's highest temporal layer; in mid-frame it stays until the next call."""
        if self._is_torn or viewer in self._joining:
            return
        forwarder = self.forwarders.get(viewer)
        if forwarder is not None and forwarder.layer_wanted != layer:
            self._single_out(viewer)
            forwarder.want_layer(layer)

    def want_patience(self, viewer: str, patience: int) -> None:
        """Choose for how long a viewer waits for repairs, in units of 10 ms."""
        forwarder = self.forwarders.get(viewer)
        if forwarder is not None and forwarder.patience != patience:
            self._single_out(viewer)
            forwarder.want_patience(patience)

    def can_catch_up(self, now: float) -> bool:
        """Tell whether a viewer who joins now begins at the recent keyframe."""
        return can_catch_up(self.history, now)

    def _can_replay(self, forwarder: Forwarder, now: float) -> bool:
        if not self.can_catch_up(now) or self.history.keyframe is None:
            return False
        keyframe = self.history.get(self.history.keyframe)
        return keyframe is not None and forwarder.can_carry(keyframe.codec)

    def _feed(self, viewer: str, joiner: Joiner, part_bytes: int, now: float) -> None:
        """Send a joiner its next part; at the present it goes on with everybody else."""
        is_well = joiner.feed(now, part_bytes)
        if not is_well:
            self._ask_keyframe(viewer, joiner.forwarder, now)
        if not is_well or joiner.has_arrived:
            del self._joining[viewer]
            self._singles[viewer] = joiner.forwarder

    def resend(
        self,
        viewer: str,
        numbers: Sequence[int],
        now: float,
        rtt_s: float,
        *,
        is_lossy: bool = False,
    ) -> None:
        """Send a viewer again what it misses, in its numbers; see :meth:`Forwarder.resend`."""
        forwarder = self.forwarders.get(viewer)
        if forwarder is None:
            return
        is_hopeful = forwarder.resend(numbers, self.history, now, rtt_s, is_lossy=is_lossy)
        if not is_hopeful and self._seekable and viewer not in self._stills:
            self.keyframes.ask()

    # Time

    def set_clock(self, at_s: float, ticks: int) -> None:
        """Note what a sender report of the host says, with ``ticks`` unwrapped."""
        if self.timeline.clock_known:
            self.clock = SenderClock(at_s, self.timeline.place_ticks(ticks))

    def sender_report(self, forwarder: Forwarder, now: float) -> rtcp.SenderReport | None:
        """Make a viewer's sender report for ``now``; None before the host's first one."""
        counters = forwarder.counters
        if self.clock is None or counters.packets_sent == 0:
            return None
        ticks = self.clock.ticks + int((now - self.clock.at_s) * self.clock_hz)
        return rtcp.SenderReport(
            forwarder.ssrc,
            int(now * (1 << 32)) & 0xFFFFFFFFFFFFFFFF,
            ticks & 0xFFFFFFFF,
            counters.packets_sent,
            counters.octets_sent,
        )
