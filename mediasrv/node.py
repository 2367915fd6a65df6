"""One process is one node: signalling commands become rooms, media and filters.

Commands are synchronous: between two of them the node's state is whole. Only opening and closing
of workers takes time, and that runs in the background, guarded.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from filters.errors import ParameterError
from filters.parameters import Parameters
from mediasrv.errors import ConsentMissing, NegotiationError, UnsupportedCodec
from mediasrv.filter_switch import FilterStreams
from mediasrv.room_media import RoomMedia
from mediasrv.rooms import Directory, HostGone, Outcome, PeerId, RoomClosed, RoomListing
from mediasrv.statistics import StatisticsWatches, room_statistics
from mediasrv.tracing.channel import TraceRefused
from mediasrv.tracing.frames import FrameTracer
from mediasrv.tracing.spans import NO_SPANS, Spans
from mediasrv.transport.burst import BurstCounters
from mediasrv.transport.endpoint import EndpointCounters, TransportEndpoint
from signaling.errors import ErrorCode, Refused
from signaling.messages import (
    ClientMessage,
    FilterView,
    Join,
    Leave,
    Left,
    Publish,
    Published,
    QualitiesWanted,
    SetFilter,
    Subscribe,
    Subscribed,
    Unpublish,
    Unpublished,
    Unsubscribe,
    Unsubscribed,
    WatchStatistics,
)
from signaling.server import Outbox

logger = logging.getLogger(__name__)

# NACKs, keyframe requests and reports are due at this grain; the finest need is a NACK's 10 ms.
TICK_S = 0.02


@dataclass(slots=True, eq=False)
class Connection:
    """One signalling connection, before and after it has joined."""

    outbox: Outbox
    peer: PeerId | None = None
    room: str = ""


class Node:
    """Rooms and their media on one shared port; an async context manager.

    Args:
        endpoint: The shared port, open.
        streams: Makes beauty worker streams.
        clock: Monotonic seconds.
        initial_filter: How the filter stands in a new room.
        directory: Rooms and their members.
        host_arrived: Called when a host joins: a good time to warm a filter worker.
        spans: Takes note of requests.
    """

    def __init__(
        self,
        endpoint: TransportEndpoint,
        streams: FilterStreams,
        *,
        clock: Callable[[], float],
        initial_filter: FilterView,
        directory: Directory,
        host_arrived: Callable[[], None],
        spans: Spans = NO_SPANS,
    ) -> None:
        self.directory = directory
        self._spans = spans
        self._endpoint = endpoint
        self._streams = streams
        self._host_arrived = host_arrived
        self._clock = clock
        self._initial_filter = initial_filter
        self._media: dict[str, RoomMedia] = {}
        self._connections: dict[PeerId, Connection] = {}
        self._hosts: dict[str, PeerId] = {}
        self._watches = StatisticsWatches()
        self._faulty_rooms: set[str] = set()
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> "Node":
        """Start the node's timer."""
        await self._group.__aenter__()
        self._ticker = self._group.create_task(self._tick_forever(), name="node timer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell everybody, end all media and wait for what runs in the background."""
        self._apply(self.directory.shutdown())
        self._ticker.cancel()
        if isinstance(error, asyncio.CancelledError):
            await self._group.__aexit__(kind, error, trace)
        else:
            # An error of whoever uses the node leaves as it is, not wrapped by the group.
            await self._group.__aexit__(None, None, None)

    @property
    def udp_port(self) -> int:
        """The UDP port of all media."""
        return self._endpoint.port

    @property
    def rooms(self) -> Mapping[str, RoomMedia]:
        """The media of each room."""
        return self._media

    @property
    def endpoint_counters(self) -> EndpointCounters:
        """Datagrams by fate."""
        return self._endpoint.counters

    @property
    def burst_counters(self) -> BurstCounters:
        """What left in bursts."""
        return self._endpoint.burst.counters

    @property
    def peer_count(self) -> int:
        """Transports that are not closed."""
        return len(self._endpoint.peers)

    def listing(self) -> list[RoomListing]:
        """List all rooms for the lobby."""
        return self.directory.listing()

    def trace(self, room: str, tracer: FrameTracer | None) -> None:
        """Begin or, with None, end to trace a room; one at a time, for sends are watched in common.

        Raises:
            TraceRefused: There is no such room, or one is traced already.
        """
        media = self._media.get(room)
        if tracer is None:
            if media is not None:
                media.trace(None)
            return
        if media is None:
            raise TraceRefused("there is no such room")
        if any(other.tracer is not None for other in self._media.values()):
            raise TraceRefused("a room is traced already")
        media.trace(tracer)

    # Signalling

    async def connect(self, outbox: Outbox) -> Connection:
        """Note a new connection."""
        return Connection(outbox)

    async def disconnect(self, connection: Connection) -> None:
        """Note that a connection is gone: its peer has dropped, unless it left or moved on."""
        peer = connection.peer
        if peer is not None and self._connections.get(peer) is connection:
            del self._connections[peer]
            self._watches.end(peer)
            self._apply(self.directory.drop(peer, self._clock()))

    async def handle(self, connection: Connection, message: ClientMessage) -> None:
        """Act on one message.

        Raises:
            SignalingError: The request fails.
        """
        room = message.room if isinstance(message, Join) else connection.room
        with self._spans.request(message.type, room):
            self._act(connection, message)

    def _act(self, connection: Connection, message: ClientMessage) -> None:
        if isinstance(message, Join):
            self._join(connection, message)
            return
        peer = connection.peer
        if peer is None:
            raise Refused(ErrorCode.WRONG_ORDER, "join first")
        if isinstance(message, Leave):
            self._leave(connection, peer, message)
        elif isinstance(message, SetFilter):
            self._set_filter(connection, peer, message)
        elif isinstance(message, WatchStatistics):
            self._watch_statistics(connection, peer, message)
        else:
            self._negotiate(connection, peer, message)

    def _join(self, connection: Connection, message: Join) -> None:
        admission = self.directory.join(
            message.room,
            message.role,
            message.name,
            message.resume,
            self._clock(),
            reply_to=message.id,
        )
        peer = admission.peer
        before = self._connections.get(peer)
        if before is not None:
            before.outbox.send(Left(reason="replaced"))
            self._watches.end(peer)
        connection.peer, connection.room = peer, message.room
        self._connections[peer] = connection
        if message.role == "host":
            self._hosts[message.room] = peer
            self._host_arrived()
        self._apply(admission)
        media = self._media.get(message.room)
        if media is None:
            return
        if message.role == "viewer":
            media.expect_viewer()
        else:
            # It may have changed while the host's connection was away.
            self._tell_qualities(message.room, media.broadcast.wanted_rids)

    def _leave(self, connection: Connection, peer: PeerId, message: Leave) -> None:
        media = self._media.get(connection.room)
        if media is not None:
            media.unsubscribe(peer, "left")
        self._apply(self.directory.leave(peer, self._clock(), reply_to=message.id))
        self._connections.pop(peer, None)
        self._watches.end(peer)
        connection.peer = None

    def _require_host(self, connection: Connection, peer: PeerId) -> None:
        # The protocol refuses a viewer's host commands already; rights must not depend on it.
        if self._hosts.get(connection.room) != peer:
            raise Refused(ErrorCode.NOT_ALLOWED, "only the host can do this")

    def _set_filter(self, connection: Connection, peer: PeerId, message: SetFilter) -> None:
        self._require_host(connection, peer)
        media = self._media_of(connection)
        parameters = None
        if message.params is not None:
            wanted = {**media.filter.view.params, **message.params}
            try:
                parameters = Parameters.parse(wanted).as_dict()
            except ParameterError as exc:
                raise Refused(ErrorCode.BAD_FILTER, str(exc)) from exc
        try:
            view = media.set_filter(message.enabled, parameters, message.consent)
        except UnsupportedCodec as exc:
            raise Refused(ErrorCode.UNSUPPORTED_CODEC, str(exc)) from exc
        except ConsentMissing as exc:
            raise Refused(ErrorCode.CONSENT_REQUIRED, str(exc)) from exc
        self._apply(self.directory.filter_changed(peer, view, reply_to=message.id))

    def _watch_statistics(
        self, connection: Connection, peer: PeerId, message: WatchStatistics
    ) -> None:
        now = self._clock()
        if message.every_s is None:
            self._watches.end(peer)
        else:
            self._watches.begin(peer, message.every_s, now)
        self._send_statistics(connection, peer, now, reply_to=message.id)

    def _send_statistics(
        self, connection: Connection, peer: PeerId, now: float, reply_to: str | None = None
    ) -> None:
        media = self._media.get(connection.room)
        delays = self._watches.delays_since(peer, media.forward_delay) if media else []
        is_host = self._hosts.get(connection.room) == peer
        connection.outbox.send(
            room_statistics(
                media, now, viewer=None if is_host else peer, delays=delays, reply_to=reply_to
            )
        )

    def _negotiate(self, connection: Connection, peer: PeerId, message: ClientMessage) -> None:
        if isinstance(message, Publish | Unpublish):
            self._require_host(connection, peer)
        media, outbox = self._media_of(connection), connection.outbox
        try:
            if isinstance(message, Publish):
                outbox.send(Published(sdp=media.publish(message.sdp), reply_to=message.id))
            elif isinstance(message, Subscribe):
                self.directory.require_live(peer)
                answer = media.subscribe(peer, message.sdp)
                outbox.send(Subscribed(sdp=answer, reply_to=message.id))
            elif isinstance(message, Unpublish):
                media.unpublish("unpublished")
                self._apply(self.directory.stopped(peer))
                outbox.send(Unpublished(reply_to=message.id))
            elif isinstance(message, Unsubscribe):
                media.unsubscribe(peer, "unsubscribed")
                outbox.send(Unsubscribed(reply_to=message.id))
        except UnsupportedCodec as exc:
            raise Refused(ErrorCode.UNSUPPORTED_CODEC, str(exc)) from exc
        except NegotiationError as exc:
            raise Refused(ErrorCode.BAD_SDP, str(exc)) from exc

    # Media

    def _media_of(self, connection: Connection) -> RoomMedia:
        room = connection.room
        media = self._media.get(room)
        if media is None:
            media = self._media[room] = RoomMedia(
                self._endpoint,
                self._streams,
                clock=self._clock,
                spawn=self._spawn,
                filter_changed=lambda view: self._filter_changed(room, view),
                host_media_changed=lambda state: self._host_media_changed(room, state),
                qualities_wanted=lambda rids: self._tell_qualities(room, rids),
                initial_filter=self._initial_filter,
            )
        return media

    def _filter_changed(self, room: str, view: FilterView) -> None:
        peer = self._hosts.get(room)
        if peer is not None:
            self._apply(self.directory.filter_changed(peer, view))

    def _host_media_changed(self, room: str, state: str) -> None:
        peer = self._hosts.get(room)
        if peer is None:
            return
        if state == "connected":
            self._apply(self.directory.went_live(peer, self._clock()))
            self._apply(self.directory.media_changed(peer, "connected"))
        else:
            self._apply(self.directory.media_changed(peer, "lost"))

    def _tell_qualities(self, room: str, rids: tuple[str, ...]) -> None:
        connection = self._connections.get(self._hosts.get(room, PeerId("")))
        if connection is not None and rids:
            connection.outbox.send(QualitiesWanted(rids=list(rids)))

    # Consequences

    def _apply(self, outcome: Outcome) -> None:
        """Deliver what a room command said, then close what it ended."""
        for delivery in outcome.deliveries:
            connection = self._connections.get(delivery.peer)
            if connection is not None:
                connection.outbox.send(delivery.message)
        for event in outcome.events:
            if isinstance(event, HostGone):
                self._host_gone(event)
            elif isinstance(event, RoomClosed):
                self._room_closed(event.room)

    def _host_gone(self, event: HostGone) -> None:
        self._hosts.pop(event.room, None)
        self._connections.pop(event.peer, None)
        media = self._media.get(event.room)
        if media is not None:
            media.unpublish(f"the host has gone: {event.reason}")
            media.filter.reset(self._initial_filter)

    def _room_closed(self, room: str) -> None:
        self._faulty_rooms.discard(room)
        media = self._media.pop(room, None)
        if media is not None:
            media.close("the room is closed")

    # Time

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self.tick(self._clock())
            except Exception:
                logger.exception("the node's timer failed once")

    def tick(self, now: float) -> None:
        """Do what is due in every room."""
        deadline = self.directory.deadline()
        if deadline is not None and deadline <= now:
            self._apply(self.directory.expire(now))
        for room, media in list(self._media.items()):
            try:
                media.tick(now)
            except Exception:
                # The other rooms go on; one word is enough, it would be fifty a second.
                if room not in self._faulty_rooms:
                    self._faulty_rooms.add(room)
                    logger.exception("the timer of a room failed")
        for peer in self._watches.due(now):
            connection = self._connections.get(peer)
            if connection is not None:
                self._send_statistics(connection, peer, now)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._group.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            logger.exception("work in the background failed")


def new_peer_id() -> str:
    """Draw an id that nobody can guess."""
    return secrets.token_urlsafe(12)


def new_resume_token() -> str:
    """Draw a secret that resumes a host's session."""
    return secrets.token_urlsafe(24)
