"""What a viewer gets of the video while its way is too narrow, in virtual time."""

import pytest

from mediasrv.relay.adaptation import (
    BEST,
    ESTIMATE_FRESH_S,
    FIT,
    HOLD_FIRST_S,
    LOSS_EXTREME,
    LOSS_HIGH,
    PACE_MIN_BPS,
    PROVEN_S,
    QUEUE_LONG_S,
    SETTLE_S,
    SHORT_FOR_S,
    SHORT_OF,
    Rung,
    RungChooser,
    ladder_of,
)
from mediasrv.relay.forwarder import ALL_LAYERS
from tests.unit.mediasrv.relay.narrow_ways import (
    EPSILON,
    LADDER,
    ONE_RUNG,
    QUALITIES,
    RATES,
    SIMULCAST,
    START,
    Way,
    places,
    told,
)

# The ladder


def test_a_rung_is_a_layer_with_those_below_and_the_last_one_is_everything():
    assert [
        Rung(0, 0, 600_000.0),
        Rung(0, 1, 900_000.0),
        Rung(0, ALL_LAYERS, 1_500_000.0),
    ] == LADDER
    assert [Rung(0, ALL_LAYERS, 1_500_000.0)] == ONE_RUNG


def test_lower_qualities_come_first_and_stand_in_for_the_base_layers_of_better_ones():
    assert [rung[:2] for rung in SIMULCAST] == [
        (2, 0),
        (2, 1),
        (2, ALL_LAYERS),
        (1, 1),
        (1, ALL_LAYERS),
        (0, 1),
        (0, ALL_LAYERS),
    ]


def test_a_quality_that_nothing_comes_of_has_no_rungs():
    ladder = ladder_of([QUALITIES[0], [0.0] * 4, QUALITIES[2]])
    assert {rung.quality for rung in ladder} == {0, 2}
    assert ladder_of([[0.0] * 4, [0.0] * 4]) == []


def test_a_better_quality_in_one_layer_is_a_rung():
    ladder = ladder_of([[1e6, 0.0, 0.0, 0.0], QUALITIES[2]])
    assert ladder[-1] == Rung(0, ALL_LAYERS, 1e6)


# Down


def test_everything_is_sent_at_first_and_to_who_says_nothing():
    chooser = RungChooser()
    assert chooser.rung == BEST
    rungs = [chooser.choose(LADDER, 0.0, START + i) for i in range(60)]
    assert rungs == [LADDER[-1]] * 60
    assert chooser.padded_bps == 0


def test_a_wide_way_keeps_everything():
    way = Way(3_000_000)
    way.run(60)
    assert {place for _, place in way.history} == {2}


@pytest.mark.parametrize(("width_bps", "layer"), [(1_100_000, 1), (750_000, 0)])
def test_a_narrow_way_loses_layers_until_the_rest_fits(width_bps, layer):
    way = Way(width_bps)
    way.run(6)
    assert way.rung == (0, layer)


@pytest.mark.parametrize(
    ("width_bps", "rung"),
    [
        (2_000_000, (0, 1)),
        (1_200_000, (1, ALL_LAYERS)),
        (400_000, (1, 1)),
        (300_000, (2, ALL_LAYERS)),
        (130_000, (2, 1)),
    ],
)
def test_where_there_are_qualities_the_best_one_that_fits_is_taken(width_bps, rung):
    way = Way(width_bps, SIMULCAST)
    way.run(4)
    assert way.rung == rung
    assert not way.chooser.is_starved


def test_a_dip_of_the_estimate_that_is_over_within_two_seconds_changes_nothing():
    chooser = told(100_000)
    assert chooser.choose(LADDER, 0.0, START) == LADDER[-1]
    chooser.estimated(100_000, START + SHORT_FOR_S - EPSILON)
    assert chooser.choose(LADDER, 0.0, START + SHORT_FOR_S - EPSILON) == LADDER[-1]
    chooser.estimated(3_000_000, START + 1.9)
    assert chooser.choose(LADDER, 0.0, START + 1.9) == LADDER[-1]
    chooser.estimated(100_000, START + 2.5)
    assert chooser.choose(LADDER, 0.0, START + 2.5) == LADDER[-1]


