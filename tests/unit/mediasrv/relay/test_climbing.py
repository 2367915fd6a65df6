"""How a viewer gets more of the video again, and what it wishes for, in virtual time."""

from itertools import pairwise

import pytest

from mediasrv.relay.adaptation import (
    FIT,
    HEADROOM,
    HOLD_FIRST_S,
    HOLD_MAX_S,
    LOSS_HIGH,
    PAD_PATIENCE_S,
    PROVEN_S,
    QUEUE_LONG_S,
    RungChooser,
    ladder_of,
)
from mediasrv.relay.forwarder import ALL_LAYERS
from tests.unit.mediasrv.relay.narrow_ways import (
    EPSILON,
    LADDER,
    QUALITIES,
    RATES,
    SIMULCAST,
    START,
    Way,
    told,
)

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
