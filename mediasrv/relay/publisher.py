"""One connection of the host: which packets count, and what the host is told about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mediasrv.relay import rtcp
from mediasrv.relay.arrivals import ArrivalLog
from mediasrv.relay.estimate import UplinkEstimate
from mediasrv.relay.outlet import Outlet
from mediasrv.relay.packets import TrackPacket
from mediasrv.relay.reception import Reception
from mediasrv.relay.rtp import RtpPacket

# Receiver reports of a second keep the host's round trip and loss fresh; browsers send as often.
REPORT_S = 1.0
# A host may restart a track with a new SSRC; more than this many is an attack on our memory.
STREAMS_MAX = 32


@dataclass(frozen=True, slots=True)
class IncomingTrack:
    """A track as the host's answer fixed it.

    Attributes:
        kind: ``"audio"`` or ``"video"``.
        codec: Lower-case encoding name.
        payload_type: Of its packets.
        clock_hz: Of its timestamps.
        audio_level_id: Of the header extension; 0 without.
        repaired: Whether lost packets may be asked for (NACK).
        transport_sequence_id: Of the header extension for congestion control; 0 without.
        rid_id: Of the header extension that names a packet's quality; 0 without.
        rids: The names of its qualities, the best one first; empty when there is one only.
    """

    kind: str
    codec: str
    payload_type: int
    clock_hz: int
    audio_level_id: int = 0
    repaired: bool = True
    transport_sequence_id: int = 0
    rid_id: int = 0
    rids: tuple[str, ...] = ()


class Source(NamedTuple):
    """What a stream of the host carries: a kind of track, in one of its qualities.

    ``quality`` counts down from the best one, which is 0.
    """

    kind: str
    quality: int = 0


@dataclass(frozen=True, slots=True)
class HostClock:
    """One instant of a stream: when it was, in our seconds, and its timestamp, unwrapped."""

    source: Source
    at_s: float
    ticks: int


@dataclass(slots=True)
class Stream:
    """One SSRC of the host."""

    track: IncomingTrack
    source: Source
    reception: Reception
    given_up: int = 0

    @property
    def is_new(self) -> bool:
        """Whether its first packet is still to be noted."""
        return self.reception.packets_received == 0

    def receive(self, packet: RtpPacket, now: float) -> TrackPacket:
        """Note a packet; returns it in the stream's numbers, unwrapped."""
        sequence, ticks = self.reception.received(
            packet.sequence, packet.timestamp, len(packet.payload), now
        )
        level = packet.extensions.get(self.track.audio_level_id, b"")
        return TrackPacket(
            sequence,
            ticks,
            packet.marker,
            self.track.codec,
            packet.payload,
            audio_level=level if len(level) == 1 else b"",  # RFC 6464 section 3
            starts_keyframe=True,
        )