def test_it_goes_down_when_the_way_was_too_narrow_for_two_seconds():
    chooser = told(SHORT_OF * RATES[2] - 1)
    assert chooser.choose(LADDER, 0.0, START) == LADDER[-1]
    assert chooser.choose(LADDER, 0.0, START + SHORT_FOR_S) == LADDER[1]


def rungs_while_growing(per_second, loss=0.0, queueing_s=0.0):
    """The places of a viewer whose estimate begins at a third, and grows by a factor."""
    chooser = told(RATES[2] / 3, loss, queueing_s)
    seen = []
    for i in range(8):
        chooser.estimated(RATES[2] / 3 * per_second**i, START + i)
        seen.append(LADDER.index(chooser.choose(LADDER, 0.0, START + i)))
    return seen


def test_an_estimate_that_begins_low_and_grows_on_a_clear_way_takes_nothing():
    assert rungs_while_growing(1.08) == [2] * 8


def test_one_that_grows_too_slowly_or_while_packets_wait_counts():
    assert rungs_while_growing(1.03)[2] == 1
    assert rungs_while_growing(1.08, queueing_s=QUEUE_LONG_S)[2] == 1


def climbed():
    """A chooser that has just gone up by a rung, without an estimate, at START."""
    chooser = told(None, 0.3, 1.0)
    chooser.choose(LADDER, 0.0, START - 20)
    chooser.lost(0.0, 0.0)
    assert chooser.choose(LADDER, 0.0, START) == LADDER[2]
    return chooser


@pytest.mark.parametrize(
    ("loss", "queueing_s", "after"),
    [(LOSS_HIGH, 0.0, 1), (0.0, QUEUE_LONG_S, 1), (LOSS_HIGH - EPSILON, 0.0, 2)],
)
def test_losses_or_a_queue_right_after_a_step_up_take_it_back(loss, queueing_s, after):
    chooser = climbed()
    chooser.lost(loss, queueing_s)
    assert chooser.choose(LADDER, 0.0, START + SETTLE_S) == LADDER[after]


def test_what_padding_fills_up_is_taken_back_by_the_padding_first():
    chooser = told(None, LOSS_HIGH, QUEUE_LONG_S)
    chooser.padded_bps = 100_000.0
    assert chooser.choose(LADDER, 0.0, START) == LADDER[2]
    assert chooser.padded_bps == 0
    assert chooser.choose(LADDER, 0.0, START + 1) == LADDER[1]


def test_a_step_up_is_taken_back_when_packets_begin_to_wait_and_the_estimate_knows():
    chooser = climbed()
    chooser.estimated(RATES[2] - 1, START + SETTLE_S)
    chooser.lost(0.0, QUEUE_LONG_S / 2)
    assert chooser.choose(LADDER, 0.0, START + SETTLE_S) == LADDER[1]


def test_a_step_up_that_has_proved_itself_is_not_taken_back_for_losses_alone():
    chooser = climbed()
    chooser.choose(LADDER, 0.0, START + PROVEN_S + EPSILON)
    chooser.lost(LOSS_HIGH, 0.0)
    assert chooser.choose(LADDER, 0.0, START + PROVEN_S + 1) == LADDER[2]


def test_an_estimate_just_wide_enough_keeps_everything():
    assert places(told(SHORT_OF * RATES[2])) == [2] * 5


def test_it_goes_down_at_once_when_losses_agree_with_the_estimate():
    assert places(told(700_000, LOSS_HIGH), 1) == [0]


def test_it_goes_down_at_once_when_much_is_lost_and_the_rest_comes_late():
    """REMB takes five seconds to say anything, and then cannot see a queue that is always full."""
    assert places(told(None, 0.4, QUEUE_LONG_S), 1) == [0]
    assert places(told(5_000_000, 0.3, QUEUE_LONG_S), 1) == [1]


def test_losses_alone_take_nothing():
    assert places(told(3_000_000, 0.5)) == [2] * 5
    assert places(told(None, 0.5, QUEUE_LONG_S - EPSILON)) == [2] * 5


