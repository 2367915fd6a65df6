"""Read RTP packets and their header extensions (RFC 3550 section 5.1, RFC 8285)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HEADER_BYTES = 12
# An Ethernet frame's worth, like the transport's own limit: what is longer was not sent over the
# internet, and a batch of them would not fit into an outlet's buffer.
PACKET_MAX_BYTES = 1500
_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000

AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
PLAYOUT_DELAY_URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
TRANSPORT_SEQUENCE_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID_URI = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"


class RtpRefused(Exception):
    """The bytes are no RTP packet."""


@dataclass(slots=True)
class RtpPacket:
    """One RTP packet, header parsed, payload as it came.

    Attributes:
        extensions: Header extension elements by id; empty when there are none.
        payload: Without padding; empty for a padding-only probe.
    """

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    extensions: Mapping[int, bytes]
    payload: bytes


_NO_EXTENSIONS: Mapping[int, bytes] = MappingProxyType({})


def parse_rtp(packet: bytes) -> RtpPacket:
    """Read one RTP packet.

    Raises:
        RtpRefused: It is malformed.
    """
    size = len(packet)
    if not HEADER_BYTES <= size <= PACKET_MAX_BYTES:
        raise RtpRefused("shorter than an RTP header, or longer than a packet can be")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(packet)
    if first >> 6 != 2:
        raise RtpRefused("not RTP version 2")
    start = HEADER_BYTES + 4 * (first & 0x0F)
    extensions = _NO_EXTENSIONS
    if first & 0x10:
        if start + 4 > size:
            raise RtpRefused("the header extension is cut off")
        profile, words = _EXTENSION.unpack_from(packet, start)
        end = start + 4 + 4 * words
        if end > size:
            raise RtpRefused("the header extension runs past the end")
        extensions = _parse_extensions(profile, packet[start + 4 : end])
        start = end
    if start > size:
        raise RtpRefused("the contributing sources run past the end")
    if first & 0x20:
        padding = packet[-1]
        if not padding or start + padding > size:
            raise RtpRefused("the padding is longer than the payload")
        size -= padding
    return RtpPacket(
        second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, extensions, packet[start:size]
    )


def _parse_extensions(profile: int, block: bytes) -> Mapping[int, bytes]:
    """Split a header extension into elements; a profile that nobody negotiated has none."""
    if profile == ONE_BYTE_PROFILE:
        return _parse_one_byte(block)
    if profile & 0xFFF0 == TWO_BYTE_PROFILE:
        return _parse_two_byte(block)
    return _NO_EXTENSIONS


def _parse_one_byte(block: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset, size = 0, len(block)
    while offset < size:
        head = block[offset]
        offset += 1
        if head == 0:
            continue
        number, length = head >> 4, (head & 0x0F) + 1
        if number in (0, 15):  # RFC 8285 section 4.2: reserved, stop reading here
            break
        if offset + length > size:
            raise RtpRefused("an extension element runs past its block")
        found[number] = block[offset : offset + length]
        offset += length
    return found


def _parse_two_byte(block: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset, size = 0, len(block)
    while offset < size:
        number = block[offset]
        offset += 1
        if number == 0:
            continue
        if offset >= size or offset + 1 + block[offset] > size:
            raise RtpRefused("an extension element runs past its block")
        found[number] = block[offset + 1 : offset + 1 + block[offset]]
        offset += 1 + block[offset]
    return found


def write_extensions(elements: list[tuple[int, bytes]]) -> bytes:
    """Write a one-byte-header extension block, padded; empty for no elements.

    Args:
        elements: Ids 1..14 with values of 1..16 bytes, in order.
    """
    if not elements:
        return b""
    body = b"".join(bytes([number << 4 | len(value) - 1]) + value for number, value in elements)
    body += bytes(-len(body) % 4)
    return _EXTENSION.pack(ONE_BYTE_PROFILE, len(body) // 4) + body


def write_rtp(packet: RtpPacket) -> bytes:
    """Write a packet with a one-byte-header extension block; for tests and local sources."""
    block = write_extensions(sorted(packet.extensions.items()))
    head = _HEADER.pack(
        0x90 if block else 0x80,
        packet.marker << 7 | packet.payload_type,
        packet.sequence & 0xFFFF,
        packet.timestamp & 0xFFFFFFFF,
        packet.ssrc,
    )
    return head + block + packet.payload
