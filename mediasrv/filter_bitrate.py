"""How many bits a filtered video may take: what the host sends, or what viewers can receive.

Pure, time is an argument. There is one encoder for all viewers, so most of them decide: the slowest
quarter does not count from four viewers on. Viewers' estimates (REMB) grow only as far as half
above what they receive, so a low one means something only if it is below what they are sent.
"""

from collections import deque
from collections.abc import Iterable, Sequence

INTERVAL_S = 1.0
# Hosts send little while nobody moves; what they sent in this many intervals is what they can.
HOST_INTERVALS = 8
# The lowest target; encoders have a floor of their own.
FLOOR_BPS = 150_000
# An estimate below this share of what is sent, for so many intervals in a row, is a narrow way.
SHORT_OF = 0.9
SHORT_INTERVALS = 2
STEP_DOWN = 0.85
# Up again after a while, and while the estimates show that there is room.
HOLD_S = 3.0
HEADROOM = 1.15
STEP_UP = 1.25
# Smaller changes are not worth a message to the worker.
WORTH_TELLING = 0.05


class FilterBitrate:
    """Chooses the target of one filtered video."""

    def __init__(self) -> None:
        self._in_bytes = 0
        self._out_bytes = 0
        self._began_at: float | None = None
        self._host_bps: deque[float] = deque(maxlen=HOST_INTERVALS)
        self._short_for = 0
        self._limit_bps: float | None = None
        self._limited_at = 0.0
        self._target_bps: int | None = None

    @property
    def target_bps(self) -> int | None:
        """The latest target; None while nothing is known."""
        return self._target_bps

    def received(self, payload_bytes: int) -> None:
        """Count a frame of the host."""
        self._in_bytes += payload_bytes

    def sent(self, payload_bytes: int) -> None:
        """Count a filtered frame."""
        self._out_bytes += payload_bytes

    def choose(self, estimates_bps: Iterable[float], now: float) -> int | None:
        """Return a new target if it is time for one and it differs; call it often.

        Args:
            estimates_bps: What each viewer says it can receive; who says nothing is left out. Read
                only when it is time.
            now: Seconds.
        """
        if self._began_at is None:
            self._began_at = now
        elapsed_s = now - self._began_at
        if elapsed_s < INTERVAL_S:
            return None
        host_bps, sent_bps = (n * 8 / elapsed_s for n in (self._in_bytes, self._out_bytes))
        self._began_at, self._in_bytes, self._out_bytes = now, 0, 0
        if not host_bps:
            return None
        self._host_bps.append(host_bps)
        self._follow_viewers(_most(list(estimates_bps)), sent_bps, now)
        return self._news()

    def _follow_viewers(self, narrow_bps: float | None, sent_bps: float, now: float) -> None:
        is_short = narrow_bps is not None and narrow_bps < SHORT_OF * sent_bps
        self._short_for = self._short_for + 1 if is_short else 0
        if narrow_bps is not None and self._short_for >= SHORT_INTERVALS:
            self._limit_bps, self._limited_at = STEP_DOWN * narrow_bps, now
            return
        has_room = narrow_bps is None or narrow_bps >= HEADROOM * sent_bps
        if self._limit_bps is not None and has_room and now - self._limited_at >= HOLD_S:
            self._limit_bps *= STEP_UP
            if self._limit_bps > max(self._host_bps):
                self._limit_bps = None

    def _news(self) -> int | None:
        target_bps = max(self._host_bps)
        if self._limit_bps is not None:
            target_bps = min(target_bps, self._limit_bps)
        target_bps = max(FLOOR_BPS, target_bps)
        before = self._target_bps
        if before is not None and abs(target_bps - before) < WORTH_TELLING * before:
            return None
        self._target_bps = round(target_bps)
        return self._target_bps


def _most(estimates_bps: Sequence[float]) -> float | None:
    """What three quarters of the viewers can receive."""
    if not estimates_bps:
        return None
    return sorted(estimates_bps)[len(estimates_bps) // 4]
