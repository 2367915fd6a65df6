"""The media of one room: the host's transport, the viewers' ones, the relay, the filter.

Owns what happens in time and on sockets; the relay decides what is sent.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from mediasrv.delays import DelayHistogram
from mediasrv.errors import UnsupportedCodec
from mediasrv.filter_switch import FilterStreams, FilterSwitch
from mediasrv.media import Codec, EncodedFrame
from mediasrv.negotiation import (
    FILTERED_CODECS,
    HostSession,
    ViewerSession,
    negotiate_host,
    negotiate_viewer,
)
from mediasrv.relay.broadcast import Broadcast
from mediasrv.statistics import TrackTotals
from mediasrv.tracing.frames import FrameTracer
from mediasrv.transport.answer import AcceptedMedia, ServerIdentity, write_answer
from mediasrv.transport.endpoint import TransportEndpoint
from mediasrv.transport.offer import Offer, parse_offer
from mediasrv.transport.peer import PeerTransport
from signaling.messages import FilterView

logger = logging.getLogger(__name__)


class _HostPeer:
    """The host's transport, as it talks to the room."""

    def __init__(self, media: "RoomMedia", session: HostSession) -> None:
        self.session = session
        self.transport: PeerTransport | None = None
        self._media = media

    def connected(self) -> None:
        self._media.host_connected(self)

    def received_rtp(self, packet: bytes, now: float) -> None:
        self._media.host_rtp(self, packet, now)

    def received_rtcp(self, packet: bytes, now: float) -> None:
        self._media.host_rtcp(self, packet, now)

    def closed(self, reason: str) -> None:
        self._media.host_closed(self, reason)
        self.transport = None


class _ViewerPeer:
    """A viewer's transport, as it talks to the room."""

    def __init__(self, media: "RoomMedia", viewer: str, session: ViewerSession) -> None:
        self.viewer = viewer
        self.session = session
        self.transport: PeerTransport | None = None
        self._media = media

    def connected(self) -> None:
        self._media.viewer_connected(self)

    def received_rtp(self, packet: bytes, now: float) -> None:
        """Viewers send no media."""

    def received_rtcp(self, packet: bytes, now: float) -> None:
        self._media.viewer_rtcp(self, packet, now)

    def closed(self, reason: str) -> None:
        self._media.viewer_closed(self, reason)
        self.transport = None


