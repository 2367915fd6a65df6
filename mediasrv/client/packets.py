"""Counts and, on request, keeps the RTP packets that a client sent or received."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from mediasrv.client.statistics import FrameTimeline, StreamFigures
from mediasrv.relay.rtp import RtpPacket, RtpRefused, parse_rtp
from mediasrv.relay.serial import Unwrapper

# About four minutes of 720p video and its audio; a test that needs more should look closer.
KEPT_PACKETS_MAX = 50_000
# A jump wider than this is a new beginning of the numbering, not a loss.
SEQUENCE_JUMP_MAX = 3000


@dataclass(frozen=True, slots=True)
class KeptPacket:
    """What tests compare: one packet without the fields that every hop rewrites.

    Attributes:
        kind: ``audio`` or ``video``.
        sequence: Sequence number on this hop, unwrapped.
        timestamp: RTP timestamp on this hop.
        marker: The marker bit.
        payload: The payload, byte for byte.
    """

    kind: str
    sequence: int
    timestamp: int
    marker: bool
    payload: bytes


@dataclass(slots=True)
class StreamCounter:
    """Counts one RTP stream, with gaps and late arrivals.

    Attributes:
        codec: Name of the codec in lower case.
        packets: Packets, without duplicates.
        payload_bytes: Their payloads.
        duplicates: Packets that had arrived before.
    """

    codec: str
    packets: int = 0
    payload_bytes: int = 0
    duplicates: int = 0
    _unwrapper: Unwrapper = field(default_factory=lambda: Unwrapper(16))
    _missing: set[int] = field(default_factory=set)

    @property
    def lost(self) -> int:
        """Packets that have not arrived so far, between the first and the latest."""
        return len(self._missing)

    def add(self, packet: RtpPacket) -> int | None:
        """Count one packet; returns its unwrapped sequence number, or None for a duplicate."""
        last = self._unwrapper.last
        sequence = self._unwrapper.unwrap(packet.sequence)
        if last is not None and sequence > last:
            if sequence - last <= SEQUENCE_JUMP_MAX:
                self._missing.update(range(last + 1, sequence))
        elif sequence in self._missing:
            self._missing.discard(sequence)
        elif last is not None:
            self.duplicates += 1
            return None
        self.packets += 1
        self.payload_bytes += len(packet.payload)
        return sequence

    def figures(self, elapsed_s: float) -> StreamFigures:
        """Sum up over the given time."""
        bitrate_bps = round(8 * self.payload_bytes / elapsed_s) if elapsed_s > 0 else 0
        return StreamFigures(self.codec, self.packets, self.lost, bitrate_bps)


class PacketLog:
    """All RTP packets of one connection in one direction.

    A video frame is complete when its marked packet has come, so the timeline tells frames per
    second and freezes without decoding anything.

    Retransmissions (RFC 4588) count as the packets they repeat.

    Attributes:
        streams: Counters by ``audio`` and ``video``.
        timeline: Video frames by the arrival of their marked packet.
        kept: The latest packets, when ``keep`` was asked for; at most ``KEPT_PACKETS_MAX``.
        unknown: Packets that are malformed or of a payload type that was not negotiated.
    """

    def __init__(self, timeline: FrameTimeline | None = None, *, keep: bool = False) -> None:
        self.streams: dict[str, StreamCounter] = {}
        self.timeline = FrameTimeline() if timeline is None else timeline
        self.kept: deque[KeptPacket] = deque(maxlen=KEPT_PACKETS_MAX if keep else 0)
        self.unknown = 0
        self._kinds: Mapping[int, tuple[str, str]] = {}
        self._repeats: Mapping[int, int] = {}

    def negotiated(
        self, kinds: Mapping[int, tuple[str, str]], repeats: Mapping[int, int] | None = None
    ) -> None:
        """Learn which payload type is what.

        Args:
            kinds: Kind and lower-case codec name by payload type.
            repeats: For a payload type of retransmissions, the one it repeats.
        """
        self._kinds = kinds
        self._repeats = repeats or {}

    def add(self, packet: bytes, now_s: float) -> None:
        """Count one plain (decrypted) RTP packet."""
        try:
            parsed = parse_rtp(packet)
        except RtpRefused:
            self.unknown += 1
            return
        if parsed.payload_type in self._repeats and len(parsed.payload) >= 2:
            parsed.payload_type = self._repeats[parsed.payload_type]
            parsed.sequence = int.from_bytes(parsed.payload[:2])
            parsed.payload = parsed.payload[2:]
        kind, codec = self._kinds.get(parsed.payload_type, ("", ""))
        if not kind:
            self.unknown += 1
            return
        stream = self.streams.setdefault(kind, StreamCounter(codec))
        sequence = stream.add(parsed)
        if sequence is None:
            return
        if kind == "video" and parsed.marker:
            self.timeline.add(now_s)
        if self.kept.maxlen:
            self.kept.append(
                KeptPacket(kind, sequence, parsed.timestamp, parsed.marker, parsed.payload)
            )

    def payloads(self, kind: str) -> list[bytes]:
        """The kept payloads of one kind in sequence order."""
        packets = sorted((p for p in self.kept if p.kind == kind), key=lambda p: p.sequence)
        return [packet.payload for packet in packets]
