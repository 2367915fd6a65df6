"""Stand-ins around the relay: outlets that watch what leaves, VP8 that can be recognised."""

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mediasrv.relay import rtcp, rtp
from mediasrv.relay.layout import OUTLET_BUFFER_MIN_BYTES, RUN_BYTES_MAX, RUN_PACKETS_MAX
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.publisher import IncomingTrack
from mediasrv.relay.subscription import OutgoingTrack

AUDIO_SSRC, VIDEO_SSRC = 0x0A0A0A0A, 0x0B0B0B0B
AUDIO_TYPE, VIDEO_TYPE = 111, 96
AUDIO_LEVEL_ID = 1

HOST_TRACKS = (
    IncomingTrack("audio", "opus", AUDIO_TYPE, 48_000, AUDIO_LEVEL_ID),
    IncomingTrack("video", "vp8", VIDEO_TYPE, 90_000),
)
H264_TRACKS = (
    IncomingTrack("audio", "opus", AUDIO_TYPE, 48_000, AUDIO_LEVEL_ID),
    IncomingTrack("video", "h264", VIDEO_TYPE, 90_000),
)


def viewer_tracks(
    ssrc: int = 1000,
    *,
    video: dict[str, int] | None = None,
    ids: ExtensionIds | None = None,
    first_sequence: int = 100,
) -> tuple[OutgoingTrack, OutgoingTrack]:
    """What a viewer agreed on: audio on ``ssrc``, video on the next one."""
    ids = ids or ExtensionIds()
    types = {"vp8": 120, "h264": 121} if video is None else video
    return (
        OutgoingTrack("audio", ssrc, {"opus": 119}, ids, first_sequence),
        OutgoingTrack("video", ssrc + 1, types, ids, first_sequence),
    )


@dataclass
class WatchingOutlet:
    """Takes what one peer is sent and objects to what a transport could not send.

    The buffer cannot grow, as the transport's cannot. A second packet under an SSRC and sequence
    number with any other byte, header extensions included, would use SRTP's keystream twice; it
    fails the test at once.
    """

    overhead_bytes: int = 16
    route: int = 0
    is_broken: bool = False
    packets: list[rtp.RtpPacket] = field(default_factory=list)
    runs: list[list[int]] = field(default_factory=list)
    messages: list[rtcp.RtcpMessage] = field(default_factory=list)
    sends: int = 0

    def __post_init__(self) -> None:
        self.buffer = bytearray(OUTLET_BUFFER_MIN_BYTES)
        self._view = memoryview(self.buffer)
        self._used: dict[tuple[int, int], bytes] = {}
        self._highest: dict[int, int] = {}

    def send_packets(
        self, spans: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int]]
    ) -> bool:
        self.sends += 1
        if self.is_broken:
            return False
        self._check_runs(spans, runs)
        for offset, size in spans:
            written = bytes(self._view[offset : offset + size])
            packet = rtp.parse_rtp(written)
            self._check_index(packet, written)
            self.packets.append(packet)
        return True

    def _check_runs(
        self, spans: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int]]
    ) -> None:
        """Kernel rules: one size per run, only the last packet shorter, bounded; none left out."""
        ends = [offset + size + self.overhead_bytes for offset, size in spans]
        starts = [offset for offset, _ in spans]
        cut: list[tuple[int, int]] = []
        for start, end, segment in runs:
            sizes = [min(segment, end - at) for at in range(start, end, segment)]
            assert len(sizes) <= RUN_PACKETS_MAX
            assert end - start <= RUN_BYTES_MAX
            self.runs.append(sizes)
            at = start
            for size in sizes:
                cut.append((at, at + size))
                at += size
        assert cut == list(zip(starts, ends, strict=True))

    def _check_index(self, packet: rtp.RtpPacket, written: bytes) -> None:
        highest = self._highest.get(packet.ssrc, packet.sequence)
        ahead = (packet.sequence - highest + 0x8000 & 0xFFFF) - 0x8000
        index = highest + ahead
        self._highest[packet.ssrc] = max(highest, index)
        assert self._used.setdefault((packet.ssrc, index), written) == written

    def send_rtcp(self, packet: bytes) -> None:
        self.messages += rtcp.parse_rtcp(packet)

    def of(self, ssrc: int) -> list[rtp.RtpPacket]:
        return [p for p in self.packets if p.ssrc == ssrc]

    def requests(self) -> list[rtcp.KeyframeRequest]:
        return [m for m in self.messages if isinstance(m, rtcp.KeyframeRequest)]

    def nacked(self) -> list[int]:
        return [s for m in self.messages if isinstance(m, rtcp.Nack) for s in m.sequences]

    def reports(self, ssrc: int) -> list[rtcp.SenderReport]:
        return [m for m in self.messages if isinstance(m, rtcp.SenderReport) and m.ssrc == ssrc]


