"""How long packets stay in the server: a histogram that is cheap enough to be always on."""

from bisect import bisect_left
from collections.abc import Sequence

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

    def since(self, before: Sequence[int]) -> list[int]:
        """Return what was counted after ``counts`` was ``before``; empty stands for the start."""
        if not before:
            return list(self.counts)
        return [now - then for now, then in zip(self.counts, before, strict=True)]


def quantile_s(counts: Sequence[int], share: float) -> float | None:
    """Estimate a quantile (0..1) of delays counted as in DelayHistogram, in seconds.

    Linear between bounds; the highest bound where it lies beyond; None when nothing was counted.
    """
    wanted, below = share * sum(counts), 0
    if not wanted:
        return None
    for i, count in enumerate(counts[:-1]):
        if count and below + count >= wanted:
            lower = BOUNDS_S[i - 1] if i else 0.0
            return lower + (BOUNDS_S[i] - lower) * (wanted - below) / count
        below += count
    return BOUNDS_S[-1]
