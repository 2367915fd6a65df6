"""One viewer of a room: its tracks, what it says about them, what it is granted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediasrv.relay import rtcp
from mediasrv.relay.adaptation import Rung, RungChooser
from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.keyframes import KeyframeRequests
from mediasrv.relay.losses import LossWindow
from mediasrv.relay.outlet import Outlet, Retransmission
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.repair import LOSSY, RepairDelay, RoundTrip
from mediasrv.relay.track import TrackRelay

# Sender reports: lips are in sync as soon as the first arrives, then clocks drift slowly.
SENDER_REPORT_S = 2.0
# A timer that comes late must not make a burst.
PAD_SPAN_MAX_S = 0.1
# What browsers send of Opus at most when nobody asks for more, headers and protection included.
SOUND_BPS = 50_000


@dataclass(frozen=True, slots=True)
class OutgoingTrack:
    """A track as a viewer's answer fixed it."""

    kind: str
    ssrc: int
    payload_types: dict[str, int]
    ids: ExtensionIds
    first_sequence: int
    retransmission: Retransmission | None = None


@dataclass(slots=True)
class SubscriptionCounters:
    """What one viewer asked for."""

    nacks: int = 0
    keyframe_requests: int = 0


class Subscription:
    """A viewer whose transport is connected.

    Args:
        tracks: At most one of a kind.
        outlet: Where packets leave.
        cname: Joins the tracks for lip-sync (RFC 3550 section 6.5.1).

    Attributes:
        forwarders: By kind.
        round_trip: To the viewer.
        patience: For how long it waits for repairs.
        estimate_bps: The viewer's last REMB; None before the first.
        loss: Share (0..1) of the video that it lost lately, by its receiver reports.
        counters: What it asked for.
        reported_at: When sender reports went out; None for "at once".
    """

    def __init__(self, tracks: Sequence[OutgoingTrack], outlet: Outlet, cname: str) -> None:
        self.forwarders = {
            track.kind: Forwarder(
                outlet,
                track.ssrc,
                track.payload_types,
                track.ids,
                track.first_sequence,
                track.retransmission,
            )
            for track in tracks
        }
        self.round_trip = RoundTrip()
        self.patience = RepairDelay()
        self._losses = LossWindow()
        self.estimate_bps: int | None = None
        self.loss = 0.0
        self.counters = SubscriptionCounters()
        self.reported_at: float | None = None
        self._outlet = outlet
        self._cname = cname
        self._kinds = {forwarder.ssrc: kind for kind, forwarder in self.forwarders.items()}
        has_rtx = any(track.kind == "video" and track.retransmission for track in tracks)
        self._chooser = RungChooser(can_pad=has_rtx)
        self._padded_at = 0.0
        self._padding_bytes = 0.0
        self._video: TrackRelay | None = None

    def receive(
        self,
        viewer: str,
        message: rtcp.RtcpMessage,
        tracks: Mapping[str, TrackRelay],
        keyframes: KeyframeRequests,
        now: float,
    ) -> None:
        """Act on one RTCP message of the viewer.

        Args:
            viewer: Its id.
            message: What it said.
            tracks: What it is sent, by kind.
            keyframes: Wishes of the video that it can begin at.
            now: Seconds.
        """
        if isinstance(message, rtcp.ReceiverReport | rtcp.SenderReport):
            self._receive_reports(message.reports, now)
        elif isinstance(message, rtcp.Nack):
            kind = self._kinds.get(message.media_ssrc)
            if kind is not None:
                self.counters.nacks += len(message.sequences)
                tracks[kind].resend(
                    viewer,
                    message.sequences,
                    now,
                    self.round_trip.rtt_s,
                    is_lossy=self.loss >= LOSSY,
                )
        elif isinstance(message, rtcp.KeyframeRequest):
            if any(self._kinds.get(ssrc) == "video" for ssrc in message.media_ssrcs):
                self.counters.keyframe_requests += 1
                # Who gets stills gets the next one when its way can take it.
                if not self._chooser.is_starved:
                    keyframes.ask()
        elif isinstance(message, rtcp.BitrateEstimate):
            self.estimate_bps = message.bitrate_bps
            self._chooser.estimated(message.bitrate_bps, now)

    def _receive_reports(self, reports: Sequence[rtcp.ReportBlock], now: float) -> None:
        for block in reports:
            kind = self._kinds.get(block.ssrc)
            if kind is None:
                continue
            self.round_trip.echoed(block.last_report, block.delay, now)
            if kind != "video":
                continue
            loss = self._losses.update(block, now)
            if loss is not None:
                self.loss = loss
                self.patience.lost(loss, self.round_trip.rtt_s, now)
                self._chooser.lost(loss, self.round_trip.queueing_s)

    def choose(self, ladder: Sequence[Rung], now: float) -> Rung:
        """Choose anew what the viewer gets of the video; see :meth:`RungChooser.choose`."""
        return self._chooser.choose(ladder, self._beside_bps, now)

    def stills_bps(self, now: float) -> float | None:
        """Return at what pace the viewer gets keyframes only; None when it gets all frames."""
        if not self._chooser.is_starved:
            return None
        return self._chooser.pace_bps(self._beside_bps, now)

    @property
    def _beside_bps(self) -> float:
        return SOUND_BPS if "audio" in self.forwarders else 0.0

    def wished(self, best_bps: float, count: int, now: float) -> list[int]:
        """Return the qualities that suit the viewer; see :meth:`RungChooser.wished_qualities`."""
        return self._chooser.wished_qualities(best_bps, count, now)

    @property
    def is_padded(self) -> bool:
        """Whether :meth:`pad` has something to do."""
        return self._chooser.padded_bps > 0

    def pad(self, viewer: str, video: TrackRelay, now: float) -> None:
        """Fill the viewer's way, as far as the choice of what it gets needs that; call often."""
        elapsed_s, self._padded_at = now - self._padded_at, now
        self._padding_bytes += self._chooser.padded_bps / 8 * min(elapsed_s, PAD_SPAN_MAX_S)
        if self._padding_bytes > 0:
            sent_bytes = video.pad(viewer, int(self._padding_bytes), now)
            self._padding_bytes = self._padding_bytes - sent_bytes if sent_bytes else 0.0

    def got_from(self, video: TrackRelay) -> None:
        """Note where the video comes from: another quality has another clock, to be told soon."""
        if video is not self._video:
            self._video, self.reported_at = video, None

    def is_report_due(self, now: float) -> bool:
        """Tell whether it is time for :meth:`report`."""
        return self.reported_at is None or now - self.reported_at >= SENDER_REPORT_S

    def report(self, tracks: Mapping[str, TrackRelay], now: float) -> None:
        """Send the sender report of each track that has a clock."""
        for kind, forwarder in self.forwarders.items():
            report = tracks[kind].sender_report(forwarder, now)
            if report is not None:
                self.reported_at = now
                self._outlet.send_rtcp(
                    rtcp.write_sender_report(report) + rtcp.write_cname(forwarder.ssrc, self._cname)
                )
