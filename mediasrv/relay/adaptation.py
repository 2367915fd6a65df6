"""What a viewer gets of the video: fewer frames or a smaller picture instead of freezes.

Judged by what the viewer's browser says: REMB, its estimate of what its way carries, and the losses
in its receiver reports. Down at once, to what fits; up one rung at a time, once the estimate says
that the next one fits too. An estimate grows only with what is received, so a viewer below the top
is sent more than it needs, up to its estimate (:attr:`RungChooser.padded_bps`): trying a rung that
is too much would cost a freeze.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mediasrv.relay.forwarder import ALL_LAYERS

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
# What a rung may take of an estimate: encoders overshoot, and repairs take their share.
FIT = 0.9
# An estimate that has not grown for so long has met the width of the way.
PAD_PATIENCE_S = 5.0
# Halving width and height takes about so much of the bits away.
QUALITY_STEP = 4.0


class Rung(NamedTuple):
    """One way to send the video: a quality, and the highest temporal layer of it.

    ``quality`` counts down from the host's best one, which is 0; ``rate_bps`` is measured.
    """

    quality: int
    layer: int
    rate_bps: float


BEST = Rung(0, ALL_LAYERS, 0.0)


def ladder_of(rates_bps: Sequence[Sequence[float]]) -> list[Rung]:
    """Return the rungs that a viewer may be on, the lowest first.

    Args:
        rates_bps: By quality from the best one down, and by layer, what it takes together with the
            layers below; 0 where nothing comes.
    """
    ladder: list[Rung] = []
    for quality in reversed(range(len(rates_bps))):
        layers = [i for i, rate in enumerate(rates_bps[quality]) if rate > 0]
        # The base layer alone is 7.5 frames per second: a smaller picture that moves is better.
        if ladder and len(layers) > 1:
            layers = layers[1:]
        for layer in layers:
            shown = ALL_LAYERS if layer == layers[-1] else layer
            ladder.append(Rung(quality, shown, rates_bps[quality][layer]))
    return ladder


class RungChooser:
    """Choose a viewer's rung.

    Attributes:
        rung: The present choice.
        padded_bps: What to send more than the video, so that the estimate can grow; 0 for nothing.
    """

    def __init__(self) -> None:
        self.rung = BEST
        self.padded_bps = 0.0
        self._estimate_bps: float | None = None
        self._estimated_at = 0.0
        self._loss = 0.0
        self._short_since: float | None = None
        self._hold_s = HOLD_FIRST_S
        self._changed_at = 0.0
        # When the last change was a step up that is not proven yet.
        self._climbed_at: float | None = None
        # The highest estimate since padding began, and when it was seen.
        self._reached: tuple[float, float] | None = None

    def estimated(self, bitrate_bps: float, now: float) -> None:
        """Take a REMB."""
        self._estimate_bps, self._estimated_at = bitrate_bps, now

    def lost(self, fraction: float) -> None:
        """Take the loss (0..1) of a receiver report on the video."""
        self._loss = fraction

    def choose(self, ladder: Sequence[Rung], beside_bps: float, now: float) -> Rung:
        """Return what to send.

        Args:
            ladder: What there is at present, the lowest first; at least one.
            beside_bps: What the sound takes of the way.
            now: Seconds.
        """
        place = _place(ladder, self.rung)
        taken_bps = ladder[place].rate_bps + beside_bps
        if self._is_short(taken_bps, now):
            place = self._step_down(ladder, place, beside_bps, now)
        elif place + 1 < len(ladder) and self._may_climb(ladder[place + 1], beside_bps, now):
            place += 1
            self._changed_at = self._climbed_at = now
        elif self._climbed_at is not None and now - self._climbed_at > PROVEN_S:
            self._hold_s, self._climbed_at = HOLD_FIRST_S, None
        self.rung = ladder[place]
        self._pad(ladder, place, beside_bps, now)
        return self.rung

    def wished_quality(self, best_bps: float, count: int, now: float) -> int:
        """Return the quality that would suit the viewer, whether the host sends it or not.

        Args:
            best_bps: What the host's best quality takes.
            count: Of qualities.
            now: Seconds.
        """
        estimate = self._fresh_estimate(now)
        if self.rung[:2] == BEST[:2] or estimate is None:
            return self.rung.quality
        expected = [best_bps / QUALITY_STEP**quality for quality in range(count)]
        return next((q for q in range(count) if expected[q] <= FIT * estimate), count - 1)

    def _is_short(self, rate_bps: float, now: float) -> bool:
        estimate = self._fresh_estimate(now)
        is_lossy = self._loss >= LOSS_HIGH
        too_narrow = estimate is not None and estimate < SHORT_OF * rate_bps
        if not too_narrow and not is_lossy:
            self._short_since = None
            return False
        if self._short_since is None:
            self._short_since = now
        # Losses alone may be those of a bad radio link, which fewer frames do not mend.
        if is_lossy and estimate is not None and estimate < rate_bps:
            return True
        return too_narrow and now - self._short_since >= SHORT_FOR_S

    def _fresh_estimate(self, now: float) -> float | None:
        is_fresh = now - self._estimated_at <= ESTIMATE_FRESH_S
        return self._estimate_bps if is_fresh else None

    def _step_down(self, ladder: Sequence[Rung], place: int, beside_bps: float, now: float) -> int:
        if place == 0:
            return 0  # there is nothing to leave out, maybe because there is one rung only
        if self._climbed_at is not None and now - self._climbed_at <= PROVEN_S:
            self._hold_s = min(HOLD_MAX_S, self._hold_s * 2)
        self._changed_at, self._climbed_at = now, None
        self._short_since = None
        estimate = self._estimate_bps or 0.0
        fitting = [i for i in range(place) if _fits(ladder[i], beside_bps, estimate)]
        return max(fitting, default=0)

    def _may_climb(self, next_rung: Rung, beside_bps: float, now: float) -> bool:
        if now - self._changed_at < self._hold_s or self._loss > LOSS_LOW:
            return False
        estimate = self._fresh_estimate(now)
        return estimate is None or _fits(next_rung, beside_bps, estimate)

    def _pad(self, ladder: Sequence[Rung], place: int, beside_bps: float, now: float) -> None:
        """Fill the way up to the estimate, for as long as that makes it grow."""
        self.padded_bps = 0.0
        estimate = self._fresh_estimate(now)
        may_try = now - self._changed_at >= self._hold_s and self._loss <= LOSS_LOW
        if place + 1 == len(ladder) or estimate is None or not may_try:
            self._reached = None
            return
        if self._reached is None or estimate > self._reached[0]:
            self._reached = (estimate, now)
        elif now - self._reached[1] > PAD_PATIENCE_S:
            self._wait_longer(now)
            return
        taken_bps = ladder[place].rate_bps + beside_bps
        wanted_bps = (ladder[place + 1].rate_bps + beside_bps) / FIT
        self.padded_bps = max(0.0, min(wanted_bps, estimate) - taken_bps)

    def _wait_longer(self, now: float) -> None:
        self._hold_s = min(HOLD_MAX_S, self._hold_s * 2)
        self._changed_at = now


def _place(ladder: Sequence[Rung], rung: Rung) -> int:
    """Find the highest rung that is not above ``rung``; the lowest when all are."""
    below = [
        i for i, r in enumerate(ladder) if (-r.quality, r.layer) <= (-rung.quality, rung.layer)
    ]
    return max(below, default=0)


def _fits(rung: Rung, beside_bps: float, estimate_bps: float) -> bool:
    return rung.rate_bps + beside_bps <= FIT * estimate_bps
