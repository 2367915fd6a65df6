"""The hot loop: packets of one track, laid out once, to every viewer.

All packets that wait are one batch. For viewers with the same header-extension ids the batch is
laid out once in contiguous memory; per viewer there is one copy of it, twelve header bytes per
packet, encryption in place, and one send per run of equal sizes. Nothing here is per packet and
per viewer that need not be.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mediasrv.relay.rtp import HEADER_BYTES, PACKET_MAX_BYTES, write_extensions

_HEADER = struct.Struct("!BBHII")
# A run must fit into one UDP_SEGMENT send: 64 segments and 65,000 bytes (transport/udp_port.py).
RUN_PACKETS_MAX = 64
RUN_BYTES_MAX = 65_000
# One batch must fit into the outlet's buffer; longer ones (a replayed group of pictures) are cut.
BATCH_PACKETS_MAX = 128
# What is added to a packet at most: two header extensions and SRTP's tag take 28 bytes.
GROWTH_MAX_BYTES = 64
OUTLET_BUFFER_MIN_BYTES = BATCH_PACKETS_MAX * (PACKET_MAX_BYTES + GROWTH_MAX_BYTES)
# RFC 3711 section 3.3.1 advises to start below 2**15, so that an early wrap cannot be missed.
FIRST_SEQUENCE_MAX = 1 << 15


class Outlet(Protocol):
    """Where packets of one viewer leave, protected; offered by the transport."""

    @property
    def buffer(self) -> bytearray:
        """Where packets are laid out, OUTLET_BUFFER_MIN_BYTES or more; lost with every send."""

    @property
    def overhead_bytes(self) -> int:
        """Room that each packet needs behind it."""

    def send_packets(
        self, spans: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int]]
    ) -> bool:
        """Send what lies in :attr:`buffer`; False when some of it was lost."""

    def send_rtcp(self, packet: bytes) -> None:
        """Send one compound RTCP packet."""


@dataclass(frozen=True, slots=True)
class ExtensionIds:
    """Header-extension ids that a viewer negotiated for one track; 0 where it did not."""

    audio_level: int = 0
    abs_send_time: int = 0


@dataclass(slots=True)
class TrackPacket:
    """One packet of a track, in the track's own numbering.

    Attributes:
        sequence: Growing integer.
        ticks: Timestamp, growing integer.
        codec: Lower-case encoding name.
        audio_level: Value of the extension, empty when absent.
        starts_keyframe: True when a decoder can begin here; always True for audio.
    """

    sequence: int
    ticks: int
    marker: bool
    codec: str
    payload: bytes
    audio_level: bytes = b""
    starts_keyframe: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A batch laid out for viewers with the same ids and the same SRTP overhead.

    Attributes:
        template: All packets with room behind each; twelve bytes of header left empty.
        headers: (offset, first byte, marker bit, sequence, ticks) of each packet.
        spans: Offset and plaintext size of each packet.
        runs: Start, end and segment size of each stretch of protected packets of equal size.
    """

    template: bytes
    headers: tuple[tuple[int, int, int, int, int], ...]
    spans: tuple[tuple[int, int], ...]
    runs: tuple[tuple[int, int, int], ...]


class Batch:
    """Packets of one track that leave together.

    Args:
        packets: 1 to BATCH_PACKETS_MAX of them, of one codec, in the order of their numbers.
        now: Seconds, for abs-send-time.
    """

    def __init__(self, packets: Sequence[TrackPacket], now: float) -> None:
        self.packets = packets
        self.codec = packets[0].codec
        self.payload_bytes = sum(len(p.payload) for p in packets)
        self._send_time = (int(now * (1 << 18)) & 0xFFFFFF).to_bytes(3, "big")
        self._layouts: dict[tuple[ExtensionIds, int], Layout] = {}
        self._now = now

    def layout(self, ids: ExtensionIds, overhead_bytes: int) -> Layout:
        """Return the layout for these ids, made at the first call."""
        key = (ids, overhead_bytes)
        found = self._layouts.get(key)
        if found is None:
            found = self._layouts[key] = self._lay_out(ids, overhead_bytes)
        return found

    def from_keyframe(self) -> "Batch | None":
        """Return the part that begins with a keyframe, None when there is none."""
        return self._from(lambda packet: packet.starts_keyframe)

    def from_sequence(self, sequence: int) -> "Batch | None":
        """Return the part that is not older than ``sequence``, None when there is none."""
        return self._from(lambda packet: packet.sequence >= sequence)

    def _from(self, is_first: Callable[[TrackPacket], bool]) -> "Batch | None":
        for i, packet in enumerate(self.packets):
            if is_first(packet):
                return self if i == 0 else Batch(self.packets[i:], self._now)
        return None

    def _lay_out(self, ids: ExtensionIds, overhead_bytes: int) -> Layout:
        pieces: list[bytes] = []
        headers, spans = [], []
        offset, room = 0, bytes(overhead_bytes)
        for packet in self.packets:
            block = write_extensions(self._elements(packet, ids))
            first = 0x90 if block else 0x80
            size = HEADER_BYTES + len(block) + len(packet.payload)
            pieces += (bytes(HEADER_BYTES), block, packet.payload, room)
            headers.append((offset, first, packet.marker << 7, packet.sequence, packet.ticks))
            spans.append((offset, size))
            offset += size + overhead_bytes
        return Layout(b"".join(pieces), tuple(headers), tuple(spans), _runs(spans, overhead_bytes))

    def _elements(self, packet: TrackPacket, ids: ExtensionIds) -> list[tuple[int, bytes]]:
        elements = []
        if ids.audio_level and packet.audio_level:
            elements.append((ids.audio_level, packet.audio_level))
        if ids.abs_send_time:
            elements.append((ids.abs_send_time, self._send_time))
        return elements


