"""VP8 in RTP: the payload descriptor, keyframes, frames to packets (RFC 7741)."""

from dataclasses import dataclass
from typing import NamedTuple

PICTURE_ID_BITS = 15
_EXTENDED, _NON_REFERENCE, _START = 0x80, 0x20, 0x10
_SYNC = 0x20
_HAS_PICTURE_ID, _HAS_TL0, _HAS_TID, _HAS_KEYIDX = 0x80, 0x40, 0x20, 0x10


class PayloadRefused(Exception):
    """The payload does not follow its codec's RTP format."""


@dataclass(frozen=True, slots=True)
class Vp8Descriptor:
    """What stands before the VP8 data of one packet.

    Attributes:
        size_bytes: Length of the descriptor.
        starts_frame: True on the first packet of a frame (S = 1, PID = 0).
        picture_id: Of the frame, None when absent.
        picture_id_bits: 7 or 15; 0 when absent.
        tl0_index: Counter of base-layer frames, None when absent.
        layer: Temporal layer, None when absent.
        layer_sync: True when the frame builds on the base layer alone.
    """

    size_bytes: int
    starts_frame: bool
    picture_id: int | None = None
    picture_id_bits: int = 0
    tl0_index: int | None = None
    layer: int | None = None
    layer_sync: bool = False


def parse_descriptor(payload: bytes) -> Vp8Descriptor:
    """Read the payload descriptor (RFC 7741 section 4.2).

    Raises:
        PayloadRefused: It is cut off.
    """
    try:
        return _parse_descriptor(payload)
    except IndexError as exc:
        raise PayloadRefused("the VP8 payload descriptor is cut off") from exc


def _parse_descriptor(payload: bytes) -> Vp8Descriptor:
    first = payload[0]
    starts = first & (_START | 0x07) == _START
    if not first & _EXTENDED:
        return Vp8Descriptor(1, starts)
    flags, offset = payload[1], 2
    picture_id, bits, tl0, layer, sync = None, 0, None, None, False
    if flags & _HAS_PICTURE_ID:
        if payload[offset] & 0x80:
            picture_id, bits = (payload[offset] & 0x7F) << 8 | payload[offset + 1], 15
            offset += 2
        else:
            picture_id, bits = payload[offset], 7
            offset += 1
    if flags & _HAS_TL0:
        tl0 = payload[offset]
        offset += 1
    if flags & (_HAS_TID | _HAS_KEYIDX):
        if flags & _HAS_TID:
            layer, sync = payload[offset] >> 6, bool(payload[offset] & _SYNC)
        offset += 1
    return Vp8Descriptor(offset, starts, picture_id, bits, tl0, layer, sync)


def rewrite_descriptor(
    payload: bytes, descriptor: Vp8Descriptor, picture_id: int, tl0_index: int
) -> bytes:
    """Return ``payload`` with other counters, in the widths that it has; sizes do not change."""
    if descriptor.picture_id is None and descriptor.tl0_index is None:
        return payload
    head = bytearray(payload[: descriptor.size_bytes])
    offset = 2
    if descriptor.picture_id_bits == 15:
        head[offset] = 0x80 | picture_id >> 8 & 0x7F
        head[offset + 1] = picture_id & 0xFF
        offset += 2
    elif descriptor.picture_id_bits == 7:
        head[offset] = picture_id & 0x7F
        offset += 1
    if descriptor.tl0_index is not None:
        head[offset] = tl0_index & 0xFF
    return bytes(head) + payload[descriptor.size_bytes :]


def with_picture_id(payload: bytes, picture_id: int, bits: int) -> bytes:
    """Return ``payload``, which has a picture id of ``bits``, with another one (wrapped)."""
    if bits == PICTURE_ID_BITS:
        written = (0x8000 | picture_id & 0x7FFF).to_bytes(2, "big")
    else:
        written = bytes([picture_id & 0x7F])
    return payload[:2] + written + payload[2 + len(written) :]


def with_tl0_shifted(payload: bytes, offset: int) -> bytes:
    """Return ``payload`` with its counter of base-layer frames moved, if it has one."""
    if len(payload) < 5 or not payload[0] & _EXTENDED or not payload[1] & _HAS_TL0:
        return payload
    at = 2
    if payload[1] & _HAS_PICTURE_ID:
        at += 2 if payload[2] & 0x80 else 1
    return payload[:at] + bytes([payload[at] + offset & 0xFF]) + payload[at + 1 :]


def starts_keyframe(payload: bytes) -> bool:
    """Tell whether this packet is the first of a keyframe (RFC 6386 section 9.1: P bit clear)."""
    try:
        descriptor = _parse_descriptor(payload)
        return descriptor.starts_frame and not payload[descriptor.size_bytes] & 1
    except IndexError:
        return False


def frame_is_keyframe(frame: bytes) -> bool:
    """Tell whether a whole VP8 frame is a keyframe."""
    return bool(frame) and not frame[0] & 1


class FrameLayer(NamedTuple):
    """Where a frame stands among temporal layers, as in :class:`Vp8Descriptor`."""

    layer: int
    sync: bool
    tl0_index: int


def packetize(
    frame: bytes, picture_id: int, max_bytes: int, layer: FrameLayer | None = None
) -> list[bytes]:
    """Split one frame into payloads of nearly equal size, none above ``max_bytes``.

    Equal sizes let the kernel segment a whole frame in one call (GSO).
    """
    head = _write_extension(picture_id, layer)
    room = max_bytes - 1 - len(head)
    count = max(1, -(-len(frame) // room))
    size = -(-len(frame) // count)
    return [
        bytes([_EXTENDED | (_START if i == 0 else 0)]) + head + frame[i : i + size]
        for i in range(0, max(1, len(frame)), size or 1)
    ]


def _write_extension(picture_id: int, layer: FrameLayer | None) -> bytes:
    """Write what follows the first byte of a descriptor (RFC 7741 section 4.2)."""
    picture = bytes([0x80 | picture_id >> 8 & 0x7F, picture_id & 0xFF])
    if layer is None:
        return bytes([_HAS_PICTURE_ID]) + picture
    place = layer.layer << 6 | (_SYNC if layer.sync else 0)
    flags = _HAS_PICTURE_ID | _HAS_TL0 | _HAS_TID
    return bytes([flags]) + picture + bytes([layer.tl0_index & 0xFF, place])
