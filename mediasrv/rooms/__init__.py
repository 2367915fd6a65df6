"""Rooms: membership, rights and lifecycle. Pure: no socket, no clock, no log."""

from mediasrv.rooms.directory import Directory, RoomListing
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

__all__ = [
    "Admission",
    "Delivery",
    "Directory",
    "HostGone",
    "Outcome",
    "PeerId",
    "RoomClosed",
    "RoomEvent",
    "RoomLimits",
    "RoomListing",
]
