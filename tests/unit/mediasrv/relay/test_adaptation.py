"""What a viewer gets of the video, in virtual time."""

from itertools import pairwise

import pytest

from mediasrv.relay.adaptation import (
    BEST,
    ESTIMATE_FRESH_S,
    FIT,
    HEADROOM,
    HOLD_FIRST_S,
    HOLD_MAX_S,
    LOSS_EXTREME,
    LOSS_HIGH,
    PACE_MIN_BPS,
    PAD_PATIENCE_S,
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

# L1T3 at 1.5 Mb/s: what each layer takes together with those below.
RATES = [600_000.0, 900_000.0, 1_500_000.0, 0.0]
LADDER = ladder_of([RATES])
ONE_RUNG = ladder_of([[1_500_000.0, 0.0, 0.0, 0.0]])
QUALITIES = [
    [1_000_000.0, 1_500_000.0, 2_500_000.0, 0.0],
    [200_000.0, 300_000.0, 500_000.0, 0.0],
    [60_000.0, 90_000.0, 150_000.0, 0.0],
]
SIMULCAST = ladder_of(QUALITIES)
SECOND = 1.0
EPSILON = 1e-6
START = 100.0


class Way:
    """A viewer behind a way of some width with a short queue, and what its browser says.

    REMB grows by 8 % a second up to half more than what is received, and comes down where packets
    wait; where more is sent than fits, the rest is lost.
    """

    def __init__(self, width_bps, ladder=LADDER, **settings):
        self.chooser = RungChooser(**settings)
        self.width_bps = width_bps
        self.ladder = ladder
        self.now = START
        self.history = []
        self.estimate_bps = None
        self.wished = []

    def sent_bps(self):
        if self.chooser.is_starved:
            return self.chooser.pace_bps(0.0, self.now)
        present = self.chooser.rung if self.history else self.ladder[-1]
        return present.rate_bps + self.chooser.padded_bps

    def run(self, seconds):
        for _ in range(seconds):
            self.now += SECOND
            sent_bps = self.sent_bps()
            received_bps = min(sent_bps, self.width_bps)
            before = self.estimate_bps or 1.5 * received_bps
            self.estimate_bps = max(before, min(1.08 * before, 1.5 * received_bps))
            if sent_bps > self.width_bps:
                self.estimate_bps = 0.85 * self.width_bps
            self.chooser.lost(1 - received_bps / sent_bps, 0.5 * (sent_bps > self.width_bps))
            self.chooser.estimated(self.estimate_bps, self.now)
            rung = self.chooser.choose(self.ladder, 0.0, self.now)
            self.history.append((self.now, self.ladder.index(rung)))
            self.wished.append(self.chooser.wished_qualities(2_500_000, 3, self.now))

    @property
    def rung(self):
        return self.chooser.rung[:2]

    def climbs(self):
        return [at for (_, a), (at, b) in pairwise(self.history) if b > a]


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


def told(estimate_bps=None, loss=0.0, queueing_s=0.0, ladder=LADDER):
    """A chooser on the top of its ladder that has just been told something."""
    chooser = RungChooser()
    chooser.choose(ladder, 0.0, START - 50)
    if estimate_bps is not None:
        chooser.estimated(estimate_bps, START)
    chooser.lost(loss, queueing_s)
    return chooser


def places(chooser, seconds=5, ladder=LADDER, start=START):
    return [ladder.index(chooser.choose(ladder, 0.0, start + i)) for i in range(seconds)]


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


# Up


def climbing(
    estimate_bps=3_000_000,
    loss=0.0,
    since=HOLD_FIRST_S,
    queueing_s=0.0,
    ladder=LADDER,
    **settings,
):
    chooser = RungChooser(**settings)
    chooser.lost(1 - 1.2 * ladder[0].rate_bps / ladder[-1].rate_bps, 1.0)
    assert chooser.choose(ladder, 0.0, START) == ladder[0]
    chooser.lost(loss, queueing_s)
    now = START + since
    if estimate_bps is not None:
        chooser.estimated(estimate_bps, now)
    return chooser.choose(ladder, 0.0, now).layer


def test_it_climbs_after_the_hold_when_the_estimate_says_that_more_fits():
    assert climbing() == 1
    assert climbing(since=HOLD_FIRST_S - EPSILON) == 0
    assert climbing(RATES[1] / FIT + 1) == 1
    assert climbing(RATES[1] / FIT - 1) == 0
    assert climbing(None) == 1


def test_without_an_estimate_only_a_small_step_is_tried():
    assert climbing(None, ladder=ladder_of([[600_000.0, 1_200_000.0, 0.0, 0.0]])) == ALL_LAYERS
    assert climbing(None, ladder=ladder_of([[600_000.0, 1_200_001.0, 0.0, 0.0]])) == 0


def test_it_does_not_climb_where_packets_wait_or_many_are_lost():
    assert climbing(loss=LOSS_HIGH - EPSILON) == 1
    assert climbing(loss=LOSS_HIGH) == 0
    assert climbing(queueing_s=QUEUE_LONG_S - EPSILON) == 1
    assert climbing(queueing_s=QUEUE_LONG_S) == 0


def test_who_cannot_be_padded_climbs_when_its_way_is_not_full():
    assert climbing(HEADROOM * RATES[0], can_pad=False) == 1
    assert climbing(HEADROOM * RATES[0] - 1, can_pad=False) == 0
    assert climbing(HEADROOM * RATES[0]) == 0


def test_from_the_bottom_it_climbs_to_the_top_of_a_way_that_widens():
    way = Way(100_000, SIMULCAST)
    way.run(8)
    assert way.rung[0] == 2
    way.width_bps = 10_000_000
    way.run(70)
    assert way.rung == (0, ALL_LAYERS)
    later = [b for (_, a), (_, b) in pairwise(way.history[8:]) if a != b]
    assert later == sorted(later), "it fell on the way up"


def test_padding_fills_the_way_up_to_the_estimate_and_no_further_than_needed():
    chooser = RungChooser()
    chooser.lost(0.35, 1.0)
    chooser.choose(LADDER, 0.0, START)
    chooser.lost(0.0, 0.0)
    now = START + HOLD_FIRST_S
    chooser.estimated(800_000, now - 0.5)
    chooser.choose(LADDER, 0.0, now - 0.5)
    assert chooser.padded_bps == 0
    chooser.choose(LADDER, 0.0, now)
    assert chooser.padded_bps == 200_000
    chooser.estimated(500_000, now)
    chooser.choose(LADDER, 0.0, now)
    assert chooser.padded_bps == 0


def test_padding_ends_when_the_estimate_does_not_grow_and_waits_longer_each_time():
    chooser = RungChooser()
    chooser.lost(0.35, 1.0)
    chooser.choose(LADDER, 0.0, START)
    chooser.lost(0.0, 0.0)
    padded = []
    for i in range(1, 300):
        chooser.estimated(800_000, START + i)
        chooser.choose(LADDER, 0.0, START + i)
        padded.append(chooser.padded_bps > 0)
    began = [i for i, (a, b) in enumerate(pairwise(padded)) if b and not a]
    waits = [b - a for a, b in pairwise(began)]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(HOLD_MAX_S + PAD_PATIENCE_S, abs=3)
    assert sum(padded) < 60


def test_a_way_that_carries_no_more_is_left_alone():
    way = Way(300_000, SIMULCAST)
    way.run(300)
    assert way.rung == (2, ALL_LAYERS)
    assert way.climbs() == []


def test_a_step_up_that_fails_makes_the_next_wait_longer_up_to_a_minute():
    way = Way(1_100_000, can_pad=False)
    way.run(600)
    waits = [b - a for a, b in pairwise(way.climbs())]
    assert waits[-1] >= HOLD_MAX_S
    assert len(waits) < 16


def test_a_step_up_that_lasts_makes_the_next_wait_short_again():
    way = Way(1_100_000, can_pad=False)
    way.run(120)
    way.width_bps = 10_000_000
    way.run(int(HOLD_MAX_S + PROVEN_S) + 10)
    assert way.rung == (0, ALL_LAYERS)
    way.width_bps = 1_100_000
    way.run(4)
    assert way.rung == (0, 1)
    way.width_bps = 10_000_000
    before = way.now
    way.run(20)
    assert 0 < way.climbs()[-1] - before <= HOLD_FIRST_S + 2


# Wishes


def test_who_has_everything_wishes_for_the_best_alone():
    way = Way(10_000_000, SIMULCAST)
    way.run(10)
    assert way.wished[-1] == [0]


def test_who_is_short_wishes_for_the_lowest_and_for_the_next_better_once_it_may_climb():
    best = ladder_of(QUALITIES[:1])
    way = Way(300_000, best)
    way.run(2)
    assert set(way.wished[-1]) == {0, 2}
    way.ladder = ladder_of([QUALITIES[0], [0.0] * 4, QUALITIES[2]])
    way.run(30)
    assert set(way.wished[-1]) == {2}
    way.width_bps = 3_000_000
    way.run(30)
    assert any({1, 2} <= set(wished) for wished in way.wished[-30:])


def test_who_is_merely_told_to_be_slow_gets_fewer_frames_before_the_host_is_asked_for_more():
    """A busy browser's estimate dips as well, and costs the host nothing."""
    chooser = told(300_000, ladder=SIMULCAST[-2:])
    ladder = ladder_of(QUALITIES[:1])
    wished = []
    for i in range(14):
        chooser.estimated(300_000, START + i)
        chooser.choose(ladder, 0.0, START + i)
        wished.append((chooser.rung.layer, chooser.wished_qualities(2_500_000, 3, START + i)))
    assert wished[0] == (ALL_LAYERS, [0])
    assert (1, [0]) in wished
    assert wished[-1] == (0, [0, 2])
