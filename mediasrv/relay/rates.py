"""What each temporal layer of each quality takes, measured."""

from collections.abc import Sequence

# A layer pattern repeats within 150 ms, and bitrates of encoders move within seconds.
INTERVAL_S = 1.0


class LayerRates:
    """Turn byte counters into bitrates, once a second."""

    def __init__(self) -> None:
        self._bytes: list[list[int]] | None = None
        self._at = 0.0

    def update(self, layer_bytes: Sequence[Sequence[int]], now: float) -> list[list[float]] | None:
        """Return by quality and layer what it takes with those below, in bit/s.

        A layer that nothing came of has 0. None before an interval is over, and when nothing came.
        """
        before, counted = self._bytes, [list(layers) for layers in layer_bytes]
        if before is None:
            self._bytes, self._at = counted, now
            return None
        elapsed_s = now - self._at
        if elapsed_s < INTERVAL_S:
            return None
        self._bytes, self._at = counted, now
        if counted == before:
            return None
        return [_rates(b, c, elapsed_s) for b, c in zip(before, counted, strict=True)]


def _rates(before: Sequence[int], after: Sequence[int], elapsed_s: float) -> list[float]:
    rates: list[float] = []
    total = 0
    for earlier, later in zip(before, after, strict=True):
        total += later - earlier
        rates.append(total * 8 / elapsed_s if later > earlier else 0.0)
    return rates
