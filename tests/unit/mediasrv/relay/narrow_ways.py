"""Viewers' ways of some width, and choosers that were told something; for the tests of both."""

from itertools import pairwise

from mediasrv.relay.adaptation import (
    RungChooser,
    ladder_of,
)

# L1T3 at 1.5 Mb/s: what each layer takes together with those below.
RATES = [600_000.0, 900_000.0, 1_500_000.0, 0.0]
LADDER = ladder_of([RATES])
ONE_RUNG = ladder_of([[1_500_000.0, 0.0, 0.0, 0.0]])
QUALITIES = [
    [1_000_000.0, 1_500_000.0, 2_500_000.0, 0.0],
    [200_000.0, 300_000.0, 500_000.0, 0.0],
    [60_000.0, 90_000.0, 150_000.0, 0.0],
]
SIMULCAST = ladder_of(QUALITIES)
SECOND = 1.0
EPSILON = 1e-6
START = 100.0


class Way:
    """A viewer behind a way of some width with a short queue, and what its browser says.

    REMB grows by 8 % a second up to half more than what is received, and comes down where packets
    wait; where more is sent than fits, the rest is lost.
    """

    def __init__(self, width_bps, ladder=LADDER, **settings):
        self.chooser = RungChooser(**settings)
        self.width_bps = width_bps
        self.ladder = ladder
        self.now = START
        self.history = []
        self.estimate_bps = None
        self.wished = []

    def sent_bps(self):
        if self.chooser.is_starved:
            return self.chooser.pace_bps(0.0, self.now)
        present = self.chooser.rung if self.history else self.ladder[-1]
        return present.rate_bps + self.chooser.padded_bps

    def run(self, seconds):
        for _ in range(seconds):
            self.now += SECOND
            sent_bps = self.sent_bps()
            received_bps = min(sent_bps, self.width_bps)
            before = self.estimate_bps or 1.5 * received_bps
            self.estimate_bps = max(before, min(1.08 * before, 1.5 * received_bps))
            if sent_bps > self.width_bps:
                self.estimate_bps = 0.85 * self.width_bps
            self.chooser.lost(1 - received_bps / sent_bps, 0.5 * (sent_bps > self.width_bps))
            self.chooser.estimated(self.estimate_bps, self.now)
            rung = self.chooser.choose(self.ladder, 0.0, self.now)
            self.history.append((self.now, self.ladder.index(rung)))
            self.wished.append(self.chooser.wished_qualities(2_500_000, 3, self.now))

    @property
    def rung(self):
        return self.chooser.rung[:2]

    def climbs(self):
        return [at for (_, a), (at, b) in pairwise(self.history) if b > a]


def told(estimate_bps=None, loss=0.0, queueing_s=0.0, ladder=LADDER):
    """A chooser on the top of its ladder that has just been told something."""
    chooser = RungChooser()
    chooser.choose(ladder, 0.0, START - 50)
    if estimate_bps is not None:
        chooser.estimated(estimate_bps, START)
    chooser.lost(loss, queueing_s)
    return chooser


def places(chooser, seconds=5, ladder=LADDER, start=START):
    return [ladder.index(chooser.choose(ladder, 0.0, start + i)) for i in range(seconds)]