class RoomMedia:
    """Everything of one room that moves pictures and sound.

    Args:
        endpoint: The shared port.
        streams: Makes beauty worker streams.
        clock: Monotonic seconds.
        spawn: Runs a coroutine in the background, guarded.
        filter_changed: Told how the filter stands, whenever that changes.
        host_media_changed: Told ``"connected"`` or ``"lost"`` for the host's transport.
        qualities_wanted: Told the names of the qualities that the host is to send.
        initial_filter: How the filter stands in a new room.

    Attributes:
        tracer: Who follows the frames; None usually.
    """

    def __init__(
        self,
        endpoint: TransportEndpoint,
        streams: FilterStreams,
        *,
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        filter_changed: Callable[[FilterView], None],
        host_media_changed: Callable[[str], None],
        qualities_wanted: Callable[[tuple[str, ...]], None],
        initial_filter: FilterView,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._host_media_changed = host_media_changed
        self._host: _HostPeer | None = None
        self._next_host: _HostPeer | None = None
        self._viewers: dict[str, _ViewerPeer] = {}
        self._relay_timer: asyncio.TimerHandle | None = None
        self.opened_at = clock()
        self.totals = TrackTotals()
        self.forward_delay = DelayHistogram()
        self.tracer: FrameTracer | None = None
        self.broadcast = Broadcast(
            on_frame=self._feed_filter,
            on_filter_keyframe=self._request_filter_keyframe,
            on_qualities_wanted=qualities_wanted,
            fanout=endpoint.burst.group,
        )
        self.filter = FilterSwitch(
            self.broadcast,
            streams,
            spawn=spawn,
            call_later=_call_later,
            clock=clock,
            changed=filter_changed,
            initial=initial_filter,
        )

    def trace(self, tracer: FrameTracer | None) -> None:
        """Let a tracer follow every frame of the video; None ends that."""
        self.tracer = self.broadcast.tracks["video"].observer = tracer
        self._endpoint.watch_sends(None if tracer is None else tracer.left)
        self.filter.trace(None if tracer is None else tracer.worked)

    def _feed_filter(self, frame: EncodedFrame) -> None:
        if self.tracer is None:
            self.filter.feed(frame)
            return
        self.tracer.completed(frame)
        self.filter.feed(frame)
        self.tracer.fed(frame)

    def _request_filter_keyframe(self) -> None:
        self.filter.request_keyframe()

    def publish(self, sdp: str) -> str:
        """Answer the host's offer. An earlier connection serves until the new one is up.

        Raises:
            NegotiationError: The offer cannot be honoured.
        """
        offer = parse_offer(sdp)
        peer = _HostPeer(self, negotiate_host(offer, to_filter=self.filter.view.enabled))
        if self._next_host is not None:
            self._close(self._next_host, "replaced")
        self._next_host = peer
        peer.transport = self._endpoint.open_peer(offer, peer)
        return self._answer(offer, peer.session.accepted, peer.transport)

    def unpublish(self, reason: str) -> None:
        """End the host's connection and with it the filter."""
        for peer in (self._next_host, self._host):
            if peer is not None:
                self._close(peer, reason)

    def expect_viewer(self) -> None:
        """Get ready for a viewer who has joined the room and is about to subscribe."""
        self.broadcast.expect_viewer(self._clock())

    def subscribe(self, viewer: str, sdp: str) -> str:
        """Answer a viewer's offer; its earlier subscription is replaced.

        Raises:
            NegotiationError: The offer cannot be honoured.
        """
        offer = parse_offer(sdp)
        session = negotiate_viewer(offer, self.broadcast.video_codec)
        self.unsubscribe(viewer, "replaced")
        peer = _ViewerPeer(self, viewer, session)
        self._viewers[viewer] = peer
        peer.transport = self._endpoint.open_peer(offer, peer, is_frugal=True)
        self.broadcast.expect_viewer(self._clock())
        return self._answer(offer, session.accepted, peer.transport)

    def unsubscribe(self, viewer: str, reason: str) -> None:
        """End a viewer's subscription; unknown ones are ignored."""
        peer = self._viewers.get(viewer)
        if peer is not None:
            self._close(peer, reason)

    def set_filter(
        self,
        enabled: bool | None,
        parameters: Mapping[str, int] | None,
        consent: bool | None = None,
    ) -> FilterView:
        """Take the host's wish for the filter.

        Raises:
            UnsupportedCodec: It is to be switched on for a video that it cannot process.
            ConsentMissing: It would be on without the host's consent.
        """
        for peer in (self._next_host, self._host):
            codec = peer.session.video_codec if peer is not None and enabled else None
            if codec is not None and codec not in FILTERED_CODECS:
                raise UnsupportedCodec(f"the host sends {codec}, which the filter cannot process")
        return self.filter.set(enabled, parameters, consent)

    def tick(self, now: float) -> None:
        """Let the relay do what is due."""
        self.broadcast.tick(now)
        told = (each.estimate_bps for each in self.broadcast.subscriptions.values())
        self.filter.follow((bps for bps in told if bps is not None), now)

    def close(self, reason: str) -> None:
        """End every transport of the room."""
        self.unpublish(reason)
        for viewer in list(self._viewers):
            self.unsubscribe(viewer, reason)
        if self._relay_timer is not None:
            self._relay_timer.cancel()

    def _answer(
        self, offer: Offer, accepted: dict[str, AcceptedMedia], transport: PeerTransport
    ) -> str:
        identity = ServerIdentity(
            transport.ice.credentials,
            self._endpoint.fingerprint,
            self._endpoint.candidates(),
            secrets.randbits(62),
        )
        return write_answer(offer, accepted, identity)

    def _close(self, peer: "_HostPeer | _ViewerPeer", reason: str) -> None:
        if peer.transport is not None:
            peer.transport.close(reason)

    # What the transports tell

    def host_connected(self, peer: _HostPeer) -> None:
        """Let a new connection of the host take over."""
        if peer is not self._next_host or peer.transport is None:
            return
        before, self._host, self._next_host = self._host, peer, None
        if before is not None:
            self._close(before, "replaced")
        self.broadcast.publish(peer.session.tracks, peer.transport, secrets.randbits(32))
        codec = self.broadcast.video_codec
        self.filter.publication_began(Codec(codec) if codec in FILTERED_CODECS else None)
        self._host_media_changed("connected")

    def host_rtp(self, peer: _HostPeer, packet: bytes, now: float) -> None:
        """Pass a packet of the host to the relay and see that nothing waits too long."""
        if peer is not self._host:
            return
        if self.tracer is not None:
            self.tracer.arrived(packet, now)
        self.broadcast.receive_rtp(packet, now)
        if self.tracer is not None:
            self.tracer.handled()
        self._note_delays()
        self._schedule(now)

    def _note_delays(self) -> None:
        """Time the packets that have just left for the last viewer."""
        for track in self.broadcast.all_tracks:
            if track.left_since is not None:
                self.forward_delay.note(self._clock() - track.left_since)
                track.left_since = None

    def _schedule(self, now: float) -> None:
        """Let the relay go on when it has something due."""
        due_at = self.broadcast.due_at
        if due_at is not None and self._relay_timer is None:
            loop = asyncio.get_running_loop()
            self._relay_timer = loop.call_later(max(0.0, due_at - now), self._advance)

    def _advance(self) -> None:
        self._relay_timer = None
        now = self._clock()
        self.broadcast.advance(now)
        self._note_delays()
        self._schedule(now)

    def host_rtcp(self, peer: _HostPeer, packet: bytes, now: float) -> None:
        """Pass feedback of the host to the relay."""
        if peer is self._host:
            self.broadcast.receive_rtcp(packet, now)

    def host_closed(self, peer: _HostPeer, reason: str) -> None:
        """Note the end of a connection of the host."""
        if peer is self._next_host:
            self._next_host = None
            logger.info("a new connection of the host was not completed: %s", reason)
        elif peer is self._host:
            self._host = None
            self.broadcast.unpublish()
            self.filter.publication_ended()
            self._host_media_changed("lost")

    def viewer_connected(self, peer: _ViewerPeer) -> None:
        """Begin to send to a viewer."""
        if peer.transport is not None and self._viewers.get(peer.viewer) is peer:
            session, now = peer.session, self._clock()
            self.broadcast.subscribe(
                peer.viewer, session.tracks, peer.transport, session.cname, now
            )
            self._schedule(now)

    def viewer_rtcp(self, peer: _ViewerPeer, packet: bytes, now: float) -> None:
        """Pass feedback of a viewer to the relay."""
        if self._viewers.get(peer.viewer) is peer:
            self.broadcast.receive_viewer_rtcp(peer.viewer, packet, now)

    def viewer_closed(self, peer: _ViewerPeer, reason: str) -> None:
        """Forget a viewer's subscription."""
        if self._viewers.get(peer.viewer) is peer:
            del self._viewers[peer.viewer]
            self.broadcast.unsubscribe(peer.viewer)
            logger.debug("a viewer's transport ended: %s", reason)


def _call_later(delay_s: float, call: Callable[[], None]) -> Callable[[], None]:
    return asyncio.get_running_loop().call_later(delay_s, call).cancel
