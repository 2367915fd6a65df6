"""One packet of a track, and a batch of them laid out for many viewers at once.

All packets that wait are one batch. For viewers that negotiated the same the batch is laid out once
in contiguous memory; what differs from viewer to viewer is ten header bytes.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mediasrv.relay import vp8
from mediasrv.relay.rtp import HEADER_BYTES, PACKET_MAX_BYTES, write_extensions

# A run must fit into one UDP_SEGMENT send: 64 segments and 65,000 bytes (transport/udp_port.py).
RUN_PACKETS_MAX = 64
RUN_BYTES_MAX = 65_000
# One batch must fit into the outlet's buffer; longer ones are cut.
BATCH_PACKETS_MAX = 128
# What is added to a packet at most: three header extensions, RTX's number and SRTP's tag.
GROWTH_MAX_BYTES = 64
OUTLET_BUFFER_MIN_BYTES = BATCH_PACKETS_MAX * (PACKET_MAX_BYTES + GROWTH_MAX_BYTES)
# In units of 10 ms: on a bad path a viewer's jitter buffer may grow to where repair comes in time.
PLAYOUT_DELAY_MAX = 50

# First two bytes, no sequence number, timestamp (RFC 3550 section 5.1).
_HEAD = struct.Struct("!BBxxI")


@dataclass(frozen=True, slots=True)
class ExtensionIds:
    """Header-extension ids that a viewer negotiated for one track; 0 where it did not."""

    audio_level: int = 0
    abs_send_time: int = 0
    playout_delay: int = 0


@dataclass(slots=True)
class TrackPacket:
    """One packet of a track, in the track's own numbering.

    Attributes:
        sequence: Growing integer.
        ticks: Timestamp, growing integer.
        codec: Lower-case encoding name.
        audio_level: Value of the extension, empty when absent.
        starts_keyframe: True when a decoder can begin here; always True for audio.
        layer: Temporal layer, 0 when there are none.
        layer_sync: True when the frame builds on layer 0 alone, so that its layer can begin here.
        picture_id: VP8 picture id, None when absent.
        picture_id_bits: 7 or 15; 0 when absent.
        sent_at: When it first left, in seconds.
    """

    sequence: int
    ticks: int
    marker: bool
    codec: str
    payload: bytes
    audio_level: bytes = b""
    starts_keyframe: bool = False
    layer: int = 0
    layer_sync: bool = False
    picture_id: int | None = None
    picture_id_bits: int = 0
    sent_at: float = 0.0


def extension_elements(
    packet: TrackPacket, ids: ExtensionIds, now: float, patience: int = 0
) -> list[tuple[int, bytes]]:
    """Return the header extension of a packet that leaves at ``now``, as ids and values.

    With ``patience`` 0 a viewer shows each frame as soon as it can; else it waits for repairs for
    this many units of 10 ms.
    """
    elements = []
    if ids.audio_level and packet.audio_level:
        elements.append((ids.audio_level, packet.audio_level))
    if ids.abs_send_time:
        # 24 bits of seconds in 6.18 fixed point.
        elements.append((ids.abs_send_time, (int(now * (1 << 18)) & 0xFFFFFF).to_bytes(3, "big")))
    if ids.playout_delay and (packet.starts_keyframe or patience):
        # It holds until it is changed, so the packets that a decoder begins at are enough; where
        # packets are lost, each says it.
        delay = (patience << 12 | PLAYOUT_DELAY_MAX).to_bytes(3, "big")
        elements.append((ids.playout_delay, delay))
    return elements


@dataclass(frozen=True, slots=True)
class Layout:
    """A batch laid out for viewers that negotiated the same.

    Attributes:
        template: All packets with room behind each; sequence numbers and SSRC are left empty.
        fields: Where the sequence number is, sequence and ticks, of each packet.
        pictures: Where the picture id is, its value and its bits, of each packet that has one.
        spans: Offset and plaintext size of each packet.
        runs: Start, end and segment size of each stretch of protected packets of equal size.
        sent_bytes: What leaves per viewer, protection included.
    """

    template: bytes
    fields: tuple[tuple[int, int, int], ...]
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
        lowest_layer: Of all packets.
        highest_layer: Of all packets.
    """

    def __init__(self, packets: Sequence[TrackPacket], now: float) -> None:
        self.packets = packets
        self.codec = packets[0].codec
        self.first_sequence = packets[0].sequence
        self.payload_bytes = sum(len(p.payload) for p in packets)
        layers = [p.layer for p in packets]
        self.lowest_layer, self.highest_layer = min(layers), max(layers)
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
        return self._from(lambda packet: packet.starts_keyframe)

    def _from(self, is_first: Callable[[TrackPacket], bool]) -> "Batch | None":
        for i, packet in enumerate(self.packets):
            if is_first(packet):
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
            fields.append((offset + 2, packet.sequence, packet.ticks))
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
