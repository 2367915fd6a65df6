"""One viewer of a room: its tracks, what it says about them, what it is granted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediasrv.relay import rtcp
from mediasrv.relay.adaptation import LayerChooser
from mediasrv.relay.forwarder import Forwarder, Outlet, Retransmission
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.repair import RoundTrip
from mediasrv.relay.track import LAYERS, TrackRelay

# Sender reports: lips are in sync as soon as the first arrives, then clocks drift slowly.
SENDER_REPORT_S = 2.0
# From this share of losses on a repair is lost too often to be sent only once.
LOSSY = 0.02


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
        estimate_bps: The viewer's last REMB; None before the first.
        loss: Share (0..1) of the video that its last receiver report missed.
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
        self.estimate_bps: int | None = None
        self.loss = 0.0
        self.counters = SubscriptionCounters()
        self.reported_at: float | None = None
        self._outlet = outlet
        self._cname = cname
        self._kinds = {forwarder.ssrc: kind for kind, forwarder in self.forwarders.items()}
        self._layers = LayerChooser(LAYERS)

    def receive(
        self,
        viewer: str,
        message: rtcp.RtcpMessage,
        tracks: Mapping[str, TrackRelay],
        now: float,
    ) -> None:
        """Act on one RTCP message of the viewer."""
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
                tracks["video"].keyframes.ask()
        elif isinstance(message, rtcp.BitrateEstimate):
            self.estimate_bps = message.bitrate_bps
            self._layers.estimated(message.bitrate_bps, now)

    def _receive_reports(self, reports: Sequence[rtcp.ReportBlock], now: float) -> None:
        for block in reports:
            kind = self._kinds.get(block.ssrc)
            if kind is None:
                continue
            self.round_trip.echoed(block.last_report, block.delay, now)
            if kind == "video":
                self.loss = block.fraction_lost / 256
                self._layers.lost(self.loss)

    def choose_layer(self, rates_bps: Sequence[float], now: float) -> int:
        """Choose the video's layers anew; see :meth:`LayerChooser.choose`."""
        return self._layers.choose(rates_bps, now)

    def report(self, tracks: Mapping[str, TrackRelay], now: float) -> None:
        """Send the sender report of each track that has a clock, when it is time."""
        if self.reported_at is not None and now - self.reported_at < SENDER_REPORT_S:
            return
        for kind, forwarder in self.forwarders.items():
            report = tracks[kind].sender_report(forwarder, now)
            if report is not None:
                self.reported_at = now
                self._outlet.send_rtcp(
                    rtcp.write_sender_report(report) + rtcp.write_cname(forwarder.ssrc, self._cname)
                )
