"""How many layers a viewer gets, in virtual time."""

from itertools import pairwise

import pytest

from mediasrv.relay.adaptation import (
    ESTIMATE_FRESH_S,
    HEADROOM,
    HOLD_FIRST_S,
    HOLD_MAX_S,
    LOSS_HIGH,
    LOSS_LOW,
    PROVEN_S,
    SHORT_FOR_S,
    SHORT_OF,
    LayerChooser,
)

ALL = 3
# L1T3 at 1.5 Mb/s: what each layer takes together with those below.
RATES = [600_000.0, 900_000.0, 1_500_000.0, 0.0]
ONE_LAYER = [1_500_000.0, 0.0, 0.0, 0.0]
SECOND = 1.0


class Way:
    """A viewer behind a way of some width; its browser says what it believes once a second."""

    def __init__(self, width_bps, rates=RATES):
        self.chooser = LayerChooser(4)
        self.width_bps = width_bps
        self.rates = rates
        self.now = 100.0
        self.layer = ALL
        self.history = []

    def sent_bps(self):
        return max(rate for rate in self.rates[: self.layer + 1])

    def run(self, seconds):
        for _ in range(seconds):
            self.now += SECOND
            # REMB follows what arrives: half more on a good way, the width on a narrow one.
            self.chooser.estimated(min(self.width_bps, 1.5 * self.sent_bps()), self.now)
            self.layer = self.chooser.choose(self.rates, self.now)
            self.history.append((self.now, self.layer))

    def climbs(self):
        layers = [layer for _, layer in self.history]
        times = [at for at, _ in self.history]
        return [at for at, a, b in zip(times[1:], layers, layers[1:], strict=False) if b > a]


def test_everything_is_sent_at_first_and_to_who_says_nothing():
    chooser = LayerChooser(4)
    assert chooser.layer == ALL
    assert [chooser.choose(RATES, 100.0 + i) for i in range(60)] == [ALL] * 60


def test_a_wide_way_keeps_everything():
    way = Way(3_000_000)
    way.run(60)
    assert {layer for _, layer in way.history} == {ALL}


@pytest.mark.parametrize(("width_bps", "layer"), [(1_000_000, 1), (600_000, 0), (100_000, 0)])
def test_a_narrow_way_loses_layers_until_the_rest_fits(width_bps, layer):
    way = Way(width_bps)
    way.run(8)
    assert way.layer == layer


def test_a_dip_of_the_estimate_that_is_over_within_a_second_changes_nothing():
    chooser = LayerChooser(4)
    chooser.estimated(100_000, 100.0)
    assert chooser.choose(RATES, 100.0) == ALL
    chooser.estimated(100_000, 100.0 + SHORT_FOR_S - 0.01)
    assert chooser.choose(RATES, 100.0 + SHORT_FOR_S - 0.01) == ALL
    chooser.estimated(3_000_000, 101.0)
    assert chooser.choose(RATES, 101.0) == ALL
    chooser.estimated(100_000, 101.5)
    assert chooser.choose(RATES, 101.5) == ALL


def test_a_layer_goes_when_the_way_was_too_narrow_for_a_second():
    chooser = LayerChooser(4)
    chooser.estimated(SHORT_OF * RATES[2] - 1, 100.0)
    assert chooser.choose(RATES, 100.0) == ALL
    assert chooser.choose(RATES, 100.0 + SHORT_FOR_S) == 1


def test_an_estimate_just_wide_enough_keeps_everything():
    chooser = LayerChooser(4)
    chooser.estimated(SHORT_OF * RATES[2], 100.0)
    assert [chooser.choose(RATES, 100.0 + i) for i in range(5)] == [ALL] * 5


def test_a_layer_goes_at_once_when_losses_agree_with_the_estimate():
    chooser = LayerChooser(4)
    chooser.estimated(100_000, 100.0)
    chooser.lost(LOSS_HIGH)
    assert chooser.choose(RATES, 100.0) == 1


def test_losses_alone_take_no_layer():
    chooser = LayerChooser(4)
    chooser.lost(0.5)
    chooser.estimated(3_000_000, 100.0)
    assert [chooser.choose(RATES, 100.0 + i) for i in range(5)] == [ALL] * 5


def test_an_old_estimate_takes_no_layer():
    chooser = LayerChooser(4)
    chooser.estimated(100_000, 100.0)
    began = 100.0 + ESTIMATE_FRESH_S + 0.01
    assert [chooser.choose(RATES, began + i) for i in range(5)] == [ALL] * 5


def test_where_there_is_one_layer_nothing_is_taken():
    way = Way(100_000, ONE_LAYER)
    way.run(60)
    assert {layer for _, layer in way.history} == {ALL}


def test_the_base_layer_always_stays():
    way = Way(1000)
    way.run(60)
    assert way.layer == 0


def climbing(estimate_bps=3_000_000, loss=0.0, since=HOLD_FIRST_S):
    chooser = LayerChooser(4)
    chooser.estimated(100_000, 100.0)
    chooser.lost(1.0)
    assert chooser.choose(RATES, 100.0) == 1
    chooser.lost(loss)
    now = 100.0 + since
    if estimate_bps is not None:
        chooser.estimated(estimate_bps, now)
    else:
        now += ESTIMATE_FRESH_S
    return chooser.choose(RATES, now)


def test_it_climbs_after_the_hold_with_headroom_and_without_loss():
    assert climbing() == ALL
    assert climbing(since=HOLD_FIRST_S - 0.01) == 1
    assert climbing(loss=LOSS_LOW) == ALL
    assert climbing(loss=LOSS_LOW + 0.001) == 1
    assert climbing(HEADROOM * RATES[1]) == ALL
    assert climbing(HEADROOM * RATES[1] - 1) == 1
    assert climbing(None) == ALL


def test_from_the_bottom_it_climbs_one_layer_at_a_time():
    way = Way(100_000)
    way.run(8)
    assert way.layer == 0
    way.width_bps = 10_000_000
    way.run(30)
    steps = [b for (_, a), (_, b) in pairwise(way.history) if a != b]
    assert steps == [1, 0, 1, ALL]


def test_a_step_up_that_fails_makes_the_next_wait_longer_up_to_a_minute():
    # Wide enough that the browser believes in more, too narrow for everything.
    way = Way(1_040_000)
    way.run(600)
    climbs = way.climbs()
    waits = [b - a for a, b in pairwise(climbs)]
    assert waits == sorted(waits)
    assert waits[0] <= 3 * HOLD_FIRST_S
    assert HOLD_MAX_S <= waits[-1] <= HOLD_MAX_S + 5
    assert len(climbs) < 16


def test_a_step_up_that_lasts_makes_the_next_wait_short_again():
    way = Way(1_040_000)
    way.run(120)
    way.width_bps = 10_000_000
    way.run(int(HOLD_MAX_S + PROVEN_S) + 10)
    assert way.layer == ALL
    way.width_bps = 1_040_000
    way.run(4)
    assert way.layer == 1
    way.width_bps = 10_000_000
    before = way.now
    way.run(20)
    assert 0 < way.climbs()[-1] - before <= HOLD_FIRST_S + 1


def test_going_down_twice_in_a_row_is_no_failed_step_up():
    way = Way(100_000)
    way.run(8)
    assert way.layer == 0
    way.width_bps = 10_000_000
    fell = [at for (at, a), (_, b) in pairwise(way.history) if a > b][-1]
    way.run(20)
    assert way.climbs()[0] - fell <= HOLD_FIRST_S + 2
