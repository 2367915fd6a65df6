"""How fast and how wrong a peer may be: a token bucket and a strike counter."""

from collections import deque


class TokenBucket:
    """Allows ``burst`` at once and ``rate_hz`` for ever.

    ``now`` is monotonic seconds; a clock that steps back earns nothing and costs nothing.
    """

    def __init__(self, burst: int, rate_hz: float, now: float) -> None:
        self._burst = float(burst)
        self._rate_hz = rate_hz
        self._tokens = self._burst
        self._filled_at = now

    def take(self, now: float) -> float:
        """Take one token.

        Returns:
            0.0 when there was one, else the seconds until there is (nothing is taken then).
        """
        elapsed_s = max(0.0, now - self._filled_at)
        self._filled_at = max(self._filled_at, now)
        self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate_hz)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate_hz


class Strikes:
    """Tells when ``limit`` strikes fell within ``window_s``; remembers no more than that many."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=limit)

    def add(self, now: float) -> bool:
        """Count one strike. True when it was one too many."""
        self._times.append(now)
        return len(self._times) == self._times.maxlen and now - self._times[0] <= self._window_s
