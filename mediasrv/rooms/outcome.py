"""What a room command leads to: messages to deliver, and past-tense events for the node."""

from dataclasses import dataclass
from typing import Literal, NewType, TypeAlias

from signaling.messages import ServerMessage

PeerId = NewType("PeerId", str)

HostGoneReason = Literal["left", "timeout", "shutdown"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one connected peer. A broadcast repeats the same message object."""

    peer: PeerId
    message: ServerMessage


@dataclass(frozen=True, slots=True)
class HostGone:
    """The host's session has ended for good; its media and filter must be closed."""

    room: str
    peer: PeerId
    reason: HostGoneReason


@dataclass(frozen=True, slots=True)
class RoomClosed:
    """The last peer is gone and so is the room; whatever was kept for it can go too."""

    room: str


RoomEvent: TypeAlias = HostGone | RoomClosed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command led to.

    Attributes:
        deliveries: Messages, in the order in which they must be sent. They only ever address
            peers that have a connection: a host in its grace gets none.
        events: What the owner of media and sockets has to act on.
    """

    deliveries: tuple[Delivery, ...] = ()
    events: tuple[RoomEvent, ...] = ()

    @property
    def hosts_gone(self) -> tuple[HostGone, ...]:
        """The events that end a host's media."""
        return tuple(event for event in self.events if isinstance(event, HostGone))


@dataclass(frozen=True, slots=True)
class Admission(Outcome):
    """Somebody has joined.

    Attributes:
        peer: Who the connection that asked is from now on.
        resumed: True when a host came back to its own session: its media may still be running.
        replaced: True when the session had another connection until now. Before anything is
            delivered, that connection must be sent ``left`` with reason ``replaced`` and must be
            forgotten: its end is then no ``drop`` of this peer.
    """

    peer: PeerId = PeerId("")
    resumed: bool = False
    replaced: bool = False
