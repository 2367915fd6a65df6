"""How long packets stay in the server: a histogram that is cheap enough to be always on."""

from bisect import bisect_left

# A fifth of a decade apart, from 25 us to 1.6 s: percentiles read from it are within a sixth.
BOUNDS_S = tuple(
    scale * step for scale in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1) for step in (2.5, 4.0, 6.3, 10.0, 16.0)
)


class DelayHistogram:
    """Counts of delays between fixed bounds.

    Attributes:
        counts: By bound, of delays up to it and above the one before; last, of all longer ones.
        total_s: Sum of all delays.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def note(self, delay_s: float) -> None:
        """Count one delay."""
        self.counts[bisect_left(BOUNDS_S, delay_s)] += 1
        self.total_s += delay_s