class Publisher:
    """The host as one of its connections shows it.

    Args:
        tracks: What it sends, each with a payload type of its own.
        outlet: The way back, for feedback.
        ssrc: Ours in that feedback.
    """

    def __init__(self, tracks: Sequence[IncomingTrack], outlet: Outlet, ssrc: int) -> None:
        self._tracks = {track.payload_type: track for track in tracks}
        self._outlet = outlet
        self._ssrc = ssrc
        self._streams: dict[int, Stream] = {}
        self._current: dict[Source, Stream] = {}
        self._estimate = UplinkEstimate()
        self._arrivals = ArrivalLog() if any(t.transport_sequence_id for t in tracks) else None
        self._clock_offset_s: float | None = None
        self._reported_at = 0.0

    @property
    def video_codec(self) -> str | None:
        """Encoding name of the video, None without one."""
        return next((t.codec for t in self._tracks.values() if t.kind == "video"), None)

    @property
    def rids(self) -> tuple[str, ...]:
        """Names of the video's qualities, the best one first; empty when there is one only."""
        return next((t.rids for t in self._tracks.values() if t.kind == "video"), ())

    @property
    def receptions(self) -> dict[str, Reception]:
        """What came of each kind's present stream, of the video's best quality."""
        return {s.kind: stream.reception for s, stream in self._current.items() if not s.quality}

    def stream_of(self, packet: RtpPacket, now: float) -> Stream | None:
        """Note the arrival of a packet, find its stream; None when it must not be forwarded.

        A new SSRC takes the place of its source's present one, which is not heard again.
        """
        track = self._tracks.get(packet.payload_type)
        if track is None:
            return None
        if self._arrivals is not None:
            number = packet.extensions.get(track.transport_sequence_id, b"")
            if len(number) == 2:
                self._arrivals.arrived(int.from_bytes(number, "big"), now)
        stream = self._streams.get(packet.ssrc) or self._new_stream(track, packet)
        if stream is None or stream.track is not track:
            return None
        return stream if self._current[stream.source] is stream else None

    def _new_stream(self, track: IncomingTrack, packet: RtpPacket) -> Stream | None:
        source = _source_of(track, packet)
        if source is None or len(self._streams) >= STREAMS_MAX:
            return None
        stream = Stream(track, source, Reception(packet.ssrc, track.clock_hz))
        self._streams[packet.ssrc] = self._current[source] = stream
        return stream

    def receive_report(self, report: rtcp.SenderReport, now: float) -> HostClock | None:
        """Note a sender report; returns what it says about a stream's clock, if it is of one."""
        stream = self._streams.get(report.ssrc)
        if stream is None:
            return None
        stream.reception.received_report(report, now)
        if self._current.get(stream.source) is not stream:
            return None
        at_host_s = report.ntp / (1 << 32)
        if self._clock_offset_s is None:
            # One offset for all streams of a connection: what counts is that they agree.
            self._clock_offset_s = now - at_host_s
        ticks = stream.reception.unwrap_timestamp(report.timestamp)
        return HostClock(stream.source, at_host_s + self._clock_offset_s, ticks)

    def has_sent(self, quality: int) -> bool:
        """Tell whether there is a stream of the video that a keyframe can be asked of."""
        return Source("video", quality) in self._current

    def request_keyframe(self, quality: int) -> None:
        """Ask for a keyframe of the video in one of its qualities."""
        pli = rtcp.write_pli(self._ssrc, self._current[Source("video", quality)].reception.ssrc)
        self._outlet.send_rtcp(rtcp.write_receiver_report(self._ssrc, []) + pli)

    def feed_back(self, now: float) -> None:
        """Tell the host what is missing, when packets arrived, and how well, when it is time."""
        messages = b""
        for stream in self._current.values():
            missing = stream.reception.nacks.due(now) if stream.track.repaired else []
            if missing:
                messages += rtcp.write_nack(self._ssrc, stream.reception.ssrc, missing)
        control = self._arrivals.feedback(now) if self._arrivals is not None else None
        if control is not None:
            media_ssrc = next(iter(self._current.values())).reception.ssrc if self._current else 0
            messages += rtcp.write_transport_feedback(self._ssrc, media_ssrc, control)
        if messages:
            self._outlet.send_rtcp(rtcp.write_receiver_report(self._ssrc, []) + messages)
        if self._current and now - self._reported_at >= REPORT_S:
            self._reported_at = now
            self._report(now)

    def failed_repairs(self) -> list[int]:
        """Return the qualities of which video was given up since: only a keyframe mends that."""
        failed = []
        for source, stream in self._current.items():
            gave_up = stream.reception.nacks.gave_up
            if source.kind == "video" and gave_up != stream.given_up:
                stream.given_up = gave_up
                failed.append(source.quality)
        return failed

    def _report(self, now: float) -> None:
        blocks = {source: s.reception.report_block(now) for source, s in self._current.items()}
        present = {source: block for source, block in blocks.items() if block is not None}
        compound = rtcp.write_receiver_report(self._ssrc, list(present.values()))
        compound += rtcp.write_cname(self._ssrc, "mediasrv")
        videos = [block for source, block in present.items() if source.kind == "video"]
        # A REMB would only cap what the host computes from transport-wide feedback.
        if videos and self._arrivals is None:
            lost = max(block.fraction_lost for block in videos)
            bitrate_bps = self._estimate.update(lost / 256)
            compound += rtcp.write_remb(self._ssrc, bitrate_bps, [b.ssrc for b in videos])
        self._outlet.send_rtcp(compound)


def _source_of(track: IncomingTrack, packet: RtpPacket) -> Source | None:
    """Tell what a new SSRC carries; None when a quality does not say which one it is."""
    if not track.rids:
        return Source(track.kind)
    rid = packet.extensions.get(track.rid_id, b"").decode("ascii", "replace")
    return Source(track.kind, track.rids.index(rid)) if rid in track.rids else None
