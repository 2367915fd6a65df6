"""A batch of packets laid out for many viewers at once.

All packets that wait are one batch. For viewers that negotiated the same the batch is laid out once
in contiguous memory; what differs from viewer to viewer is the sequence number and the SSRC.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from mediasrv.relay import vp8
from mediasrv.relay.packets import ExtensionIds, TrackPacket, extension_elements
from mediasrv.relay.rtp import HEADER_BYTES, PACKET_MAX_BYTES, write_extensions

# A run must fit into one UDP_SEGMENT send: 64 segments and 65,000 bytes (transport/udp_port.py).
RUN_PACKETS_MAX = 64
RUN_BYTES_MAX = 65_000
# One batch must fit into the outlet's buffer; longer ones are cut.
BATCH_PACKETS_MAX = 128
# What is added to a packet at most: three header extensions, RTX's number and SRTP's tag.
GROWTH_MAX_BYTES = 64
OUTLET_BUFFER_MIN_BYTES = BATCH_PACKETS_MAX * (PACKET_MAX_BYTES + GROWTH_MAX_BYTES)

# RFC 3550 section 5.1: where they are in a header.
SEQUENCE_OFFSET = 2
SSRC_OFFSET = 8
# The first two bytes, no sequence number, the timestamp.
_HEAD = struct.Struct("!BBxxI")
_SEQUENCE = struct.Struct("!H")
_SSRC = struct.Struct("!I")
_PICTURE_ID_15 = struct.Struct("!H")


@dataclass(frozen=True, slots=True)
class Layout:
    """A batch laid out for viewers that negotiated the same.

    Attributes:
        template: All packets with room behind each; sequence numbers and SSRC are left empty.
        fields: Where the sequence number is, and the track's, of each packet.
        pictures: Where the picture id is, its value and its bits, of each packet that has one.
        spans: Offset and plaintext size of each packet.
        runs: Start, end and segment size of each stretch of protected packets of equal size.
        sent_bytes: What leaves per viewer, protection included.
    """

    template: bytes
    fields: tuple[tuple[int, int], ...]
    pictures: tuple[tuple[int, int, int], ...]
    spans: tuple[tuple[int, int], ...]
    runs: tuple[tuple[int, int, int], ...]
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class LayoutKind:
    """What viewers must have in common to share a layout.

    Attributes:
        tl0_offset: Added to VP8's counter of base-layer frames; 0 but for viewers who have been
            sent another quality before.
        patience: For how long viewers wait for repairs, in units of 10 ms.
        key: The same for equal kinds; quick to look up.
    """

    ids: ExtensionIds
    payload_type: int
    overhead_bytes: int
    tl0_offset: int = 0
    patience: int = 0

    @property
    def key(self) -> int:
        """Return all fields as one integer."""
        ids = self.ids
        packed = ids.audio_level | ids.abs_send_time << 4 | ids.playout_delay << 8
        packed |= self.payload_type << 12 | self.tl0_offset << 20 | self.patience << 28
        return packed | self.overhead_bytes << 36


class Batch:
    """Packets of one track that leave together.

    Args:
        packets: 1 to BATCH_PACKETS_MAX of them, of one codec, in the order of their numbers.
        now: Seconds, for abs-send-time.

    Attributes:
        first_sequence: Of the first packet.
        highest_layer: Of all packets.
    """

    def __init__(self, packets: Sequence[TrackPacket], now: float) -> None:
        self.packets = packets
        self.codec = packets[0].codec
        self.first_sequence = packets[0].sequence
        self.payload_bytes = sum(len(p.payload) for p in packets)
        self.highest_layer = max(p.layer for p in packets)
        self.now = now
        self._layouts: dict[int, Layout] = {}

    def layout(self, key: int, kind: LayoutKind) -> Layout:
        """Return the layout of a kind, made at the first call; ``key`` is the kind's."""
        found = self._layouts.get(key)
        if found is None:
            found = self._layouts[key] = self._lay_out(kind)
        return found

    def from_keyframe(self) -> "Batch | None":
        """Return the part that begins with a keyframe, None when there is none."""
        for i, packet in enumerate(self.packets):
            if packet.starts_keyframe:
                return self if i == 0 else Batch(self.packets[i:], self.now)
        return None

    def _lay_out(self, kind: LayoutKind) -> Layout:
        pieces: list[bytes] = []
        fields, pictures, spans = [], [], []
        offset, room = 0, bytes(kind.overhead_bytes)
        for packet in self.packets:
            block = write_extensions(extension_elements(packet, kind.ids, self.now, kind.patience))
            head = _HEAD.pack(
                0x90 if block else 0x80,
                packet.marker << 7 | kind.payload_type,
                packet.ticks & 0xFFFFFFFF,
            )
            payload = packet.payload
            if kind.tl0_offset:
                payload = vp8.with_tl0_shifted(payload, kind.tl0_offset)
            size = HEADER_BYTES + len(block) + len(payload)
            pieces += (head, bytes(HEADER_BYTES - len(head)), block, payload, room)
            fields.append((offset + SEQUENCE_OFFSET, packet.sequence))
            if packet.picture_id is not None:
                # RFC 7741 section 4.2: always the third byte of the payload.
                at = offset + HEADER_BYTES + len(block) + 2
                pictures.append((at, packet.picture_id, packet.picture_id_bits))
            spans.append((offset, size))
            offset += size + kind.overhead_bytes
        return Layout(
            b"".join(pieces),
            tuple(fields),
            tuple(pictures),
            tuple(spans),
            tuple(runs_of(spans, kind.overhead_bytes)),
            offset,
        )


def copy_layout(
    layout: Layout, buffer: bytearray, ssrc: int, offset: int, picture_offset: int
) -> None:
    """Write a layout into ``buffer`` in one viewer's numbers."""
    # A view, because a bytearray would copy the template once more before it takes it.
    memoryview(buffer)[: len(layout.template)] = layout.template
    for at, sequence in layout.fields:
        _SEQUENCE.pack_into(buffer, at, (sequence + offset) & 0xFFFF)
        _SSRC.pack_into(buffer, at + SSRC_OFFSET - SEQUENCE_OFFSET, ssrc)
    if picture_offset:
        _move_pictures(buffer, layout.pictures, picture_offset)


def _move_pictures(
    buffer: bytearray, pictures: Sequence[tuple[int, int, int]], offset: int
) -> None:
    for at, picture_id, bits in pictures:
        if bits == vp8.PICTURE_ID_BITS:
            _PICTURE_ID_15.pack_into(buffer, at, 0x8000 | (picture_id + offset) & 0x7FFF)
        else:
            buffer[at] = (picture_id + offset) & 0x7F


def runs_of(spans: Sequence[tuple[int, int]], overhead_bytes: int) -> list[tuple[int, int, int]]:
    """Group packets so that in each run all have one size, only the last may be shorter.

    Args:
        spans: Offset and plaintext size of each packet, one behind the other.
        overhead_bytes: What protection adds to each.

    Returns:
        Start, end and segment size of each run.
    """
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
    return runs
