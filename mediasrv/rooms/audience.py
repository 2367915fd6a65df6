"""The viewers of one room: who they are, who of them the host knows, how many were announced."""

from collections.abc import Iterator
from dataclasses import dataclass

from mediasrv.rooms.limits import RoomLimits
from mediasrv.rooms.outcome import PeerId


@dataclass(slots=True)
class Viewer:
    """One viewer.

    Attributes:
        announced: True when the host was told of this viewer and must be told of its leaving.
        missed_live: True when it joined while the host was away, so that nobody told it that
            the room is live.
    """

    announced: bool
    missed_live: bool


class Audience:
    """Viewers in the order of their joining, and the pace at which their number is told.

    The number goes to everybody, so telling every change would cost the square of the audience.
    The first change after a quiet interval is told at once, the rest together when it is over.
    """

    def __init__(self, limits: RoomLimits) -> None:
        self._limits = limits
        self._viewers: dict[PeerId, Viewer] = {}
        self._announced = 0
        self._told = 0
        self._told_at: float | None = None
        self._due: float | None = None

    def __len__(self) -> int:
        return len(self._viewers)

    def __iter__(self) -> Iterator[PeerId]:
        return iter(self._viewers)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._viewers

    def add(self, peer: PeerId, *, host_listens: bool, missed_live: bool) -> bool:
        """Add a viewer. True when the host should be told."""
        announced = host_listens and self._announced < self._limits.announced_viewers
        self._announced += announced
        self._viewers[peer] = Viewer(announced, missed_live)
        return announced

    def remove(self, peer: PeerId) -> bool:
        """Remove a viewer. True when the host was told of it."""
        announced = self._viewers.pop(peer).announced
        self._announced -= announced
        return announced

    def forget_announcements(self) -> None:
        """Start anew for another host, who was told of nobody."""
        self._announced = 0
        for viewer in self._viewers.values():
            viewer.announced = False

    def take_missed_live(self) -> list[PeerId]:
        """Return those who joined while the host was away, once."""
        missed = [peer for peer, viewer in self._viewers.items() if viewer.missed_live]
        for peer in missed:
            self._viewers[peer].missed_live = False
        return missed

    def count_to_tell(self, now: float) -> int | None:
        """Return the number of viewers if it has changed and may be told now."""
        count = len(self._viewers)
        if count == self._told:
            self._due = None
            return None
        if self._told_at is not None and now < self._told_at + self._limits.count_interval_s:
            self._due = self._told_at + self._limits.count_interval_s
            return None
        self._told, self._told_at, self._due = count, now, None
        return count

    @property
    def due(self) -> float | None:
        """When a held-back number may be told, in monotonic seconds."""
        return self._due
