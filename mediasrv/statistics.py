"""How a room's media fares, as its host and its viewers are told. Pure: reads counters."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Protocol

from mediasrv.delays import DelayHistogram, quantile_s
from mediasrv.relay.broadcast import Broadcast
from mediasrv.relay.outlet import ForwarderCounters
from mediasrv.relay.reception import Reception
from mediasrv.relay.subscription import Subscription
from mediasrv.rooms import PeerId
from signaling.figures import (
    ForwardDelay,
    ReceivedFigures,
    SentFigures,
    TrackFigures,
    TrackKind,
    ViewerFigures,
)
from signaling.messages import Statistics

# A host with more viewers is told of those that need attention; a message stays below 32 KiB.
PEERS_MAX = 50
# Adding up what a thousand viewers were sent takes milliseconds, and all of them may ask.
TOTALS_S = 1.0
KINDS: tuple[TrackKind, ...] = ("audio", "video")


class RoomCounters(Protocol):
    """What statistics read of a room."""

    broadcast: Broadcast
    opened_at: float
    totals: "TrackTotals"


class TrackTotals:
    """A room's tracks with what all viewers were sent, added up once a second at most.

    Attributes:
        read_at: When; monotonic seconds.
    """

    def __init__(self) -> None:
        self.read_at: float | None = None
        self._tracks: list[TrackFigures] = []

    def read(self, broadcast: Broadcast, now: float) -> list[TrackFigures]:
        """Return the tracks as they were at :attr:`read_at`, which may be now."""
        if self.read_at is None or now - self.read_at >= TOTALS_S:
            self.read_at, self._tracks = now, _tracks(broadcast)
        return self._tracks


@dataclass(slots=True)
class _Watch:
    every_s: float
    due_at: float
    delays: Sequence[int] = field(default_factory=tuple)


class StatisticsWatches:
    """Who is sent statistics, and when next."""

    def __init__(self) -> None:
        self._watches: dict[PeerId, _Watch] = {}

    def begin(self, peer: PeerId, every_s: float, now: float) -> None:
        """Let ``peer`` be due every ``every_s`` seconds, in place of an earlier interval."""
        self._watches[peer] = _Watch(every_s, now + every_s)

    def end(self, peer: PeerId) -> None:
        """Let ``peer`` be due no more; unknown ones are ignored."""
        self._watches.pop(peer, None)

    def due(self, now: float) -> list[PeerId]:
        """Return whose time has come, and take them as served; a missed turn is not made up for."""
        due = [peer for peer, watch in self._watches.items() if watch.due_at <= now]
        for peer in due:
            self._watches[peer].due_at = now + self._watches[peer].every_s
        return due

    def delays_since(self, peer: PeerId, delays: DelayHistogram) -> list[int]:
        """Return the delays counted since the last call for ``peer``; of all time at first."""
        watch = self._watches.get(peer)
        if watch is None:
            return delays.since(())
        before, watch.delays = watch.delays, tuple(delays.counts)
        return delays.since(before)


def room_statistics(
    room: RoomCounters | None,
    now: float,
    *,
    viewer: str | None,
    delays: Sequence[int],
    reply_to: str | None = None,
) -> Statistics:
    """Read a room's counters.

    Args:
        room: Its media; None before it has any.
        now: Monotonic seconds.
        viewer: Who is told of itself only; None for the host, who is told of its viewers.
        delays: Counted in the time that ``forward_ms`` is to tell of.
        reply_to: The request that is answered.
    """
    if room is None:
        return Statistics(
            reply_to=reply_to,
            elapsed_s=0.0,
            viewers=0,
            forward_ms=None,
            keyframe_requests=0,
            malformed_rtp=0,
            malformed_rtcp=0,
            foreign_packets=0,
            tracks=[],
            peers=[],
        )
    broadcast = room.broadcast
    tracks = room.totals.read(broadcast, now)
    return Statistics(
        reply_to=reply_to,
        elapsed_s=round((room.totals.read_at or now) - room.opened_at, 3),
        viewers=len(broadcast.subscriptions),
        forward_ms=_forward_delay(delays),
        keyframe_requests=broadcast.keyframe_requests_sent,
        malformed_rtp=broadcast.counters.malformed_rtp,
        malformed_rtcp=broadcast.counters.malformed_rtcp,
        foreign_packets=broadcast.counters.foreign_packets,
        tracks=tracks,
        peers=[_viewer(peer, found) for peer, found in _told_of(broadcast, viewer)],
    )


def _told_of(broadcast: Broadcast, viewer: str | None) -> list[tuple[str, Subscription]]:
    if viewer is None:
        return nlargest(PEERS_MAX, broadcast.subscriptions.items(), key=lambda item: item[1].loss)
    found = broadcast.subscriptions.get(viewer)
    return [(viewer, found)] if found is not None else []


def _forward_delay(delays: Sequence[int]) -> ForwardDelay | None:
    p50, p95, p99 = (quantile_s(delays, share) for share in (0.5, 0.95, 0.99))
    if p50 is None or p95 is None or p99 is None:
        return None
    return ForwardDelay(
        p50=round(1000 * p50, 3), p95=round(1000 * p95, 3), p99=round(1000 * p99, 3)
    )


def _tracks(broadcast: Broadcast) -> list[TrackFigures]:
    sent, receptions = broadcast.forwarded(), broadcast.receptions
    return [
        TrackFigures(
            kind=kind,
            received=_received(receptions.get(kind)),
            sent=_sent(sent[kind]),
            keyframes_asked=broadcast.tracks[kind].keyframes.asked,
        )
        for kind in KINDS
    ]


def _received(reception: Reception | None) -> ReceivedFigures:
    if reception is None:
        return ReceivedFigures()
    return ReceivedFigures(
        packets=reception.packets_received,
        bytes=reception.bytes_received,
        # Duplicates may make it negative, which says nothing to a person.
        lost=max(0, reception.lost),
        nacks=reception.nacks.asked,
        given_up=reception.nacks.gave_up,
    )


def _sent(counters: ForwarderCounters) -> SentFigures:
    return SentFigures(
        packets=counters.packets_sent,
        bytes=counters.octets_sent,
        repaired=counters.repaired,
        repairs_refused=counters.repairs_refused,
        repairs_missed=counters.repairs_missed,
        layered_out=counters.layered_out,
        sends_failed=counters.sends_failed,
    )


def _viewer(peer: str, subscription: Subscription) -> ViewerFigures:
    trip = subscription.round_trip
    return ViewerFigures(
        peer=peer,
        rtt_ms=round(1000 * trip.rtt_s, 1) if trip.is_measured else None,
        loss=round(subscription.loss, 4),
        estimate_bps=subscription.estimate_bps,
        nacks=subscription.counters.nacks,
        keyframe_requests=subscription.counters.keyframe_requests,
        sent={
            kind: _sent(subscription.forwarders[kind].counters)
            for kind in KINDS
            if kind in subscription.forwarders
        },
    )
