"""Viewers who get the same packets in step: laid out once, sent to all in one go.

A viewer in a lane costs nothing per batch but what its transport does: its counters and numbers are
derived from those of the lane when somebody asks. Whoever needs something else (a keyframe, fewer
layers, the past) is out of the lane meanwhile.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.layout import Batch, Layout, LayoutKind, copy_layout
from mediasrv.relay.outlet import Outlet


class Target(NamedTuple):
    """One viewer of a fan-out.

    ``offset`` and ``picture_offset`` are added to the sequence numbers and VP8 picture ids.
    """

    outlet: Outlet
    ssrc: int
    offset: int
    picture_offset: int


class Group(Protocol):
    """Targets that are sent the same, time and again."""

    def send(self, layout: Layout) -> Sequence[int]:
        """Send; returns the positions of the targets that lost some of it. Never blocks."""


class Fanout(Protocol):
    """Sends one layout to many viewers; offered by the transport."""

    def __call__(self, targets: Sequence[Target]) -> Group:
        """Get ready to send to these."""


class PlainGroup:
    """Sends to one target after the other; the oracle of every faster way."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets

    def send(self, layout: Layout) -> list[int]:
        """Send, see :class:`Group`."""
        lost = []
        for position, (outlet, ssrc, offset, picture_offset) in enumerate(self._targets):
            copy_layout(layout, outlet.buffer, ssrc, offset, picture_offset)
            if not outlet.send_packets(layout.spans, layout.runs):
                lost.append(position)
        return lost


class Lane:
    """Viewers with one kind of layout.

    Args:
        kind: Of the layouts.
        fanout: Sends to many viewers at once.

    Attributes:
        kind: Of the layouts.
        packets: Packets that every member was sent while it was in the lane.
        octets: Their payload bytes.
        newest: The highest sequence number among them; -1 before the first.
        members: Who is in the lane.
    """

    def __init__(self, kind: LayoutKind, fanout: Fanout) -> None:
        self.kind = kind
        self.packets = 0
        self.octets = 0
        self.newest = -1
        self.members: list[Forwarder] = []
        self._key = kind.key
        self._fanout = fanout
        self._group: Group | None = None
        self._begins = -1

    def enter(self, forwarder: Forwarder) -> None:
        """Let a viewer get the next batch with the others."""
        self.members.append(forwarder)
        self._group = None
        forwarder.enter(self)

    def leave(self, forwarder: Forwarder) -> None:
        """Let a viewer go its own way again."""
        self.members.remove(forwarder)
        self._group = None
        forwarder.leave()

    def late_for(self, batch: Batch) -> list[Forwarder]:
        """Return the members who began after the first packet of a batch, which came late."""
        self._prepare()
        if batch.first_sequence >= self._begins:
            return []
        return [f for f in self.members if batch.first_sequence < f.begins_at]

    def write(self, batch: Batch) -> list[Forwarder]:
        """Send a batch to all members; returns those who lost some of it."""
        if not self.members:
            return []
        layout = batch.layout(self._key, self.kind)
        lost = self._prepare().send(layout)
        self.packets += len(layout.spans)
        self.octets += batch.payload_bytes
        self.newest = max(self.newest, layout.fields[-1][1])
        return [self.members[position] for position in lost]

    def _prepare(self) -> Group:
        if self._group is None:
            self._group = self._fanout([Target(*f.address) for f in self.members])
            self._begins = max((f.begins_at for f in self.members), default=-1)
        return self._group
