"""One track on its way to one viewer: where it begins, what it leaves out, what it repairs.

This is the way of a viewer that needs something of its own: a keyframe, fewer layers, the past, a
packet again. Viewers who get the same in step are served by their lane (lanes.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mediasrv.relay import vp8
from mediasrv.relay.history import PacketHistory
from mediasrv.relay.layout import BATCH_PACKETS_MAX, Batch, LayoutKind, copy_layout, runs_of
from mediasrv.relay.numbering import Numbering, Stretch
from mediasrv.relay.outlet import ForwarderCounters, Outlet, Retransmission
from mediasrv.relay.packets import ExtensionIds, TrackPacket, extension_elements
from mediasrv.relay.repair import RepairPolicy
from mediasrv.relay.rtp import RtpPacket, write_rtp
from mediasrv.relay.timeline import Position

# RFC 3711 section 3.3.1 advises to start below 2**15, so that an early wrap cannot be missed.
FIRST_SEQUENCE_MAX = 1 << 15
# The highest number of a temporal layer (RFC 7741 section 4.2: two bits).
ALL_LAYERS = 3
# Encoders in use make at most three.
TEMPORAL_LAYERS = 3
# What is sent at a time to fill a way: 20 ms of 4 Mb/s.
PAD_PACKETS_MAX = 16
# A millisecond: what lies between frames that are stamped anew, see :meth:`Forwarder.hand_over`.
STAMP_TICKS = 90


class Totals(Protocol):
    """What a lane has sent to each of its members; see lanes.py."""

    packets: int
    octets: int
    newest: int


@dataclass(frozen=True, slots=True)
class _Replay:
    """Past frames that were sent with other timestamps, see :meth:`Forwarder.replay`."""

    end: int
    ticks: Mapping[int, int]


class Forwarder:
    """One track on its way to one viewer: its payload types, SSRC and numbers.

    Args:
        outlet: Where packets leave; connected.
        ssrc: Of the track at this viewer, for the whole subscription.
        payload_types: Encoding name to the viewer's payload type.
        ids: Header-extension ids of the viewer.
        first_sequence: Below FIRST_SEQUENCE_MAX.
        retransmission: Where repairs go; None sends them under the track's own SSRC.

    Attributes:
        waiting: True until the first keyframe, and again after a loss on our side or when
            another source takes over.
        layer_wanted: The highest temporal layer that the viewer is to get.
    """

    __slots__ = (
        "_came_from",
        "_counters",
        "_entered",
        "_floor_ticks",
        "_ids",
        "_key",
        "_kinds",
        "_lane",
        "_layer",
        "_numbering",
        "_outlet",
        "_patience",
        "_payload_types",
        "_repairs",
        "_replay",
        "_rtx",
        "_rtx_sequence",
        "_stamps",
        "_tl0_offset",
        "layer_wanted",
        "ssrc",
        "waiting",
    )

    def __init__(
        self,
        outlet: Outlet,
        ssrc: int,
        payload_types: Mapping[str, int],
        ids: ExtensionIds,
        first_sequence: int,
        retransmission: Retransmission | None = None,
    ) -> None:
        self.ssrc = ssrc
        self.waiting = True
        self.layer_wanted = ALL_LAYERS
        self._counters = ForwarderCounters()
        self._lane: Totals | None = None
        self._entered = (0, 0)
        self._outlet = outlet
        self._payload_types = payload_types
        self._ids = ids
        self._kinds = {
            codec: LayoutKind(ids, payload_type, outlet.overhead_bytes)
            for codec, payload_type in payload_types.items()
        }
        self._key = {codec: kind.key for codec, kind in self._kinds.items()}
        self._numbering = Numbering(first_sequence)
        self._layer = ALL_LAYERS
        self._repairs = RepairPolicy()
        self._replay: _Replay | None = None
        self._tl0_offset = self._patience = 0
        self._came_from: Position | None = None
        self._floor_ticks: int | None = None
        self._stamps: dict[int, int] = {}
        self._rtx = retransmission
        self._rtx_sequence = retransmission.first_sequence if retransmission else 0

    def can_carry(self, codec: str) -> bool:
        """Tell whether the viewer negotiated ``codec``."""
        return codec in self._payload_types

    @property
    def counters(self) -> ForwarderCounters:
        """What the viewer was sent."""
        self._settle()
        return self._counters

    # In a lane

    @property
    def in_step(self) -> bool:
        """Tell whether the viewer needs what everybody gets: it may enter a lane."""
        return not self.waiting and self._layer >= ALL_LAYERS and self._floor_ticks is None

    def lane_kind(self, codec: str) -> LayoutKind | None:
        """Return the kind of layouts that the viewer gets, None when it cannot carry ``codec``."""
        return self._kinds.get(codec)

    @property
    def route(self) -> int:
        """The outlet's, see there."""
        return self._outlet.route

    @property
    def begins_at(self) -> int:
        """The track's first sequence number that the viewer gets in its present numbers."""
        return self._numbering.current.first

    @property
    def address(self) -> tuple[Outlet, int, int, int]:
        """Outlet, SSRC and offsets, for as long as the viewer stays in step."""
        stretch = self._numbering.current
        return self._outlet, self.ssrc, stretch.offset, stretch.picture_offset

    def enter(self, lane: Totals) -> None:
        """Get the batches of a lane from now on, instead of :meth:`write`."""
        self._lane, self._entered = lane, (lane.packets, lane.octets)

    def leave(self) -> None:
        """Get batches by :meth:`write` again."""
        self._settle()
        self._lane = None

    def lose(self) -> None:
        """Note that some of a batch was lost on our side: only a keyframe mends that."""
        self._counters.sends_failed += 1
        self.waiting = True

    def _settle(self) -> None:
        """Take over what the lane has sent since the last time."""
        lane = self._lane
        if lane is None or lane.packets == self._entered[0]:
            return
        self._counters.packets_sent += lane.packets - self._entered[0]
        self._counters.octets_sent += lane.octets - self._entered[1]
        self._entered = (lane.packets, lane.octets)
        self._numbering.sent(lane.newest, self._numbering.current)

    # On its own

    def interrupt(self, *, is_torn: bool) -> None:
        """Wait for a keyframe: another source takes over.

        Args:
            is_torn: What was sent last is part of a frame whose end will not come. A hole in the
                numbers says so; otherwise receivers would join it to the frame that follows.
        """
        if is_torn and not self.waiting:
            self._numbering.tear()
        self.waiting = True

    def write(self, batch: Batch) -> bool:
        """Send a batch; False when the viewer needs a keyframe to go on.

        A viewer that begins, or that has lost packets on our side, starts at a keyframe with the
        sequence number after the last one it was sent, so that it sees no hole. What is older
        than its start and comes late would take numbers that were used for something else: a
        second packet under one SRTP index, which gives the keystream away. It is left out.
        """
        key = self._key.get(batch.codec)
        if key is None:
            self.waiting = True
            return True
        return self._begin(batch) if self.waiting else self._go_on(batch, key)

    def _go_on(self, batch: Batch, key: int) -> bool:
        if self._floor_ticks is not None:
            batch = self._stamped(batch, self._floor_ticks)
        stretch = self._numbering.current
        is_whole = batch.highest_layer <= self._layer == self.layer_wanted
        if is_whole and batch.first_sequence >= stretch.first:
            return self._send(batch, key, stretch)
        return self._write_selected(batch, key)

    def _begin(self, batch: Batch) -> bool:
        part = batch.from_keyframe()
        if part is None:
            return False
        self._replay = None
        if self._came_from is None:
            self._numbering.begin(part.first_sequence)
        else:
            self._take_up(self._came_from, part.packets[0])
        self._layer = self.layer_wanted
        self.waiting = False
        return self._go_on(part, self._key[batch.codec])

    def _send(self, batch: Batch, key: int, stretch: Stretch) -> bool:
        layout = batch.layout(key, self._kinds[batch.codec])
        copy_layout(layout, self._outlet.buffer, self.ssrc, stretch.offset, stretch.picture_offset)
        self._numbering.sent(layout.fields[-1][1], stretch)
        self._counters.packets_sent += len(layout.fields)
        self._counters.octets_sent += batch.payload_bytes
        if self._outlet.send_packets(layout.spans, layout.runs):
            return True
        self.lose()
        return False

    # From one quality to another

    def hand_over(self, position: Position, *, is_torn: bool) -> None:
        """Go on with another track of the same video, at a keyframe of it.

        Numbers, picture ids and timestamps grow on: a receiver notices nothing but the size.

        Args:
            position: Where the track is that the viewer leaves.
            is_torn: See :meth:`interrupt`.
        """
        self._settle()
        self.interrupt(is_torn=is_torn)
        if self._came_from is None:
            pictures = self._numbering.current.picture_offset
            ticks = position.ticks
            if ticks is not None and self._floor_ticks is not None:
                ticks = max(ticks, self._floor_ticks + STAMP_TICKS * len(self._stamps))
            self._came_from = Position(
                ticks,
                None if position.picture_id is None else position.picture_id + pictures,
                None if position.tl0 is None else position.tl0 + self._tl0_offset,
            )
        # What was sent before is known by the numbers of that track only.
        self._repairs = RepairPolicy()

    def _take_up(self, before: Position, packet: TrackPacket) -> None:
        """Begin at the first packet of a keyframe, behind what another track has sent."""
        picture_offset, tl0_offset = 0, 0
        if before.picture_id is not None and packet.picture_id is not None:
            picture_offset = before.picture_id + 1 - packet.picture_id
            tl0 = vp8.parse_descriptor(packet.payload).tl0_index
            if before.tl0 is not None and tl0 is not None:
                tl0_offset = before.tl0 + 1 - tl0 & 0xFF
        self._numbering.begin(packet.sequence, picture_offset)
        self._change_kinds(tl0_offset, self._patience)
        self._came_from, self._floor_ticks, self._stamps = None, before.ticks, {}

    def _stamped(self, batch: Batch, floor: int) -> Batch:
        """Let frames that are not newer than what another track has sent follow it closely.

        Encoders make all qualities of one image at a time, so a keyframe is often of an image that
        the viewer has seen already, and two frames must not have one timestamp.
        """
        packets = []
        for packet in batch.packets:
            ceiling = floor + STAMP_TICKS * len(self._stamps)
            if packet.ticks <= ceiling and packet.ticks not in self._stamps:
                self._stamps[packet.ticks] = ceiling + STAMP_TICKS
            ticks = self._stamps.get(packet.ticks, packet.ticks)
            packets.append(packet if ticks == packet.ticks else replace(packet, ticks=ticks))
        if any(packet.ticks in self._stamps for packet in batch.packets):
            self._replay = _Replay(batch.packets[-1].sequence + 1, self._stamps)
        else:
            self._floor_ticks = None
        return Batch(packets, batch.now)

    def _change_kinds(self, tl0_offset: int, patience: int) -> None:
        self._tl0_offset, self._patience = tl0_offset, patience
        for codec, kind in self._kinds.items():
            changed = replace(kind, tl0_offset=tl0_offset, patience=patience)
            self._kinds[codec], self._key[codec] = changed, changed.key

    # Layers and late packets

    def _write_selected(self, batch: Batch, key: int) -> bool:
        """Send what the viewer is to get of a batch, in pieces where its numbers change."""
        piece: list[TrackPacket] = []
        of_piece: Stretch | None = None
        for packet in batch.packets:
            stretch = self._stretch_of(packet)
            if piece and of_piece is not None and stretch is not of_piece:
                if not self._send(Batch(piece, batch.now), key, of_piece):
                    return False
                piece = []
            if stretch is not None:
                piece.append(packet)
            of_piece = stretch
        if piece and of_piece is not None:
            return self._send(Batch(piece, batch.now), key, of_piece)
        return True

    def _stretch_of(self, packet: TrackPacket) -> Stretch | None:
        """Place a packet; None leaves it out."""
        if packet.starts_keyframe:
            # Nothing after it builds on what was left out before.
            self._layer = self.layer_wanted
        if packet.layer > self._layer and not self._climb(packet):
            self._counters.layered_out += 1
            self._numbering.skip(packet.sequence, packet.sequence + 1, packet.picture_id)
            return None
        return self._numbering.place(packet.sequence)

    def _climb(self, packet: TrackPacket) -> bool:
        """Take a layer up by one where a decoder can follow: at a frame built on layer 0 alone."""
        may = packet.layer == self._layer + 1 <= self.layer_wanted and packet.layer_sync
        if may:
            is_last = packet.layer >= TEMPORAL_LAYERS - 1
            self._layer = self.layer_wanted if is_last else packet.layer
        return may

    def want_layer(self, layer: int) -> None:
        """Leave out what is above ``layer``, at once; what is below comes back where it can."""
        self.layer_wanted = layer
        self._layer = min(self._layer, layer)

    @property
    def patience(self) -> int:
        """For how long the viewer waits for repairs, in units of 10 ms."""
        return self._patience

    def want_patience(self, patience: int) -> None:
        """Let the viewer wait for repairs, which come by RTX, before it shows what it has.

        Without RTX nothing changes: a packet that is sent again must be the same to the last byte.
        """
        if self._rtx is not None:
            self._change_kinds(self._tl0_offset, patience)

    # Catching up

    def replay(self, packets: Sequence[TrackPacket], ticks: Mapping[int, int], now: float) -> bool:
        """Send past packets, beginning at a keyframe, with the timestamps that ``ticks`` maps to.

        Returns:
            False when the viewer needs a keyframe to go on.
        """
        for start in range(0, len(packets), BATCH_PACKETS_MAX):
            part = packets[start : start + BATCH_PACKETS_MAX]
            stamped = [replace(p, ticks=ticks.get(p.ticks, p.ticks)) for p in part]
            if not self.write(Batch(stamped, now)):
                return False
            self._replay = _Replay(part[-1].sequence + 1, ticks)
        return True

    # Repair

    def resend(
        self,
        numbers: Sequence[int],
        history: PacketHistory,
        now: float,
        rtt_s: float,
        *,
        is_lossy: bool = False,
    ) -> bool:
        """Send again what a viewer asks for, in its numbers, as far as that makes sense.

        Not what is older than a keyframe that it got since, nor twice within a round trip, nor
        more than a few times, nor what the history has forgotten. On a lossy way each goes twice
        where RTX makes that possible: the loss of a repair costs two round trips, which players
        do not wait for, and a second copy costs as little as the losses are rare.

        Returns:
            False when the viewer needs a keyframe to go on: Chromium itself would ask for one only
            after three seconds without a picture.
        """
        self._settle()
        again: list[tuple[TrackPacket, Stretch]] = []
        is_hopeful = True
        for number in numbers:
            found = self._numbering.find(number)
            packet = history.get(found[0]) if found else None
            if found is None or packet is None:
                self._counters.repairs_missed += 1
                if found is not None and history.is_forgotten(found[0]):
                    is_hopeful = is_hopeful and _is_before_keyframe(found[0], history)
                continue
            is_old = _is_before_keyframe(packet.sequence, history)
            if not is_old and self._repairs.is_exhausted(packet.sequence, now, rtt_s):
                is_hopeful = False
            if is_old or not self._repairs.allow(packet.sequence, now, rtt_s):
                self._counters.repairs_refused += 1
                continue
            again.append((packet, found[1]))
        copies = 2 if is_lossy and self._rtx is not None else 1
        written = [self._write_again(packet, stretch, now) for packet, stretch in again * copies]
        sent = [packet for packet in written if packet is not None]
        self._counters.repairs_missed += (len(written) - len(sent)) // copies
        self._counters.repaired += self._send_again(sent)
        return is_hopeful and len(sent) == len(written)

    def pad(self, history: PacketHistory, size_bytes: int, now: float) -> int:
        """Send recent packets once more, so that the viewer's estimate of its way can grow.

        By RTX, where a receiver drops what it has; without RTX nothing is sent.

        Returns:
            How many payload bytes were sent, at least ``size_bytes`` if all went well.
        """
        if self._rtx is None or self.waiting:
            return 0
        self._settle()
        sent, packets = 0, []
        for packet in history.latest(PAD_PACKETS_MAX):
            stretch = self._numbering.place(packet.sequence)
            written = self._write_again(packet, stretch, now) if stretch is not None else None
            if written is not None and sent < size_bytes:
                packets.append(written)
                sent += len(packet.payload)
        self._counters.padded += self._send_again(packets)
        return sent

    def _write_again(self, packet: TrackPacket, stretch: Stretch, now: float) -> bytes | None:
        """Write a packet once more, for RTX or as it was."""
        number = packet.sequence + stretch.offset
        ticks, payload = packet.ticks, packet.payload
        replayed = self._replay is not None and packet.sequence < self._replay.end
        if replayed and self._replay is not None:
            ticks = self._replay.ticks.get(ticks, ticks)
        if stretch.picture_offset and packet.picture_id is not None:
            picture_id = packet.picture_id + stretch.picture_offset
            payload = vp8.with_picture_id(payload, picture_id, packet.picture_id_bits)
        if self._tl0_offset:
            payload = vp8.with_tl0_shifted(payload, self._tl0_offset)
        if self._rtx is not None:
            payload_type = self._rtx.payload_types.get(packet.codec)
            if payload_type is None:
                return None
            payload = (number & 0xFFFF).to_bytes(2, "big") + payload
            ssrc, number, sent_at = self._rtx.ssrc, self._rtx_sequence, now
            self._rtx_sequence += 1
        else:
            # The same SRTP index must protect the same bytes, its send time included; that of a
            # replayed packet was another one for each viewer, and is not known any more.
            payload_type = None if replayed else self._payload_types.get(packet.codec)
            ssrc, sent_at = self.ssrc, packet.sent_at
        if payload_type is None:
            return None
        extensions = dict(extension_elements(packet, self._ids, sent_at, self._patience))
        return write_rtp(
            RtpPacket(payload_type, packet.marker, number, ticks, ssrc, extensions, payload)
        )

    def _send_again(self, packets: Sequence[bytes]) -> int:
        """Send packets as they are; returns how many left."""
        left = 0
        buffer, overhead = self._outlet.buffer, self._outlet.overhead_bytes
        for first in range(0, len(packets), BATCH_PACKETS_MAX):
            spans, offset = [], 0
            for packet in packets[first : first + BATCH_PACKETS_MAX]:
                buffer[offset : offset + len(packet)] = packet
                spans.append((offset, len(packet)))
                offset += len(packet) + overhead
            if self._outlet.send_packets(spans, runs_of(spans, overhead)):
                left += len(spans)
            else:
                self._counters.sends_failed += 1
        return left


def _is_before_keyframe(sequence: int, history: PacketHistory) -> bool:
    return history.keyframe is not None and sequence < history.keyframe