# Recognisable VP8: tag, frame number, index and count of the packet, so that a viewer of the test
# can tell what it got, from whom, and whether it is whole.
_MARK = struct.Struct("!3sIHH")


@dataclass(frozen=True)
class Piece:
    """What one VP8 payload of these tests says about itself."""

    tag: bytes
    frame: int
    index: int
    count: int
    keyframe: bool
    picture_id: int


def vp8_bitstream(frame: int, *, keyframe: bool, tag: bytes = b"raw", size: int = 100) -> bytes:
    """A frame that says who made it; bit 0 of its first byte is clear in a keyframe."""
    head = bytes([0x10 if keyframe else 0x11])
    return (head + tag + struct.pack("!I", frame)).ljust(size, b".")


def vp8_payloads(
    frame: int, *, keyframe: bool, count: int = 1, picture_id: int = 0, tag: bytes = b"raw"
) -> list[bytes]:
    """The RTP payloads of one frame of the host; each carries its mark."""
    payloads = []
    for index in range(count):
        descriptor = bytes([0x90 if index == 0 else 0x80, 0x80, 0x80 | picture_id >> 8 & 0x7F])
        descriptor += bytes([picture_id & 0xFF])
        kind = bytes([0x10 if keyframe else 0x11])
        body = kind + _MARK.pack(tag, frame, index, count)
        payloads.append(descriptor + body.ljust(60 if index == count - 1 else 80, b"."))
    return payloads


def read_piece(payload: bytes) -> Piece:
    """Read the mark of a payload made by :func:`vp8_payloads`."""
    tag, frame, index, count = _MARK.unpack_from(payload, 5)
    picture_id = (payload[2] & 0x7F) << 8 | payload[3]
    return Piece(tag, frame, index, count, not payload[4] & 1, picture_id)


@dataclass
class StudioCamera:
    """A host's video encoder and packetizer, with clocks of its own."""

    ssrc: int = VIDEO_SSRC
    sequence: int = 5000
    timestamp: int = 900_000
    picture_id: int = 40
    frame: int = 0
    tag: bytes = b"raw"
    step_ticks: int = 3000
    payload_type: int = VIDEO_TYPE

    def shoot(self, *, keyframe: bool = False, count: int = 2) -> list[bytes]:
        """The packets of the next frame."""
        payloads = vp8_payloads(
            self.frame,
            keyframe=keyframe,
            count=count,
            picture_id=self.picture_id,
            tag=self.tag,
        )
        return self.pack(payloads)

    def pack(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Put the payloads of one frame into packets, the last one marked."""
        packets = [
            self.packet(payload, marker=i == len(payloads) - 1)
            for i, payload in enumerate(payloads)
        ]
        self.frame += 1
        self.picture_id = (self.picture_id + 1) & 0x7FFF
        self.timestamp = (self.timestamp + self.step_ticks) & 0xFFFFFFFF
        return packets

    def packet(self, payload: bytes, *, marker: bool) -> bytes:
        packet = rtp.RtpPacket(
            self.payload_type, marker, self.sequence, self.timestamp, self.ssrc, {}, payload
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        return rtp.write_rtp(packet)


@dataclass
class Microphone:
    """A host's audio."""

    ssrc: int = AUDIO_SSRC
    sequence: int = 700
    timestamp: int = 48_000
    level: bytes = b"\x30"

    def packet(self, payload: bytes = b"opus") -> bytes:
        extensions = {AUDIO_LEVEL_ID: self.level} if self.level else {}
        packet = rtp.RtpPacket(
            AUDIO_TYPE, False, self.sequence, self.timestamp, self.ssrc, extensions, payload
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + 960) & 0xFFFFFFFF
        return rtp.write_rtp(packet)


def unwrapped(numbers: Sequence[int], bits: int) -> list[int]:
    """Wrapping numbers as growing integers, each near the one before."""
    out: list[int] = []
    half = 1 << bits - 1
    for number in numbers:
        near = out[-1] if out else number
        out.append(near + (number - near + half) % (1 << bits) - half)
    return out


def whole_frames(packets: Sequence[rtp.RtpPacket]) -> Iterator[list[rtp.RtpPacket]]:
    """Group a viewer's packets by timestamp, in the order of their numbers."""
    numbers = unwrapped([p.sequence for p in packets], 16)
    grouped: dict[int, dict[int, rtp.RtpPacket]] = defaultdict(dict)
    ticks = unwrapped([p.timestamp for p in packets], 32)
    for number, tick, packet in zip(numbers, ticks, packets, strict=True):
        grouped[tick][number] = packet
    for tick in sorted(grouped):
        yield [packet for _, packet in sorted(grouped[tick].items())]
