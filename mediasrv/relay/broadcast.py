"""A room's media: one host's tracks in, every viewer's tracks out.

Pure: fed with decrypted packets and the time, it writes to outlets. The filter's place in the
video's way is decided here, because only here is it known which packet a source may take over at.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import av1, h264, rtcp, rtp, vp8, vp9
from mediasrv.relay.allotment import Allotment
from mediasrv.relay.frames import FrameAssembler
from mediasrv.relay.keyframes import MERGE_S, KeyframeRequests
from mediasrv.relay.lanes import Fanout, PlainGroup
from mediasrv.relay.outlet import ForwarderCounters, Outlet
from mediasrv.relay.packets import TrackPacket
from mediasrv.relay.publisher import HostClock, IncomingTrack, Publisher, Source, Stream
from mediasrv.relay.qualities import Qualities
from mediasrv.relay.reception import Reception
from mediasrv.relay.subscription import OutgoingTrack, Subscription
from mediasrv.relay.track import TrackRelay

AUDIO_HZ = 48_000
VIDEO_HZ = 90_000
# Who is due for a sender report is looked up at this pace; the lips of a viewer who has just joined
# are in sync that much later.
REPORTS_EVERY_S = 0.1
# A viewer on a good network needs less than this from joining until packets can be sent to it. One
# that needs longer may have to wait for a keyframe of its own; to expect that of everybody would
# ask the host more often while many come.
CONNECT_S = 0.3

_KEYFRAME_STARTS: Mapping[str, Callable[[bytes], bool]] = {
    "vp8": vp8.starts_keyframe,
    "vp9": vp9.starts_keyframe,
    "av1": av1.starts_keyframe,
    "h264": h264.starts_keyframe,
    "h264-main": h264.starts_keyframe,
    "h264-high": h264.starts_keyframe,
}


class VideoPath(enum.Enum):
    """Which way the video takes, and which change waits for the host's next keyframe."""

    DIRECT = "direct"
    TO_FILTER = "to filter"
    FILTERED = "filtered"
    TO_DIRECT = "to direct"


@dataclass(slots=True)
class BroadcastCounters:
    """What one room's relay has done."""

    malformed_rtp: int = 0
    malformed_rtcp: int = 0
    foreign_packets: int = 0
    frames_to_filter: int = 0


