"""How often a viewer that cannot be sent to may cost the host a keyframe."""

# The first loss is mended at once. A viewer that loses the keyframe as well has no room or no
# route; each keyframe costs all the others quality, so it waits twice as long every time.
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 16.0
# Losses further apart than this have nothing to do with each other.
FORGOTTEN_AFTER_S = 2 * LONGEST_WAIT_S


class Patience:
    """Tells when a viewer who waits may ask for a keyframe."""

    __slots__ = ("_losses", "_lost_at", "_wait_s")

    def __init__(self) -> None:
        self._losses = 0
        self._lost_at = 0.0
        self._wait_s = 0.0

    def may_ask(self, losses: int, now: float) -> bool:
        """Tell whether a viewer of whom ``losses`` sends have failed so far may ask now."""
        if losses != self._losses:
            self._lose(now, is_first=self._losses == 0)
            self._losses = losses
        return now >= self._lost_at + self._wait_s

    def _lose(self, now: float, *, is_first: bool) -> None:
        if is_first or now - self._lost_at > FORGOTTEN_AFTER_S:
            self._wait_s = 0.0
        else:
            self._wait_s = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, 2 * self._wait_s))
        self._lost_at = now
