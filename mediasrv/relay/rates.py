"""What each temporal layer of a track takes, measured."""

from collections.abc import Sequence

# A layer pattern repeats within 150 ms, and bitrates of encoders move within seconds.
INTERVAL_S = 1.0


class LayerRates:
    """Turn byte counters into bitrates, once a second."""

    def __init__(self) -> None:
        self._bytes: list[int] | None = None
        self._at = 0.0

    def update(self, layer_bytes: Sequence[int], now: float) -> list[float] | None:
        """Return by layer what it takes together with those below, in bit/s.

        A layer that nothing came of has 0. None before an interval is over, and when nothing came.
        """
        if self._bytes is None:
            self._bytes, self._at = list(layer_bytes), now
            return None
        elapsed_s = now - self._at
        if elapsed_s < INTERVAL_S:
            return None
        grown = [b - a for a, b in zip(self._bytes, layer_bytes, strict=True)]
        self._bytes, self._at = list(layer_bytes), now
        if not any(grown):
            return None
        rates: list[float] = []
        total = 0
        for count in grown:
            total += count
            rates.append(total * 8 / elapsed_s if count else 0.0)
        return rates