class Broadcast:
    """The media of one room; lives as long as the room, across connections of the host.

    Args:
        on_frame: Takes the host's encoded frames while the filter is in the way.
        on_filter_keyframe: Called when viewers need a keyframe that the filter must make.
        on_qualities_wanted: Takes the names of the qualities that the host is to send, the best one
            first, whenever that changes; never called for a host without simulcast.
        fanout: Sends to many viewers at once.

    Attributes:
        tracks: ``"audio"`` and ``"video"``, the latter in its best quality.
        qualities: The video in all of them.
        path: The way of the video.
        counters: What came in and was not forwarded.
        subscriptions: By viewer.
    """

    def __init__(
        self,
        *,
        on_frame: Callable[[EncodedFrame], object],
        on_filter_keyframe: Callable[[], object],
        on_qualities_wanted: Callable[[tuple[str, ...]], object] = lambda rids: None,
        fanout: Fanout = PlainGroup,
    ) -> None:
        self.tracks = {
            "audio": TrackRelay(AUDIO_HZ, seekable=False, fanout=fanout),
            "video": TrackRelay(VIDEO_HZ, seekable=True, fanout=fanout),
        }
        self.qualities = Qualities(self.tracks["video"], fanout)
        self.path = VideoPath.DIRECT
        self.counters = BroadcastCounters()
        self.subscriptions: dict[str, Subscription] = {}
        self._allotment = Allotment(self.qualities, self.subscriptions)
        self._on_frame = on_frame
        self._on_filter_keyframe = on_filter_keyframe
        self._on_qualities_wanted = on_qualities_wanted
        self._wanted: tuple[str, ...] = ()
        self._requested_at = -MERGE_S
        self._assembler: FrameAssembler | None = None
        self._publisher: Publisher | None = None
        self._departed = {kind: ForwarderCounters() for kind in self.tracks}
        self._reports_at = 0.0
        self._host_keyframes = KeyframeRequests()
        self._fed_ticks: tuple[int, int] | None = None

    # The host's side

    def publish(self, tracks: Sequence[IncomingTrack], outlet: Outlet, ssrc: int) -> None:
        """Take a connection of the host; an earlier one is replaced, viewers go on.

        Args:
            tracks: What the host sends.
            outlet: The way back to the host, for feedback.
            ssrc: Ours in that feedback.
        """
        publisher = self._publisher = Publisher(tracks, outlet, ssrc)
        self.qualities.begin(max(1, len(publisher.rids)))
        self._wanted = ()
        self._reset_filter_input()

    def unpublish(self) -> None:
        """Forget the host's connection and its pictures; viewers keep what they have."""
        self._publisher = None
        self.qualities.begin(1)
        for track in self.tracks.values():
            track.history.clear()
        self._reset_filter_input()

    @property
    def video_codec(self) -> str | None:
        """Encoding name of the host's video, None without one."""
        return self._publisher.video_codec if self._publisher is not None else None

    def receive_rtp(self, datagram: bytes, now: float) -> None:
        """Take one decrypted RTP packet of the host."""
        publisher = self._publisher
        if publisher is None:
            return
        try:
            packet = rtp.parse_rtp(datagram)
        except rtp.RtpRefused:
            self.counters.malformed_rtp += 1
            return
        stream = publisher.stream_of(packet, now)
        if stream is None:
            self.counters.foreign_packets += 1
            return
        if stream.is_new:
            self._begin_stream(stream.source, now)
        received = stream.receive(packet, now)
        if stream.source.kind == "audio":
            self.tracks["audio"].write_packet(received, now)
        elif stream.source.quality:
            self._receive_lower(stream, received, now)
        else:
            self._receive_video(stream, received, now)

    def _track_of(self, source: Source) -> TrackRelay:
        if source.kind == "audio":
            return self.tracks["audio"]
        return self.qualities.tracks[source.quality]

    def _begin_stream(self, source: Source, now: float) -> None:
        """Let a new stream of the host take over its track."""
        track = self._track_of(source)
        track.splice(now, new_clock=True)
        if source.quality:
            track.timeline.follow_clock(self.tracks["video"].timeline)
        elif source.kind == "video":
            self._reset_filter_input()
            track.keyframes.ask()

    def _reset_filter_input(self) -> None:
        self._assembler = None
        self._fed_ticks = None

    def _receive_lower(self, stream: Stream, packet: TrackPacket, now: float) -> None:
        """Take a packet of a lower quality; none goes past the filter."""
        packet.starts_keyframe = _starts_keyframe(packet)
        if packet.starts_keyframe:
            stream.reception.nacks.forget_before(packet.sequence)
        if not self._is_filtered:
            self._write_direct(self.qualities.tracks[stream.source.quality], packet, now)

    def _receive_video(self, stream: Stream, packet: TrackPacket, now: float) -> None:
        packet.starts_keyframe = _starts_keyframe(packet)
        if packet.starts_keyframe:
            stream.reception.nacks.forget_before(packet.sequence)
            self._host_keyframes.arrived()
            self._switch_at_keyframe(now, is_late=packet.sequence < stream.reception.highest)
        if self.path in (VideoPath.DIRECT, VideoPath.TO_FILTER):
            self._write_direct(self.tracks["video"], packet, now)
        else:
            self._write_to_filter(packet, now)

    def _write_direct(self, track: TrackRelay, packet: TrackPacket, now: float) -> None:
        try:
            track.write_packet(packet, now)
        except vp8.PayloadRefused:
            self.counters.malformed_rtp += 1

    def _write_to_filter(self, packet: TrackPacket, now: float) -> None:
        if self._assembler is None:
            self._assembler = FrameAssembler(Codec(packet.codec))
        assembler = self._assembler
        frames = assembler.add(packet.sequence, packet.ticks, packet.marker, packet.payload, now)
        for frame in frames:
            self.counters.frames_to_filter += 1
            first = self._fed_ticks[0] if self._fed_ticks else frame.timestamp_ticks
            self._fed_ticks = (first, frame.timestamp_ticks)
            self._on_frame(frame)
        if assembler.keyframe_needed and not self._host_keyframes.wanted:
            self._host_keyframes.ask()

    def _switch_at_keyframe(self, now: float, *, is_late: bool) -> None:
        if self.path not in (VideoPath.TO_FILTER, VideoPath.TO_DIRECT):
            return
        if is_late:
            # Part of this keyframe has gone the old way already; the new one cannot begin with it.
            self._host_keyframes.ask()
            return
        to_filter = self.path is VideoPath.TO_FILTER
        self.path = VideoPath.FILTERED if to_filter else VideoPath.DIRECT
        if to_filter:
            self.qualities.gather()
        self._reset_filter_input()
        self.tracks["video"].splice(now, new_clock=False)

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Take one decrypted compound RTCP packet of the host."""
        publisher = self._publisher
        if publisher is None:
            return
        for message in self._parse_rtcp(compound):
            if isinstance(message, rtcp.SenderReport):
                clock = publisher.receive_report(message, now)
                if clock is not None:
                    self._set_clock(clock)

    def _set_clock(self, clock: HostClock) -> None:
        track = self._track_of(clock.source)
        is_first = track.clock is None
        track.set_clock(clock.at_s, clock.ticks)
        if is_first:
            for subscription in self.subscriptions.values():
                subscription.reported_at = None

    def _parse_rtcp(self, compound: bytes) -> list[rtcp.RtcpMessage]:
        try:
            return rtcp.parse_rtcp(compound)
        except rtcp.RtcpRefused:
            self.counters.malformed_rtcp += 1
            return []

    # The filter

    def require_filter(self, now: float) -> None:
        """Put the filter into the way at once: nothing goes past it from now on."""
        if self.path is not VideoPath.FILTERED:
            self.path = VideoPath.FILTERED
            self.qualities.gather()
            self.tracks["video"].drop_pending()
            self.tracks["video"].splice(now, new_clock=False)
        self._host_keyframes.ask()

    def divert_to_filter(self) -> None:
        """Let the filter take over at the host's next keyframe; until then video goes directly."""
        self.keep_filtered()
        if self.path is VideoPath.DIRECT:
            self.path = VideoPath.TO_FILTER
            self._host_keyframes.ask()

    def keep_filtered(self) -> None:
        """Take back :meth:`divert_to_direct` if the host's keyframe has not come yet."""
        if self.path is VideoPath.TO_DIRECT:
            self.path = VideoPath.FILTERED

    def divert_to_direct(self) -> None:
        """Let the host's own video take over at its next keyframe; until then it is filtered."""
        if self.path is VideoPath.TO_FILTER:
            self.path = VideoPath.DIRECT
        elif self.path is VideoPath.FILTERED:
            self.path = VideoPath.TO_DIRECT
            self._host_keyframes.ask()

    def forget_filter(self, now: float) -> None:
        """Let the next host's video go directly, from its first packet."""
        if self.path is not VideoPath.DIRECT:
            self.path = VideoPath.DIRECT
            self.tracks["video"].splice(now, new_clock=False)

    def write_filtered(self, frame: EncodedFrame, now: float) -> None:
        """Take a frame of the filter; a late one, after the video went direct, is dropped."""
        if not self._is_filtered or self._fed_ticks is None:
            return
        first, latest = self._fed_ticks
        # Outside of what was fed is a frame of the host's earlier stream, on another clock.
        if first <= frame.timestamp_ticks <= latest:
            self.tracks["video"].write_frame(frame, now)

    def want_host_keyframe(self) -> None:
        """Ask the host for a keyframe: the filter cannot decode without one."""
        self._host_keyframes.ask()

    # Viewers

    def expect_viewer(self, now: float) -> None:
        """Get a keyframe on its way for somebody who is about to connect.

        Offer and answer, ICE and DTLS take five round trips, a keyframe takes one and the time
        to encode it: they need not wait for each other.
        """
        video = self.tracks["video"]
        if not video.can_catch_up(now + CONNECT_S):
            video.keyframes.ask()
            self._ask_keyframes(now)

    def subscribe(
        self, viewer: str, tracks: Sequence[OutgoingTrack], outlet: Outlet, cname: str, now: float
    ) -> None:
        """Send the room's tracks to a viewer whose transport is connected.

        Args:
            viewer: Its id; an earlier subscription under the same one is replaced.
            tracks: At most one of a kind.
            outlet: Where packets leave.
            cname: Joins the tracks for lip-sync (RFC 3550 section 6.5.1).
            now: Seconds.
        """
        self.unsubscribe(viewer)
        subscription = self.subscriptions[viewer] = Subscription(tracks, outlet, cname)
        for kind, forwarder in subscription.forwarders.items():
            self.tracks[kind].add(viewer, forwarder, now)
        self._ask_keyframes(now)

    def unsubscribe(self, viewer: str) -> None:
        """Stop sending to a viewer; unknown ones are ignored."""
        subscription = self.subscriptions.pop(viewer, None)
        if subscription is not None:
            for kind, forwarder in subscription.forwarders.items():
                self._departed[kind].add(forwarder.counters)
        self.tracks["audio"].remove(viewer)
        self.qualities.remove(viewer)

    def receive_viewer_rtcp(self, viewer: str, compound: bytes, now: float) -> None:
        """Take one decrypted compound RTCP packet of a viewer."""
        subscription = self.subscriptions.get(viewer)
        if subscription is None:
            return
        tracks, keyframes = self._tracks_of(viewer), self.qualities.target_of(viewer).keyframes
        for message in self._parse_rtcp(compound):
            subscription.receive(viewer, message, tracks, keyframes, now)
        self._ask_keyframes(now)

    def _tracks_of(self, viewer: str) -> dict[str, TrackRelay]:
        """Return what a viewer is sent at present, by kind."""
        return {"audio": self.tracks["audio"], "video": self.qualities.track_of(viewer)}

    def forwarded(self) -> dict[str, ForwarderCounters]:
        """Sum up by kind what all viewers were sent, those who have left included."""
        totals = {kind: replace(counters) for kind, counters in self._departed.items()}
        for subscription in self.subscriptions.values():
            for kind, forwarder in subscription.forwarders.items():
                totals[kind].add(forwarder.counters)
        return totals

    @property
    def wanted_rids(self) -> tuple[str, ...]:
        """Names of the qualities that the host was told to send; empty before the first word."""
        return self._wanted

    @property
    def receptions(self) -> Mapping[str, Reception]:
        """What came from the host, by kind; of its present streams only."""
        return self._publisher.receptions if self._publisher is not None else {}

    @property
    def keyframe_requests_sent(self) -> int:
        """How often the host was asked for a keyframe."""
        return self._host_keyframes.sent

    @property
    def all_tracks(self) -> list[TrackRelay]:
        """The audio, and the video in each quality."""
        return [self.tracks["audio"], *self.qualities.tracks]

    # Time

    @property
    def due_at(self) -> float | None:
        """When :meth:`advance` must be called at the latest; None when nothing waits."""
        times = [t.due_at for t in self.all_tracks if t.due_at is not None]
        return min(times, default=None)

    def advance(self, now: float) -> None:
        """Send what has waited long enough, and the next part to viewers who catch up."""
        for track in self.all_tracks:
            track.advance(now)

    def tick(self, now: float) -> None:
        """Do what is due; call every 20 ms or so."""
        if self._publisher is not None:
            self._publisher.feed_back(now)
            for quality in self._publisher.failed_repairs():
                wishes = (
                    self.qualities.tracks[quality].keyframes if quality else self._host_keyframes
                )
                wishes.ask()
        wanted = self._allotment.advance(now)
        if wanted:
            self._want([0] if self._is_filtered else wanted)
        self._allotment.pad(now)
        self._ask_keyframes(now)
        if now >= self._reports_at:
            self._reports_at = now + REPORTS_EVERY_S
            for viewer, subscription in self.subscriptions.items():
                if subscription.is_report_due(now):
                    subscription.report(self._tracks_of(viewer), now)

    def _want(self, qualities: Sequence[int]) -> None:
        """Tell the host what to send, if it has a choice and that has changed."""
        rids = self._publisher.rids if self._publisher is not None else ()
        wanted = tuple(rids[quality] for quality in qualities) if rids else ()
        if wanted and wanted != self._wanted:
            self._wanted = wanted
            self._on_qualities_wanted(wanted)

    @property
    def _is_filtered(self) -> bool:
        return self.path in (VideoPath.FILTERED, VideoPath.TO_DIRECT)

    def _ask_keyframes(self, now: float) -> None:
        """Pass on the wishes for keyframes: to the filter while it makes the video."""
        wishes = self.tracks["video"].keyframes
        if self._is_filtered:
            if wishes.due(now):
                self._on_filter_keyframe()
        elif wishes.wanted and not self._host_keyframes.wanted:
            self._host_keyframes.ask()
        publisher = self._publisher
        if publisher is None:
            return
        for quality, requests in enumerate(self._requests()):
            # One encoder makes all qualities, and each begins anew when one has to.
            if now - self._requested_at < MERGE_S:
                return
            # Before its first packet the host is about to send a keyframe anyway.
            if publisher.has_sent(quality) and requests.due(now):
                self._requested_at = now
                publisher.request_keyframe(quality)

    def _requests(self) -> list[KeyframeRequests]:
        """Return the wishes that the host has to fulfil, by quality."""
        lower = [] if self._is_filtered else self.qualities.tracks[1:]
        return [self._host_keyframes, *(track.keyframes for track in lower)]


def _starts_keyframe(packet: TrackPacket) -> bool:
    return _KEYFRAME_STARTS[packet.codec](packet.payload)
