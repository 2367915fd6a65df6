"""One room: a host or none, an audience, and what each of them is told."""

from collections.abc import Iterable
from dataclasses import dataclass

from mediasrv.rooms.audience import Audience
from mediasrv.rooms.limits import RoomLimits
from mediasrv.rooms.outcome import Delivery, PeerId
from signaling.messages import (
    FilterChanged,
    FilterView,
    HostAway,
    HostLeft,
    HostLeftReason,
    HostLive,
    HostMedia,
    HostReturned,
    Joined,
    MediaState,
    PeerJoined,
    PeerLeft,
    PeerLeftReason,
    Role,
    RoomState,
    ServerMessage,
    ViewersChanged,
)


@dataclass(slots=True)
class Host:
    """The host's seat, which outlives a dropped connection by the grace.

    Attributes:
        peer: Its id, the same after it resumed.
        token: The secret that resumes the session. It does not change while the session lasts:
            a client that lost the answer to its resume can still come back.
        live_since: Monotonic seconds at which the present publication began, None without one.
        away_until: End of the grace in monotonic seconds, None while connected.
        media: What was last told of its media transport.
    """

    peer: PeerId
    token: str
    live_since: float | None = None
    away_until: float | None = None
    media: MediaState | None = None


class Room:
    """Membership and lifecycle of one room. Every command returns what must be delivered.

    The directory decides who may join and finds the room of a peer; here everything is allowed.
    """

    def __init__(self, name: str, *, initial_filter: FilterView, limits: RoomLimits) -> None:
        self.name = name
        self.host: Host | None = None
        self.audience = Audience(limits)
        self.filter = initial_filter
        self._initial_filter = initial_filter
        self._grace_s = limits.grace_s

    @property
    def state(self) -> RoomState:
        """What a client is told about the room."""
        if self.host is None:
            return "waiting"
        if self.host.away_until is not None:
            return "away"
        return "waiting" if self.host.live_since is None else "live"

    @property
    def live_since(self) -> float | None:
        """When the running publication began, in monotonic seconds; None without one."""
        return None if self.host is None else self.host.live_since

    @property
    def is_empty(self) -> bool:
        """Is nobody here, not even a host in its grace?"""
        return self.host is None and not self.audience

    def connected(self) -> list[PeerId]:
        """Everybody who has a connection, the host first."""
        listening = [self.host.peer] if self.host and self.host.away_until is None else []
        return [*listening, *self.audience]

    def is_connected(self, peer: PeerId) -> bool:
        """Has this peer a connection here?"""
        if self.host is not None and self.host.peer == peer:
            return self.host.away_until is None
        return peer in self.audience

    def deadline(self) -> float | None:
        """When the room wants to be looked at, in monotonic seconds."""
        times = (self.audience.due, self.host.away_until if self.host else None)
        return min((when for when in times if when is not None), default=None)

    def admit_host(self, host: Host, reply_to: str | None) -> list[Delivery]:
        """Seat a host in a room that has none."""
        self.host = host
        self.audience.forget_announcements()
        return [self._joined(host.peer, "host", host.token, reply_to)]

    def resume_host(self, host: Host, reply_to: str | None) -> list[Delivery]:
        """Give the seat to the host's new connection and end the grace."""
        was_away = host.away_until is not None
        host.away_until = None
        deliveries = [self._joined(host.peer, "host", host.token, reply_to)]
        if was_away:
            deliveries += self._to_viewers(HostReturned())
            missed = self.audience.take_missed_live()
            if host.live_since is not None:
                deliveries += _each(missed, HostLive())
        return deliveries

    def admit_viewer(
        self, peer: PeerId, name: str | None, now: float, reply_to: str | None
    ) -> list[Delivery]:
        """Add a viewer, tell the host, and tell everybody the number when it is time."""
        state = self.state
        host_listens = self.host is not None and state != "away"
        announced = self.audience.add(peer, host_listens=host_listens, missed_live=state == "away")
        deliveries = [self._joined(peer, "viewer", None, reply_to)]
        if announced:
            deliveries += self._to_host(PeerJoined(peer=peer, role="viewer", name=name))
        return deliveries + self.tell_count(now)

    def remove_viewer(self, peer: PeerId, reason: PeerLeftReason, now: float) -> list[Delivery]:
        """Take a viewer out."""
        announced = self.audience.remove(peer)
        told = self._to_host(PeerLeft(peer=peer, reason=reason)) if announced else []
        return told + self.tell_count(now)

    def drop_host(self, host: Host, now: float) -> list[Delivery]:
        """Start the host's grace; it changes nothing when that runs already."""
        if host.away_until is not None:
            return []
        host.away_until = now + self._grace_s
        return self._to_viewers(HostAway(grace_s=self._grace_s))

    def remove_host(self, reason: HostLeftReason) -> list[Delivery]:
        """End the host's session; viewers are told unless they never knew of it."""
        was_known = self.state != "waiting"
        self.host = None
        deliveries = self._to_viewers(HostLeft(reason=reason)) if was_known else []
        return deliveries + self.change_filter(self._initial_filter)

    def go_live(self, host: Host, now: float) -> list[Delivery]:
        """Start a publication, or start anew with another one."""
        host.live_since = now
        host.media = None
        return self._to_viewers(HostLive())

    def stop(self, host: Host) -> list[Delivery]:
        """End the publication; the host stays."""
        if host.live_since is None:
            return []
        host.live_since = None
        host.media = None
        return self._to_viewers(HostLeft(reason="stopped"))

    def change_filter(self, view: FilterView, reply_to: str | None = None) -> list[Delivery]:
        """Tell the host every change, and viewers what they can see of it.

        Strengths alone are not told to viewers: a slider moves thirty times a second, and a
        thousand viewers would each be told thirty times.
        """
        before, self.filter = self.filter, view
        if view == before and reply_to is None:
            return []
        told = self._to_host(FilterChanged(filter=view, reply_to=reply_to))
        if (view.state, view.enabled) == (before.state, before.enabled):
            return told
        return told + self._to_viewers(FilterChanged(filter=view))

    def change_media(self, host: Host, state: MediaState) -> list[Delivery]:
        """Tell everybody when the host's media transport is connected or lost."""
        if host.media == state:
            return []
        host.media = state
        return _each(self.connected(), HostMedia(state=state))

    def tell_count(self, now: float) -> list[Delivery]:
        """Tell everybody the number of viewers, if it has changed and the interval is over."""
        count = self.audience.count_to_tell(now)
        return [] if count is None else _each(self.connected(), ViewersChanged(viewers=count))

    def _joined(
        self, peer: PeerId, role: Role, resume: str | None, reply_to: str | None
    ) -> Delivery:
        joined = Joined(
            room=self.name,
            peer=peer,
            role=role,
            resume=resume,
            grace_s=self._grace_s,
            state=self.state,
            publishing=self.live_since is not None,
            viewers=len(self.audience),
            filter=self.filter,
            reply_to=reply_to,
        )
        return Delivery(peer, joined)

    def _to_host(self, message: ServerMessage) -> list[Delivery]:
        if self.host is None or self.host.away_until is not None:
            return []
        return [Delivery(self.host.peer, message)]

    def _to_viewers(self, message: ServerMessage) -> list[Delivery]:
        return _each(self.audience, message)


def _each(peers: Iterable[PeerId], message: ServerMessage) -> list[Delivery]:
    return [Delivery(peer, message) for peer in peers]
