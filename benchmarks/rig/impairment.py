"""One direction of a bad network, from one seed: what is sent, what arrives, and when.

Pure: no sockets, and the time is an argument, so the same link serves in virtual time and, in
``impairment_proxy``, between real browsers and a real server.
"""

import heapq
import random
from dataclasses import dataclass, fields

# What each datagram takes on the wire besides itself: IPv4 and UDP headers.
HEADERS_BYTES = 28
# Under way at once; a real link of 1 Gb/s and 150 ms holds about as many. More are dropped.
IN_FLIGHT_MAX = 16_384
# How long a duplicate follows its original by, at most.
DUPLICATE_LAG_S = 0.010


@dataclass(frozen=True, slots=True)
class Bursts:
    """Losses that come together (Gilbert's model): a bad state in which everything is lost.

    Attributes:
        share: Of all datagrams, lost in bursts; 0 to below 1.
        length: Datagrams in a burst on average; 1 at least.
    """

    share: float
    length: float

    def __post_init__(self) -> None:
        _need(0 <= self.share < 1, "share must be at least 0 and below 1")
        _need(self.length >= 1, "length must be at least 1")
        _need(self.begin <= 1, "bursts this short cannot make up such a share")

    @property
    def begin(self) -> float:
        """Probability that a burst begins with the next datagram."""
        return self.share * self.end / (1 - self.share)

    @property
    def end(self) -> float:
        """Probability that the burst is over with the next datagram."""
        return 1 / self.length


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a link does to datagrams; the default is a perfect one.

    Attributes:
        loss: Probability that a datagram is lost by itself.
        bursts: Losses that come together, on top of ``loss``.
        reorder: Probability that a datagram is held back so that later ones overtake it.
        reorder_s: For how long at most.
        duplicate: Probability that a datagram arrives twice.
        delay_s: What every datagram takes.
        jitter_s: What it takes more at most; jitter alone lets nothing overtake.
        rate_bps: Bits per second on the wire, headers included; None: no limit.
        queue_bytes: What waits before a limited link; what does not fit is dropped.
    """

    loss: float = 0.0
    bursts: Bursts | None = None
    reorder: float = 0.0
    reorder_s: float = 0.020
    duplicate: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    rate_bps: int | None = None
    queue_bytes: int = 32_000

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate"):
            _need(0 <= getattr(self, name) <= 1, f"{name} is a probability")
        for name in ("reorder_s", "delay_s", "jitter_s", "queue_bytes"):
            _need(getattr(self, name) >= 0, f"{name} must not be negative")
        _need(self.rate_bps is None or self.rate_bps > 0, "rate_bps must be positive")


def _need(holds: bool, complaint: str) -> None:
    if not holds:
        raise ValueError(complaint)


@dataclass(slots=True)
class LinkCounters:
    """Datagrams by fate; ``sent`` were given to the link, ``arrived`` includes duplicates."""

    sent: int = 0
    arrived: int = 0
    lost: int = 0
    blacked_out: int = 0
    overflowed: int = 0
    reordered: int = 0
    duplicated: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return all counters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Link:
    """Carries datagrams one way.

    Args:
        seed: Equal seeds and equal calls make equal fates.
        conditions: To begin with.

    Attributes:
        counters: What has become of the datagrams.
        conditions: May be replaced at any time; what is under way keeps its time of arrival.
    """

    def __init__(self, seed: int | str, conditions: Conditions | None = None) -> None:
        self.conditions = conditions or Conditions()
        self.counters = LinkCounters()
        self._chance = random.Random(seed)
        self._in_flight: list[tuple[float, int, bytes]] = []
        self._order = 0
        self._in_burst = False
        self._latest = 0.0
        self._sent_until = 0.0
        self._blackout = (0.0, 0.0)

    def black_out(self, start: float, end: float) -> None:
        """Lose everything that is sent from ``start`` until before ``end``."""
        self._blackout = (start, end)

    def send(self, datagram: bytes, now: float) -> None:
        """Give the link a datagram; :meth:`due` returns it when and if it arrives."""
        self.counters.sent += 1
        if self._blackout[0] <= now < self._blackout[1]:
            self.counters.blacked_out += 1
            return
        leaves = self._leaves_queue(len(datagram), now)
        if leaves is None or len(self._in_flight) >= IN_FLIGHT_MAX:
            self.counters.overflowed += 1
        elif self._is_lost():
            self.counters.lost += 1
        else:
            self._carry(datagram, leaves)

    def _leaves_queue(self, size: int, now: float) -> float | None:
        """Return when the last bit is on the wire; None when the queue has no room."""
        rate_bps = self.conditions.rate_bps
        if rate_bps is None:
            self._sent_until = now
            return now
        begins = max(now, self._sent_until)
        waiting_bytes = (begins - now) * rate_bps / 8
        if waiting_bytes + size > self.conditions.queue_bytes and waiting_bytes > 0:
            return None
        self._sent_until = begins + (size + HEADERS_BYTES) * 8 / rate_bps
        return self._sent_until

    def _is_lost(self) -> bool:
        bursts = self.conditions.bursts
        if bursts is None:
            self._in_burst = False
        elif self._in_burst:
            self._in_burst = self._chance.random() >= bursts.end
        else:
            self._in_burst = self._chance.random() < bursts.begin
        return self._in_burst or self._happens(self.conditions.loss)

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._chance.random() < probability

    def _carry(self, datagram: bytes, leaves: float) -> None:
        conditions = self.conditions
        arrives = leaves + conditions.delay_s + self._chance.random() * conditions.jitter_s
        arrives = self._latest = max(arrives, self._latest)
        if self._happens(conditions.reorder):
            self.counters.reordered += 1
            arrives += self._chance.random() * conditions.reorder_s
        self._schedule(datagram, arrives)
        if self._happens(conditions.duplicate):
            self.counters.duplicated += 1
            self._schedule(datagram, arrives + self._chance.random() * DUPLICATE_LAG_S)

    def _schedule(self, datagram: bytes, arrives: float) -> None:
        self._order += 1
        heapq.heappush(self._in_flight, (arrives, self._order, datagram))

    @property
    def next_due(self) -> float | None:
        """When the next datagram arrives; None when nothing is under way."""
        return self._in_flight[0][0] if self._in_flight else None

    def due(self, now: float) -> list[bytes]:
        """Take what has arrived by ``now``, in the order of arrival."""
        arrived = []
        while self._in_flight and self._in_flight[0][0] <= now:
            arrived.append(heapq.heappop(self._in_flight)[2])
        self.counters.arrived += len(arrived)
        return arrived
