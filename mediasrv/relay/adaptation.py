"""How many temporal layers a viewer gets: fewer frames instead of freezes.

Judged by what the viewer's browser says: REMB, its estimate of what its way carries, and the losses
in its receiver reports. Down at once, up with hysteresis: a step up that fails makes the next one
wait longer.
"""

from collections.abc import Sequence

# An estimate that is older tells nothing.
ESTIMATE_FRESH_S = 5.0
# Estimators dip for a moment whenever a browser is busy; a way that is too narrow stays so.
SHORT_OF = 0.7
SHORT_FOR_S = 2.0
# draft-ietf-rmcat-gcc-02 section 6: above is congestion, below is noise.
LOSS_HIGH = 0.10
LOSS_LOW = 0.02
HOLD_FIRST_S = 3.0
HOLD_MAX_S = 60.0
# A step that lasted so long was right.
PROVEN_S = 10.0
# REMB grows to half above what is received, so a wide way shows at least this headroom.
HEADROOM = 1.15


class LayerChooser:
    """Choose a viewer's highest temporal layer.

    Attributes:
        layer: The present choice; ``layers - 1`` is everything.
    """

    def __init__(self, layers: int) -> None:
        self.layer = layers - 1
        self._top = layers - 1
        self._estimate_bps: float | None = None
        self._estimated_at = 0.0
        self._loss = 0.0
        self._short_since: float | None = None
        self._hold_s = HOLD_FIRST_S
        self._changed_at = 0.0
        # When the last change was a step up that is not proven yet.
        self._climbed_at: float | None = None

    def estimated(self, bitrate_bps: float, now: float) -> None:
        """Take a REMB."""
        self._estimate_bps, self._estimated_at = bitrate_bps, now

    def lost(self, fraction: float) -> None:
        """Take the loss (0..1) of a receiver report on the video."""
        self._loss = fraction

    def choose(self, rates_bps: Sequence[float], now: float) -> int:
        """Return the highest layer to send.

        Args:
            rates_bps: By layer, what it takes together with those below.
            now: Seconds.
        """
        top = max((i for i, rate in enumerate(rates_bps) if rate > 0), default=self._top)
        present = min(self.layer, top)
        if self._is_short(rates_bps[present], now):
            self._step_down(present, now)
        elif self.layer < self._top and self._may_climb(rates_bps, present, now):
            self.layer = self._top if present + 1 >= top else present + 1
            self._changed_at = self._climbed_at = now
        elif self._climbed_at is not None and now - self._climbed_at > PROVEN_S:
            self._hold_s, self._climbed_at = HOLD_FIRST_S, None
        return self.layer

    def _is_short(self, rate_bps: float, now: float) -> bool:
        estimate = self._fresh_estimate(now)
        too_narrow = estimate is not None and estimate < SHORT_OF * rate_bps
        if not too_narrow and self._loss < LOSS_HIGH:
            self._short_since = None
            return False
        if self._short_since is None:
            self._short_since = now
        both = too_narrow and self._loss >= LOSS_HIGH
        # Losses alone may be those of a bad radio link, which fewer frames do not mend.
        return both or (too_narrow and now - self._short_since >= SHORT_FOR_S)

    def _fresh_estimate(self, now: float) -> float | None:
        is_fresh = now - self._estimated_at <= ESTIMATE_FRESH_S
        return self._estimate_bps if is_fresh else None

    def _step_down(self, present: int, now: float) -> None:
        if present == 0:
            return  # there is nothing to leave out, maybe because there is one layer only
        if self._climbed_at is not None and now - self._climbed_at <= PROVEN_S:
            self._hold_s = min(HOLD_MAX_S, self._hold_s * 2)
        self.layer = present - 1
        self._changed_at, self._climbed_at = now, None
        self._short_since = None

    def _may_climb(self, rates_bps: Sequence[float], present: int, now: float) -> bool:
        if now - self._changed_at < self._hold_s or self._loss > LOSS_LOW:
            return False
        estimate = self._fresh_estimate(now)
        return estimate is None or estimate >= HEADROOM * rates_bps[present]
