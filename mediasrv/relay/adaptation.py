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
# An estimate that begins low, where nothing is lost and nothing waits, grows by 8 % a second.
STILL_GROWING = 1.08
# draft-ietf-rmcat-gcc-02 section 6: above is congestion.
LOSS_HIGH = 0.10
# Reports of what was sent before a change come for so long after it.
SETTLE_S = 2.0
# No radio link loses that much for two reports on end.
LOSS_EXTREME = 0.4
# What waits on a way that is full; jitter of radio links is less.
QUEUE_LONG_S = 0.15
HOLD_FIRST_S = 3.0
HOLD_MAX_S = 60.0
# A step that lasted so long was right.
PROVEN_S = 10.0
# What a rung may take of an estimate: encoders overshoot, and repairs take their share.
FIT = 0.9
# An estimate that has not grown for so long has met the width of the way.
PAD_PATIENCE_S = 5.0
# REMB grows to half above what is received, so a way that is not full shows this headroom.
HEADROOM = 1.15
LEAP_MAX = 2.0
# Below, even a small picture takes minutes.
PACE_MIN_BPS = 20_000.0
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

    Args:
        can_pad: Whether the viewer can be sent more than it needs.

    Attributes:
        rung: The present choice.
        is_starved: Whether even the lowest rung is too much.
        padded_bps: What to send more than the video, so that the estimate can grow; 0 for nothing.
    """

    def __init__(self, *, can_pad: bool = True) -> None:
        self.rung = BEST
        self.is_starved = False
        self.padded_bps = 0.0
        self._can_pad = can_pad
        self._estimate_bps: float | None = None
        self._estimated_at = 0.0
        self._loss = 0.0
        self._queueing_s = 0.0
        self._is_drowned = False
        # When the estimate became too low, and what it was.
        self._short_since: tuple[float, float] | None = None
        self._hold_s = HOLD_FIRST_S
        self._changed_at = 0.0
        # When the last change was a step up that is not proven yet.
        self._climbed_at: float | None = None
        # The highest estimate since padding began, and when it was seen.
        self._reached: tuple[float, float] | None = None
        # Whether fewer frames are not enough.
        self._needs_lower = False
        # What the way carried at the last step down.
        self._carried_bps = 0.0

    def estimated(self, bitrate_bps: float, now: float) -> None:
        """Take a REMB."""
        self._estimate_bps, self._estimated_at = bitrate_bps, now

    def lost(self, fraction: float, queueing_s: float) -> None:
        """Take the loss (0..1) of a receiver report on the video, and what waits on the way."""
        self._is_drowned = min(fraction, self._loss) >= LOSS_EXTREME
        self._loss, self._queueing_s = fraction, queueing_s

    def choose(self, ladder: Sequence[Rung], beside_bps: float, now: float) -> Rung:
        """Return what to send; while the viewer :attr:`is_starved`, what of it is possible.

        Args:
            ladder: What there is at present, the lowest first; at least one.
            beside_bps: What the sound takes of the way.
            now: Seconds.
        """
        costs_bps = [rung.rate_bps + beside_bps for rung in ladder]
        place = _place(ladder, self.rung)
        if ladder[place][:2] != self.rung[:2]:
            # The host sends something else than before.
            place = self._fitting(costs_bps[: place + 1], now)
        before = place
        # Then the way is full of padding. That ends now, and what is left may fit.
        is_overfilled = self.padded_bps > 0 and self._is_strained(costs_bps[place], now)
        if self.is_starved:
            is_smaller = ladder[0].quality > self.rung.quality
            if is_smaller or self._may_climb(costs_bps[0], now):
                self.is_starved = False
                self._changed_at = self._climbed_at = now
        elif self._is_short(costs_bps, place, now) and not is_overfilled:
            place = self._step_down(costs_bps, place, now)
        elif place + 1 < len(ladder) and self._may_climb(
            costs_bps[place + 1], now, present_bps=costs_bps[place]
        ):
            place += 1
            self._changed_at = self._climbed_at = now
        elif self._climbed_at is not None and not self._is_unproven(now):
            self._hold_s, self._climbed_at = HOLD_FIRST_S, None
        self.rung = ladder[place]
        self.padded_bps = 0.0
        if place == before and place + 1 < len(ladder) and not self.is_starved:
            self.padded_bps = self._padding_bps(costs_bps[place], costs_bps[place + 1], now)
        return self.rung

    def _fitting(self, costs_bps: Sequence[float], now: float) -> int:
        """Find the highest rung that fits; the lowest when none does."""
        carried_bps = self._carried(now)
        return max((i for i, cost in enumerate(costs_bps) if cost <= FIT * carried_bps), default=0)

    def _carried(self, now: float) -> float:
        """Return what the way carries, as far as that is known."""
        estimate = self._fresh_estimate(now)
        known = [] if estimate is None else [estimate]
        if now - self._changed_at < PROVEN_S or not known:
            known.append(self._carried_bps)
        return min(known)

    def pace_bps(self, beside_bps: float, now: float) -> float:
        """Return what a starved viewer's way carries beside the sound."""
        return max(PACE_MIN_BPS, FIT * self._carried(now) - beside_bps)

    def wished_qualities(self, best_bps: float, count: int, now: float) -> list[int]:
        """Return the qualities that would suit the viewer, whether the host sends them or not.

        Args:
            best_bps: What the host's best quality takes.
            count: Of qualities.
            now: Seconds.
        """
        if self.rung[:2] == BEST[:2] and not self.is_starved:
            self._needs_lower = False
        if not self._needs_lower:
            return [self.rung.quality]
        # Who is short of bandwidth may soon be shorter of it: the lowest is there by then.
        wished = [self.rung.quality, count - 1]
        better = self.rung.quality - 1
        if better > 0 and self._may_climb(best_bps / QUALITY_STEP**better, now):
            wished.append(better)
        return wished

    def _is_short(self, costs_bps: Sequence[float], place: int, now: float) -> bool:
        if now - self._changed_at < SETTLE_S:
            return False
        if self._is_congested(costs_bps, place, now):
            return True
        estimate = self._fresh_estimate(now)
        if estimate is None or not self._is_narrow(costs_bps[place], now):
            self._short_since = None
            return False
        since, at_first = self._short_since = self._short_since or (now, estimate)
        if now - since < SHORT_FOR_S:
            return False
        if self._has_room and estimate >= STILL_GROWING * at_first:
            self._short_since = now, estimate
            return False
        return True

    def _is_narrow(self, cost_bps: float, now: float) -> bool:
        estimate = self._fresh_estimate(now)
        return estimate is not None and estimate < SHORT_OF * cost_bps

    def _is_congested(self, costs_bps: Sequence[float], place: int, now: float) -> bool:
        """Tell whether much is lost, and because of what is sent.

        Losses alone may be those of a bad radio link, which fewer frames do not mend. REMB alone
        does not see a short queue that is always full, and says nothing for five seconds. Losses
        or a queue that begin with a step up come of it; on the lowest rung there is none to take
        back.
        """
        if self._is_drowned:
            return True
        if self._is_unproven(now) and place > 0:
            return self._is_strained(costs_bps[place], now)
        is_full = self._queueing_s >= QUEUE_LONG_S or self._is_narrow(costs_bps[place], now)
        return self._loss >= LOSS_HIGH and is_full

    def _is_strained(self, cost_bps: float, now: float) -> bool:
        """Tell whether packets are lost or wait, or have begun to, as the estimate has seen."""
        estimate = self._fresh_estimate(now)
        is_below = estimate is not None and estimate < cost_bps
        return not self._has_room or (is_below and self._queueing_s >= QUEUE_LONG_S / 2)

    def _is_unproven(self, now: float) -> bool:
        return self._climbed_at is not None and now - self._climbed_at <= PROVEN_S

    def _fresh_estimate(self, now: float) -> float | None:
        is_fresh = now - self._estimated_at <= ESTIMATE_FRESH_S
        return self._estimate_bps if is_fresh else None

    def _step_down(self, costs_bps: Sequence[float], place: int, now: float) -> int:
        """Go down by a rung; where much is lost to what fits, and to stills where nothing does."""
        is_congested = self._is_congested(costs_bps, place, now)
        self._needs_lower = self._needs_lower or is_congested or place == 0
        if place == 0 and not is_congested:
            return 0
        has_failed = self._is_unproven(now)
        self._changed_at, self._climbed_at, self._short_since = now, None, None
        estimate = self._fresh_estimate(now)
        arrived_bps = costs_bps[place] * (1 - self._loss if is_congested else 1)
        self._carried_bps = arrived_bps if estimate is None else min(arrived_bps, estimate)
        if is_congested and costs_bps[0] > self._carried_bps:
            self.is_starved = True
        if has_failed:
            self._wait_longer()
        if has_failed or not is_congested:
            # What was there before has proved itself; and a browser may be busy, not its way full.
            return max(0, place - 1)
        return self._fitting(costs_bps[:place], now)

    def _may_climb(self, cost_bps: float, now: float, present_bps: float | None = None) -> bool:
        if now - self._changed_at < self._hold_s or not self._has_room:
            return False
        estimate = self._fresh_estimate(now)
        if estimate is None:
            # Nothing but trying can tell; a leap would cost a freeze too many.
            return present_bps is None or cost_bps <= LEAP_MAX * present_bps
        if cost_bps <= FIT * estimate:
            return True
        # Without padding, a way that is not full says no more than that.
        can_try = present_bps is not None and not self._can_pad
        return can_try and present_bps is not None and estimate >= HEADROOM * present_bps

    @property
    def _has_room(self) -> bool:
        return self._loss < LOSS_HIGH and self._queueing_s < QUEUE_LONG_S

    def _padding_bps(self, present_bps: float, next_bps: float, now: float) -> float:
        """Return what fills the way up to the estimate, for as long as that makes it grow."""
        estimate = self._fresh_estimate(now)
        may_try = now - self._changed_at >= self._hold_s and self._has_room
        if estimate is None or not may_try or not self._can_pad:
            self._reached = None
        elif self._reached is None or estimate > self._reached[0]:
            self._reached = (estimate, now)
        elif now - self._reached[1] > PAD_PATIENCE_S:
            self._wait_longer()
            self._changed_at, self._reached = now, None
        if self._reached is None or estimate is None:
            return 0.0
        return max(0.0, min(next_bps / FIT, estimate) - present_bps)

    def _wait_longer(self) -> None:
        self._hold_s = min(HOLD_MAX_S, self._hold_s * 2)


def _place(ladder: Sequence[Rung], rung: Rung) -> int:
    """Find the highest rung that is not above ``rung``; the lowest when all are."""
    below = [
        i for i, r in enumerate(ladder) if (-r.quality, r.layer) <= (-rung.quality, rung.layer)
    ]
    return max(below, default=0)
