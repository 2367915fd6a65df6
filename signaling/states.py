"""The state machine of one connection, as tables that both ends share.

Both ends hold the same state and move it by the same messages, so neither can be sloppy where
the other is strict.

    new --join--> joining --joined--> host | viewer --left--> closed
     ^               |
     +---refused-----+

A message that has no entry in the present state's row is out of order. ``joined`` is listed with
its role, because the role decides the row that follows; ``refused`` is an ``error`` that answers
the join. An ``error`` with a close code, and the end of the socket, lead to closed from anywhere.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from signaling.messages import ClientMessage, Joined, ServerMessage


class State(StrEnum):
    """Where a connection stands."""

    NEW = "new"
    JOINING = "joining"
    HOST = "host"
    VIEWER = "viewer"
    CLOSED = "closed"


Table: TypeAlias = Mapping[State, Mapping[str, State]]

REFUSED = "refused"

CLIENT_MOVES: Table = MappingProxyType(
    {
        State.NEW: {"join": State.JOINING},
        State.JOINING: {},
        State.HOST: {
            "publish": State.HOST,
            "unpublish": State.HOST,
            "set_filter": State.HOST,
            "watch_statistics": State.HOST,
            "leave": State.HOST,
        },
        State.VIEWER: {
            "subscribe": State.VIEWER,
            "unsubscribe": State.VIEWER,
            "watch_statistics": State.VIEWER,
            "leave": State.VIEWER,
        },
        State.CLOSED: {},
    }
)

SERVER_MOVES: Table = MappingProxyType(
    {
        State.NEW: {"error": State.NEW, "left": State.CLOSED},
        State.JOINING: {
            "joined host": State.HOST,
            "joined viewer": State.VIEWER,
            REFUSED: State.NEW,
            "error": State.JOINING,
            "left": State.CLOSED,
        },
        State.HOST: {
            "published": State.HOST,
            "unpublished": State.HOST,
            "filter_changed": State.HOST,
            "host_media": State.HOST,
            "qualities_wanted": State.HOST,
            "peer_joined": State.HOST,
            "peer_left": State.HOST,
            "viewers_changed": State.HOST,
            "statistics": State.HOST,
            "error": State.HOST,
            "left": State.CLOSED,
        },
        State.VIEWER: {
            "subscribed": State.VIEWER,
            "unsubscribed": State.VIEWER,
            "filter_changed": State.VIEWER,
            "host_live": State.VIEWER,
            "host_away": State.VIEWER,
            "host_returned": State.VIEWER,
            "host_left": State.VIEWER,
            "host_media": State.VIEWER,
            "viewers_changed": State.VIEWER,
            "statistics": State.VIEWER,
            "error": State.VIEWER,
            "left": State.CLOSED,
        },
        State.CLOSED: {},
    }
)

# What answers a request that succeeds.
REPLIES: Mapping[str, str] = MappingProxyType(
    {
        "join": "joined",
        "publish": "published",
        "unpublish": "unpublished",
        "subscribe": "subscribed",
        "unsubscribe": "unsubscribed",
        "set_filter": "filter_changed",
        "watch_statistics": "statistics",
        "leave": "left",
    }
)


def label(message: ClientMessage | ServerMessage) -> str:
    """Name the column of the tables that a message stands for."""
    return f"joined {message.role}" if isinstance(message, Joined) else message.type


def is_for_other_role(state: State, move: str) -> bool:
    """Would the client be allowed to send this if it had joined in the other role?"""
    other = {State.HOST: State.VIEWER, State.VIEWER: State.HOST}.get(state)
    return other is not None and move in CLIENT_MOVES[other]