def _runs(
    spans: Sequence[tuple[int, int]], overhead_bytes: int
) -> tuple[tuple[int, int, int], ...]:
    """Group packets so that in each run all have one size, only the last may be shorter."""
    runs: list[tuple[int, int, int]] = []
    start, end, segment, count, open_run = 0, 0, 0, 0, False
    for offset, plain in spans:
        size = plain + overhead_bytes
        fits = count < RUN_PACKETS_MAX and offset + size - start <= RUN_BYTES_MAX
        if open_run and size <= segment and fits:
            count += 1
        else:
            if count:
                runs.append((start, end, segment))
            start, segment, count = offset, size, 1
        end = offset + size
        open_run = size == segment
    runs.append((start, end, segment))
    return tuple(runs)


class Forwarder:
    """One track on its way to one viewer: its payload types, SSRC and sequence numbers.

    Args:
        outlet: Where packets leave.
        ssrc: Of the track at this viewer, for the whole subscription.
        payload_types: Encoding name to the viewer's payload type.
        ids: Header-extension ids of the viewer.
        first_sequence: Below FIRST_SEQUENCE_MAX.

    Attributes:
        waiting: True until the first keyframe, and again after a loss on our side or when
            another source takes over.
        packets_sent: RTP packets, for sender reports.
        octets_sent: Payload bytes, for sender reports.
    """

    __slots__ = (
        "_delta",
        "_ids",
        "_next_sequence",
        "_outlet",
        "_payload_types",
        "_started_at",
        "octets_sent",
        "packets_sent",
        "sends_failed",
        "ssrc",
        "waiting",
    )

    def __init__(
        self,
        outlet: Outlet,
        ssrc: int,
        payload_types: dict[str, int],
        ids: ExtensionIds,
        first_sequence: int,
    ) -> None:
        self.ssrc = ssrc
        self.waiting = True
        self.packets_sent = 0
        self.octets_sent = 0
        self.sends_failed = 0
        self._outlet = outlet
        self._payload_types = payload_types
        self._ids = ids
        self._next_sequence = first_sequence
        self._started_at = 0
        self._delta = 0

    def can_carry(self, codec: str) -> bool:
        """Tell whether the viewer negotiated ``codec``."""
        return codec in self._payload_types

    def interrupt(self, *, is_torn: bool) -> None:
        """Wait for a keyframe: another source takes over.

        Args:
            is_torn: What was sent last is part of a frame whose end will not come. A hole in the
                numbers says so; otherwise receivers would join it to the frame that follows.
        """
        if is_torn and not self.waiting:
            self._next_sequence += 1
        self.waiting = True

    def write(self, batch: Batch) -> bool:
        """Send a batch; False when the viewer needs a keyframe to go on.

        A viewer that begins, or that has lost packets on our side, starts at a keyframe with the
        sequence number after the last one it was sent, so that it sees no hole. What is older
        than its start and comes late would take numbers that were used for something else: a
        second packet under one SRTP index, which gives the keystream away. It is left out.
        """
        payload_type = self._payload_types.get(batch.codec)
        if payload_type is None:
            self.waiting = True
            return True
        part: Batch | None = batch
        if self.waiting:
            part = batch.from_keyframe()
            if part is None:
                return False
            self._started_at = part.packets[0].sequence
            self._delta = self._next_sequence - self._started_at
            self.waiting = False
        elif batch.packets[0].sequence < self._started_at:
            part = batch.from_sequence(self._started_at)
        if part is None or self._send(part, payload_type):
            return True
        self.waiting = True
        self.sends_failed += 1
        return False

    def _send(self, batch: Batch, payload_type: int) -> bool:
        outlet = self._outlet
        layout = batch.layout(self._ids, outlet.overhead_bytes)
        buffer, delta, ssrc = outlet.buffer, self._delta, self.ssrc
        buffer[: len(layout.template)] = layout.template
        pack_into = _HEADER.pack_into
        sequence = 0
        for offset, first, marker, sequence, ticks in layout.headers:
            pack_into(
                buffer,
                offset,
                first,
                marker | payload_type,
                (sequence + delta) & 0xFFFF,
                ticks & 0xFFFFFFFF,
                ssrc,
            )
        self._next_sequence = max(self._next_sequence, sequence + delta + 1)
        self.packets_sent += len(layout.headers)
        self.octets_sent += batch.payload_bytes
        return outlet.send_packets(layout.spans, layout.runs)
