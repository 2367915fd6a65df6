"""Read counters and histograms from a page in Prometheus' text format."""

import math
import re
from itertools import pairwise

_SAMPLE = re.compile(r"^(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_LE = re.compile(r'(?:^|,)\s*le="([^"]+)"')


def read_counter(text: str, name: str) -> float:
    """Return a counter's value, summed over its labels; 0.0 when it is not there."""
    samples = (_SAMPLE.match(line) for line in text.splitlines())
    return sum(float(s["value"]) for s in samples if s is not None and s["name"] == name)


def read_histogram(text: str, name: str) -> dict[float, float]:
    """Return the cumulative buckets of a histogram, summed over its other labels.

    Args:
        text: The page.
        name: Without ``_bucket``.

    Returns:
        Count by upper bound (``math.inf`` for the last); empty when there is no such histogram.
    """
    buckets: dict[float, float] = {}
    for line in text.splitlines():
        sample = _SAMPLE.match(line)
        if sample is None or sample["name"] != f"{name}_bucket":
            continue
        bound = _LE.search(sample["labels"] or "")
        if bound is not None:
            key = float(bound[1].replace("+Inf", "inf"))
            buckets[key] = buckets.get(key, 0.0) + float(sample["value"])
    return dict(sorted(buckets.items()))


def since(before: dict[float, float], after: dict[float, float]) -> dict[float, float]:
    """Return what was counted between two readings."""
    return {bound: count - before.get(bound, 0.0) for bound, count in after.items()}


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """Estimate a quantile by linear interpolation within its bucket.

    Returns:
        The value; the highest finite bound when it lies beyond; None when nothing was counted.
    """
    edges = [(0.0, 0.0), *buckets.items()]
    total = edges[-1][1]
    if total <= 0:
        return None
    wanted = share * total
    for (lower, below), (upper, count) in pairwise(edges):
        if count >= wanted and count > below:
            if math.isinf(upper):
                return lower
            return lower + (upper - lower) * (wanted - below) / (count - below)
    return None
