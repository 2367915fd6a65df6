"""All rooms of a node: who may join, who is where, and what is due when."""

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from mediasrv.rooms.agenda import Agenda
from mediasrv.rooms.limits import RoomLimits
from mediasrv.rooms.outcome import (
    Admission,
    Delivery,
    HostGone,
    Outcome,
    PeerId,
    RoomClosed,
    RoomEvent,
)
from mediasrv.rooms.room import Host, Room
from signaling.errors import ErrorCode, Overloaded, Refused
from signaling.messages import FilterView, Left, MediaState, PeerLeftReason, Role, RoomState


@dataclass(frozen=True, slots=True)
class RoomListing:
    """What anybody may know of a room. No identities.

    Attributes:
        since_s: When the publication began, on the clock that ``now`` comes from; None when
            there is none.
    """

    room: str
    state: RoomState
    viewers: int
    since_s: float | None


class Directory:
    """The rooms of one node.

    Commands name a peer; a peer that is gone already makes them do nothing, because the end of a
    session and the end of its media race each other all the time. Times are monotonic seconds.

    Args:
        new_id: Makes a peer id that nobody can guess or meet twice.
        new_token: Makes a secret for resuming a host session, at most 128 characters.
        initial_filter: How the filter of a new host stands.
        limits: How much the node takes.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        new_token: Callable[[], str],
        initial_filter: FilterView,
        limits: RoomLimits | None = None,
    ) -> None:
        self._new_id = new_id
        self._new_token = new_token
        self._initial_filter = initial_filter
        self._limits = limits or RoomLimits()
        self._rooms: dict[str, Room] = {}
        self._room_of: dict[PeerId, Room] = {}
        self._agenda = Agenda()
        self._is_shut_down = False

    # Membership.

    def join(
        self,
        room: str,
        role: Role,
        name: str | None,
        resume: str | None,
        now: float,
        *,
        reply_to: str | None = None,
    ) -> Admission:
        """Let somebody into a room, which opens when it does not exist.

        Args:
            room: A valid room name.
            role: What the peer wants to be.
            name: A display name, for the host.
            resume: The token of a host session that this connection continues. A token that no
                longer fits an empty seat is ignored: the session it belonged to is over.
            now: Monotonic seconds.
            reply_to: The id of the request, for ``joined``.

        Raises:
            Refused: ``room_taken``, somebody else is the host or is expected back.
            Overloaded: No more rooms, no more viewers in this one, or shutting down.
        """
        if self._is_shut_down:
            raise self._overloaded("the server is shutting down")
        if role == "viewer":
            return self._join_viewer(room, name, now, reply_to)
        place = self._rooms.get(room)
        if place is None or place.host is None:
            return self._join_host(room, reply_to)
        return self._resume_host(place, place.host, resume, now, reply_to)

    def leave(self, peer: PeerId, now: float, *, reply_to: str | None = None) -> Outcome:
        """End a peer's session because it wants to: it is told ``left``, then the others are."""
        room = self._room_of.get(peer)
        if room is None:
            return Outcome()
        message = Left(reason="left", reply_to=reply_to)
        farewell = [Delivery(peer, message)] if room.is_connected(peer) else []
        if room.host is not None and room.host.peer == peer:
            deliveries, events = self._remove_host(room, room.host, "left")
            return self._settled(room, farewell + deliveries, events)
        return self._settled(room, farewell + self._remove_viewer(room, peer, "left", now))

    def drop(self, peer: PeerId, now: float) -> Outcome:
        """Note that a peer's connection is lost: a host gets its grace, a viewer is gone."""
        room = self._room_of.get(peer)
        if room is None:
            return Outcome()
        if room.host is not None and room.host.peer == peer:
            return self._settled(room, room.drop_host(room.host, now))
        return self._settled(room, self._remove_viewer(room, peer, "dropped", now))

    def shutdown(self) -> Outcome:
        """End every session and admit nobody any more."""
        self._is_shut_down = True
        left = Left(reason="shutdown")
        deliveries: list[Delivery] = []
        events: list[RoomEvent] = []
        for room in self._rooms.values():
            deliveries += [Delivery(peer, left) for peer in room.connected()]
            if room.host is not None:
                events.append(HostGone(room.name, room.host.peer, "shutdown"))
            events.append(RoomClosed(room.name))
            self._agenda.set(room.name, None)
        self._rooms.clear()
        self._room_of.clear()
        return Outcome(tuple(deliveries), tuple(events))

    # The host's commands.

    def went_live(self, peer: PeerId, now: float) -> Outcome:
        """Note that the host's publication runs, for the first time or anew.

        Raises:
            Refused: ``not_allowed``, the peer is a viewer.
        """
        return self._of_host(peer, lambda room, host: room.go_live(host, now))

    def stopped(self, peer: PeerId) -> Outcome:
        """Note that the host's publication has ended while the host stays.

        Raises:
            Refused: ``not_allowed``, the peer is a viewer.
        """
        return self._of_host(peer, lambda room, host: room.stop(host))

    def filter_changed(
        self, peer: PeerId, view: FilterView, *, reply_to: str | None = None
    ) -> Outcome:
        """Note how the host's filter stands now; ``reply_to`` makes it an answer to the host.

        Raises:
            Refused: ``not_allowed``, the peer is a viewer.
        """
        return self._of_host(peer, lambda room, _: room.change_filter(view, reply_to))

    def media_changed(self, peer: PeerId, state: MediaState) -> Outcome:
        """Note that the host's media transport was connected or lost.

        Raises:
            Refused: ``not_allowed``, the peer is a viewer.
        """
        return self._of_host(peer, lambda room, host: room.change_media(host, state))

    # Time.

    def deadline(self) -> float | None:
        """When ``expire`` wants to be called, in monotonic seconds; None when nothing waits."""
        return self._agenda.next()

    def expire(self, now: float) -> Outcome:
        """Do what has come due: end graces, tell held-back numbers. Early calls do nothing."""
        deliveries: list[Delivery] = []
        events: list[RoomEvent] = []
        for name in self._agenda.take_due(now):
            room = self._rooms[name]
            due = room.tell_count(now)
            ended: list[RoomEvent] = []
            host = room.host
            if host is not None and host.away_until is not None and host.away_until <= now:
                told, ended = self._remove_host(room, host, "timeout")
                due += told
            outcome = self._settled(room, due, ended)
            deliveries += outcome.deliveries
            events += outcome.events
        return Outcome(tuple(deliveries), tuple(events))

    # Questions.

    def require_live(self, peer: PeerId) -> PeerId:
        """Return the host whose publication a viewer may subscribe to.

        A publication outlives its host's connection by the grace, and so does the right to
        subscribe to it.

        Raises:
            Refused: ``not_live``, there is no publication, or the peer is gone.
        """
        room = self._room_of.get(peer)
        if room is None or room.host is None or room.host.live_since is None:
            raise Refused(ErrorCode.NOT_LIVE, "the room is not live")
        return room.host.peer

    def room_of(self, peer: PeerId) -> str | None:
        """Return the name of the room that a peer is in, None when it is gone."""
        room = self._room_of.get(peer)
        return None if room is None else room.name

    def filter_of(self, peer: PeerId) -> FilterView:
        """Return how the filter stands in the room of a peer."""
        room = self._room_of.get(peer)
        return self._initial_filter if room is None else room.filter

    def listing(self) -> list[RoomListing]:
        """List all rooms, oldest first, waiting ones included."""
        return [
            RoomListing(room.name, room.state, len(room.audience), room.live_since)
            for room in self._rooms.values()
        ]

    def _join_viewer(
        self, name: str, display_name: str | None, now: float, reply_to: str | None
    ) -> Admission:
        room = self._opened(name)
        if len(room.audience) >= self._limits.viewers:
            raise self._overloaded("the room is full")
        peer = self._new_peer(room)
        deliveries = room.admit_viewer(peer, display_name, now, reply_to)
        return Admission(self._settled(room, deliveries).deliveries, peer=peer)

    def _join_host(self, name: str, reply_to: str | None) -> Admission:
        room = self._opened(name)
        peer = self._new_peer(room)
        deliveries = room.admit_host(Host(peer, self._new_token()), reply_to)
        return Admission(tuple(deliveries), peer=peer)

    def _resume_host(
        self, room: Room, host: Host, resume: str | None, now: float, reply_to: str | None
    ) -> Admission:
        if resume is None or not _is_same_secret(resume, host.token):
            wait_s = None if host.away_until is None else round(host.away_until - now, 3)
            raise Refused(
                ErrorCode.ROOM_TAKEN, "this room has a host already", retry_after_s=wait_s
            )
        replaced = host.away_until is None
        deliveries = self._settled(room, room.resume_host(host, reply_to)).deliveries
        return Admission(deliveries, peer=host.peer, resumed=True, replaced=replaced)

    def _opened(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= self._limits.rooms:
                raise self._overloaded("there are too many rooms")
            room = Room(name, initial_filter=self._initial_filter, limits=self._limits)
            self._rooms[name] = room
        return room

    def _new_peer(self, room: Room) -> PeerId:
        peer = PeerId(self._new_id())
        if peer in self._room_of:
            raise RuntimeError("new_id made an id that is in use")
        self._room_of[peer] = room
        return peer

    def _remove_viewer(
        self, room: Room, peer: PeerId, reason: PeerLeftReason, now: float
    ) -> list[Delivery]:
        del self._room_of[peer]
        return room.remove_viewer(peer, reason, now)

    def _remove_host(
        self, room: Room, host: Host, reason: Literal["left", "timeout"]
    ) -> tuple[list[Delivery], list[RoomEvent]]:
        del self._room_of[host.peer]
        return room.remove_host(reason), [HostGone(room.name, host.peer, reason)]

    def _of_host(self, peer: PeerId, command: Callable[[Room, Host], list[Delivery]]) -> Outcome:
        room = self._room_of.get(peer)
        if room is None:
            return Outcome()
        if room.host is None or room.host.peer != peer:
            raise Refused(ErrorCode.NOT_ALLOWED, "only the host can do this")
        return Outcome(tuple(command(room, room.host)))

    def _settled(
        self, room: Room, deliveries: Iterable[Delivery], events: Iterable[RoomEvent] = ()
    ) -> Outcome:
        # Every command that changes who is here or what is due ends with this.
        if not room.is_empty:
            self._agenda.set(room.name, room.deadline())
            return Outcome(tuple(deliveries), tuple(events))
        self._agenda.set(room.name, None)
        del self._rooms[room.name]
        return Outcome(tuple(deliveries), (*events, RoomClosed(room.name)))

    def _overloaded(self, text: str) -> Overloaded:
        return Overloaded(ErrorCode.OVERLOADED, text, retry_after_s=self._limits.retry_after_s)


def _is_same_secret(offered: str, secret: str) -> bool:
    # In constant time, so that a token cannot be found out character by character.
    return hmac.compare_digest(offered.encode(), secret.encode())