def test_two_reports_of_losses_that_no_radio_link_makes_are_enough():
    """Of a way that was full from the start nobody knows how short it is when it is empty."""
    chooser = told(None, LOSS_EXTREME)
    assert places(chooser, 1) == [2]
    chooser.lost(LOSS_EXTREME, 0.0)
    assert places(chooser, 1) == [0]
    after_a_blackout = told(None, 0.9)
    after_a_blackout.lost(LOSS_EXTREME - EPSILON, 0.0)
    assert places(after_a_blackout) == [2] * 5


def test_what_comes_late_alone_takes_nothing():
    assert places(told(None, LOSS_HIGH - EPSILON, 1.0)) == [2] * 5


def test_an_old_estimate_takes_nothing():
    assert places(told(100_000), start=START + ESTIMATE_FRESH_S + EPSILON) == [2] * 5


def test_where_there_is_one_rung_a_narrow_estimate_takes_nothing():
    chooser = told(100_000)
    for i in range(5):
        chooser.estimated(100_000, START + i)
        assert chooser.choose(ONE_RUNG, 0.0, START + i) == ONE_RUNG[0]
    assert not chooser.is_starved


def test_reports_of_what_was_sent_before_a_change_are_waited_out():
    chooser = told(None, 0.2, 1.0)
    assert places(chooser, 1) == [1]
    chooser.lost(0.5, 1.0)
    assert chooser.choose(LADDER, 0.0, START + SETTLE_S - EPSILON) == LADDER[1]
    assert chooser.choose(LADDER, 0.0, START + SETTLE_S) == LADDER[0]


def test_the_sound_has_its_share_of_the_way():
    chooser = told(1_010_000, LOSS_HIGH, 1.0)
    assert chooser.choose(LADDER, 50_000.0, START) == LADDER[0]
    assert told(1_100_000, LOSS_HIGH, 1.0).choose(LADDER, 50_000.0, START) == LADDER[1]


# Nothing fits


def test_who_cannot_take_the_lowest_rung_is_starved_at_once():
    chooser = told(None, 0.9, 1.0)
    assert chooser.choose(LADDER, 0.0, START) == LADDER[0]
    assert chooser.is_starved
    assert chooser.pace_bps(50_000, START) == pytest.approx(FIT * 150_000 - 50_000)
    assert chooser.pace_bps(500_000, START) == PACE_MIN_BPS
    assert chooser.padded_bps == 0


def test_a_single_rung_that_is_too_much_starves_as_well():
    chooser = told(300_000, 0.8, 1.0, ONE_RUNG)
    assert chooser.choose(ONE_RUNG, 0.0, START) == ONE_RUNG[0]
    assert chooser.is_starved


def test_a_starved_viewer_gets_frames_again_when_its_estimate_says_so():
    chooser = told(None, 0.9, 1.0)
    chooser.choose(LADDER, 0.0, START)
    chooser.lost(0.0, 0.0)
    later = START + HOLD_FIRST_S
    chooser.estimated(RATES[0] / FIT - 1, later)
    chooser.choose(LADDER, 0.0, later)
    assert chooser.is_starved
    chooser.estimated(RATES[0] / FIT + 1, later)
    assert chooser.choose(LADDER, 0.0, later) == LADDER[0]
    assert not chooser.is_starved


def test_a_starved_viewer_takes_a_lower_quality_as_soon_as_there_is_one():
    best = ladder_of(QUALITIES[:1])
    chooser = told(None, 0.9, 1.0, best)
    chooser.choose(best, 0.0, START)
    assert chooser.is_starved
    assert chooser.choose(SIMULCAST, 0.0, START + 1)[:2] == (2, ALL_LAYERS)
    assert not chooser.is_starved


def test_when_its_quality_stops_a_viewer_takes_what_fits_of_the_rest():
    way = Way(700_000, SIMULCAST)
    way.run(12)
    assert way.chooser.rung.quality == 1
    way.ladder = ladder_of([QUALITIES[0], [0.0] * 4, QUALITIES[2]])
    way.run(1)
    assert way.rung == (2, ALL_LAYERS)
    best_is_gone = ladder_of([[0.0] * 4, QUALITIES[1]])
    assert RungChooser().choose(best_is_gone, 0.0, START).quality == 1
