"""Time that passes when a test says so, and a bad link in it, from one seed."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass


class VirtualTime:
    """Runs what was scheduled, in order, as fast as it can.

    Attributes:
        now: Seconds.
    """

    def __init__(self, now: float = 100.0) -> None:
        self.now = now
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0

    def call_at(self, at: float, call: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._due, (at, self._order, call))

    def every(self, interval_s: float, call: Callable[[], None]) -> None:
        def again() -> None:
            call()
            self.call_at(self.now + interval_s, again)

        self.call_at(self.now, again)

    def run_until(self, end: float) -> None:
        while self._due and self._due[0][0] <= end:
            self.now, _, call = heapq.heappop(self._due)
            call()
        self.now = end


@dataclass
class BadLink:
    """Carries packets one way; loses, delays, reorders and doubles them.

    Attributes:
        loss: Probability that a packet is lost.
        reorder: Probability that it is held back for up to 20 ms more.
        duplicate: Probability that it arrives twice.
        delay_s: What every packet takes.
        jitter_s: What it may take more, without overtaking.
    """

    time: VirtualTime
    chance: random.Random
    deliver: Callable[[bytes], None]
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    delay_s: float = 0.02
    jitter_s: float = 0.005
    carried: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        self._latest = 0.0

    def send(self, packet: bytes) -> None:
        self.carried += 1
        if self.chance.random() < self.loss:
            self.lost += 1
            return
        at = self.time.now + self.delay_s + self.chance.random() * self.jitter_s
        at = self._latest = max(at, self._latest)
        if self.chance.random() < self.reorder:
            at += self.chance.random() * 0.02
        self.time.call_at(at, lambda: self.deliver(packet))
        if self.chance.random() < self.duplicate:
            self.time.call_at(at + self.chance.random() * 0.01, lambda: self.deliver(packet))

    def heal(self) -> None:
        """Become a good link."""
        self.loss = self.reorder = self.duplicate = 0.0
