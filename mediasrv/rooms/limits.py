"""How many rooms and viewers a node takes, and how long a room waits for its host."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Limits of a directory of rooms.

    Attributes:
        rooms: Most rooms at a time, waiting ones included.
        viewers: Most viewers in one room.
        grace_s: How long a room is kept for a host whose connection dropped.
        announced_viewers: Most viewers in one room that the host knows one by one. Later ones
            only count. It keeps a rush of viewers from filling the host's outbox, which would
            cost the host its connection.
        count_interval_s: Least time between two ``viewers_changed`` of one room.
        retry_after_s: What somebody who finds no place is told.
    """

    rooms: int = 1000
    viewers: int = 1000
    grace_s: float = 10.0
    announced_viewers: int = 100
    count_interval_s: float = 1.0
    retry_after_s: float = 5.0
