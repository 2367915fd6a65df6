"""Read and write the RTCP that a relay needs (RFC 3550, RFC 4585, RFC 5104, REMB draft).

What is not known is skipped; what is malformed raises RtcpRefused and nothing else.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206

NACK_FORMAT = 1
TRANSPORT_WIDE_FORMAT = 15
PLI_FORMAT = 1
FIR_FORMAT = 4
APPLICATION_FORMAT = 15  # REMB

_HEAD = struct.Struct("!BBH")
_REPORT_BLOCK = struct.Struct("!IIIIII")
_SENDER_FIELDS = struct.Struct("!IIIIII")
# A compound packet from a browser carries two or three; a bound keeps parsing linear.
PACKETS_MAX = 16


class RtcpRefused(Exception):
    """The bytes are no compound RTCP packet."""


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says about one stream (RFC 3550 section 6.4.1).

    ``fraction_lost`` in 1/256, ``jitter_ticks`` in the stream's clock, ``last_report`` and
    ``delay`` in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter_ticks: int
    last_report: int
    delay: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """A sender's clock pair: NTP time (1/2**32 s) and RTP timestamp of the same instant."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    reports: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """Report blocks of a receiver that sends nothing."""

    ssrc: int
    reports: tuple[ReportBlock, ...]


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Streams that have ended."""

    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Nack:
    """Sequence numbers of ``media_ssrc`` to send again (RFC 4585 section 6.2.1)."""

    ssrc: int
    media_ssrc: int
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """A PLI or FIR for each of ``media_ssrcs``."""

    ssrc: int
    media_ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BitrateEstimate:
    """REMB: what the receiver believes that the path carries."""

    ssrc: int
    bitrate_bps: int
    media_ssrcs: tuple[int, ...]


RtcpMessage = SenderReport | ReceiverReport | Goodbye | Nack | KeyframeRequest | BitrateEstimate


def parse_rtcp(compound: bytes) -> list[RtcpMessage]:
    """Read a compound packet; unknown packet types are skipped.

    Raises:
        RtcpRefused: It is malformed.
    """
    messages: list[RtcpMessage] = []
    offset, count = 0, 0
    while offset < len(compound):
        if offset + 4 > len(compound) or count >= PACKETS_MAX:
            raise RtcpRefused("cut off, or too many packets")
        first, kind, words = _HEAD.unpack_from(compound, offset)
        end = offset + 4 + 4 * words
        if first >> 6 != 2 or end > len(compound):
            raise RtcpRefused("not RTCP version 2, or a packet runs past the end")
        body = compound[offset + 4 : end]
        if first & 0x20:
            body = _without_padding(body)
        message = _parse_packet(kind, first & 0x1F, body)
        if message is not None:
            messages.append(message)
        offset, count = end, count + 1
    return messages


def _without_padding(body: bytes) -> bytes:
    if not body or not 0 < body[-1] <= len(body):
        raise RtcpRefused("the padding is longer than the packet")
    return body[: -body[-1]]


def _parse_packet(kind: int, count: int, body: bytes) -> RtcpMessage | None:
    if kind == SENDER_REPORT:
        return _parse_sender_report(count, body)
    if kind == RECEIVER_REPORT:
        _need(body, 4 + 24 * count)
        return ReceiverReport(_word(body, 0), _report_blocks(body[4:], count))
    if kind == GOODBYE:
        _need(body, 4 * count)
        return Goodbye(struct.unpack_from(f"!{count}I", body))
    if kind == TRANSPORT_FEEDBACK and count == NACK_FORMAT:
        return _parse_nack(body)
    if kind == PAYLOAD_FEEDBACK:
        return _parse_payload_feedback(count, body)
    return None


def _need(body: bytes, size: int) -> None:
    if len(body) < size:
        raise RtcpRefused("a packet is shorter than its count says")


def _word(body: bytes, offset: int) -> int:
    return int.from_bytes(body[offset : offset + 4], "big")


def _parse_sender_report(count: int, body: bytes) -> SenderReport:
    _need(body, 24 + 24 * count)
    ssrc, ntp_high, ntp_low, timestamp, packets, octets = _SENDER_FIELDS.unpack_from(body)
    blocks = _report_blocks(body[24:], count)
    return SenderReport(ssrc, ntp_high << 32 | ntp_low, timestamp, packets, octets, blocks)


def _report_blocks(body: bytes, count: int) -> tuple[ReportBlock, ...]:
    blocks = []
    for i in range(count):
        ssrc, loss, highest, jitter, last, delay = _REPORT_BLOCK.unpack_from(body, 24 * i)
        lost = loss & 0xFFFFFF
        signed = lost - (1 << 24) if lost & 0x800000 else lost
        blocks.append(ReportBlock(ssrc, loss >> 24, signed, highest, jitter, last, delay))
    return tuple(blocks)


def _parse_nack(body: bytes) -> Nack:
    _need(body, 8)
    sequences: list[int] = []
    for offset in range(8, len(body) - 3, 4):
        first = int.from_bytes(body[offset : offset + 2], "big")
        following = int.from_bytes(body[offset + 2 : offset + 4], "big")
        sequences.append(first)
        sequences += [(first + i + 1) & 0xFFFF for i in range(16) if following >> i & 1]
    return Nack(_word(body, 0), _word(body, 4), tuple(sequences))


def _parse_payload_feedback(kind: int, body: bytes) -> KeyframeRequest | BitrateEstimate | None:
    _need(body, 8)
    ssrc, media_ssrc = _word(body, 0), _word(body, 4)
    if kind == PLI_FORMAT:
        return KeyframeRequest(ssrc, (media_ssrc,))
    if kind == FIR_FORMAT:
        return KeyframeRequest(ssrc, tuple(_word(body, o) for o in range(8, len(body) - 7, 8)))
    if kind == APPLICATION_FORMAT and body[8:12] == b"REMB":
        _need(body, 16)
        count = body[12]
        _need(body, 16 + 4 * count)
        exponent, mantissa = body[13] >> 2, (body[13] & 3) << 16 | body[14] << 8 | body[15]
        return BitrateEstimate(
            ssrc, mantissa << exponent, struct.unpack_from(f"!{count}I", body, 16)
        )
    return None


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEAD.pack(0x80 | count, kind, len(body) // 4) + body


def _write_block(block: ReportBlock) -> bytes:
    lost = max(-0x800000, min(0x7FFFFF, block.packets_lost)) & 0xFFFFFF
    return _REPORT_BLOCK.pack(
        block.ssrc,
        block.fraction_lost << 24 | lost,
        block.highest_sequence & 0xFFFFFFFF,
        block.jitter_ticks & 0xFFFFFFFF,
        block.last_report,
        block.delay & 0xFFFFFFFF,
    )


def write_sender_report(report: SenderReport) -> bytes:
    """Write a sender report with its blocks."""
    body = _SENDER_FIELDS.pack(
        report.ssrc,
        report.ntp >> 32 & 0xFFFFFFFF,
        report.ntp & 0xFFFFFFFF,
        report.timestamp & 0xFFFFFFFF,
        report.packets & 0xFFFFFFFF,
        report.octets & 0xFFFFFFFF,
    ) + b"".join(map(_write_block, report.reports))
    return _packet(SENDER_REPORT, len(report.reports), body)


def write_receiver_report(ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    """Write a receiver report of at most 31 blocks."""
    body = ssrc.to_bytes(4, "big") + b"".join(map(_write_block, blocks))
    return _packet(RECEIVER_REPORT, len(blocks), body)


def write_cname(ssrc: int, cname: str) -> bytes:
    """Write the source description that every compound packet carries (RFC 3550 6.5.1)."""
    name = cname.encode()[:255]
    item = ssrc.to_bytes(4, "big") + bytes([1, len(name)]) + name + b"\0"
    return _packet(SOURCE_DESCRIPTION, 1, item + bytes(-len(item) % 4))


def write_nack(ssrc: int, media_ssrc: int, sequences: Iterable[int]) -> bytes:
    """Write a generic NACK; neighbours within 16 share one entry.

    Args:
        ssrc: Ours.
        media_ssrc: The stream's.
        sequences: Missing sequence numbers in the order of the stream.
    """
    entries: list[list[int]] = []
    for sequence in sequences:
        gap = (sequence - entries[-1][0] - 1) & 0xFFFF if entries else 0xFFFF
        if gap < 16:
            entries[-1][1] |= 1 << gap
        else:
            entries.append([sequence & 0xFFFF, 0])
    body = struct.pack("!II", ssrc, media_ssrc)
    body += b"".join(struct.pack("!HH", first, following) for first, following in entries)
    return _packet(TRANSPORT_FEEDBACK, NACK_FORMAT, body)


def write_transport_feedback(ssrc: int, media_ssrc: int, control: bytes) -> bytes:
    """Write transport-wide feedback around its control information (relay/arrivals.py)."""
    padding = -len(control) % 4
    body = struct.pack("!II", ssrc, media_ssrc) + control
    if padding:
        # RFC 3550 section 6.4.1: the last byte counts the padding.
        body += bytes(padding - 1) + bytes([padding])
    written = _packet(TRANSPORT_FEEDBACK, TRANSPORT_WIDE_FORMAT, body)
    return bytes([written[0] | (0x20 if padding else 0)]) + written[1:]


def write_pli(ssrc: int, media_ssrc: int) -> bytes:
    """Write a picture loss indication, which asks for a keyframe (RFC 4585 section 6.3.1)."""
    return _packet(PAYLOAD_FEEDBACK, PLI_FORMAT, struct.pack("!II", ssrc, media_ssrc))


def write_remb(ssrc: int, bitrate_bps: int, media_ssrcs: Sequence[int]) -> bytes:
    """Write a bitrate estimate (draft-alvestrand-rmcat-remb-03 section 2.2)."""
    exponent = max(0, bitrate_bps.bit_length() - 18)
    mantissa = bitrate_bps >> exponent
    body = struct.pack("!II4sB", ssrc, 0, b"REMB", len(media_ssrcs))
    body += (exponent << 18 | mantissa).to_bytes(3, "big")
    body += struct.pack(f"!{len(media_ssrcs)}I", *media_ssrcs)
    return _packet(PAYLOAD_FEEDBACK, APPLICATION_FORMAT, body)
