"""The seeded bad link: its statistics, its bounds, and that it repeats itself."""

from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.rig import impairment
from benchmarks.rig.impairment import Bursts, Conditions, Link

COUNT = 10_000
STEP_S = 0.001


def numbered(count=COUNT, size=100):
    return [i.to_bytes(4, "big").ljust(size, b".") for i in range(count)]


def number(datagram):
    return int.from_bytes(datagram[:4], "big")


def carried(conditions, *, seed=1, count=COUNT, step_s=STEP_S, size=100):
    """Send ``count`` datagrams, one a step; returns time and number of each arrival."""
    link = Link(seed, conditions)
    arrivals = []
    for i, datagram in enumerate(numbered(count, size)):
        now = i * step_s
        link.send(datagram, now)
        arrivals += [(now, number(d)) for d in link.due(now)]
    while (at := link.next_due) is not None:
        arrivals += [(at, number(d)) for d in link.due(at)]
    return link, arrivals


def test_a_perfect_link_hands_everything_over_at_once_and_in_order():
    link, arrivals = carried(Conditions(), count=100)
    assert arrivals == [(i * STEP_S, i) for i in range(100)]
    assert link.counters.as_dict() == {
        "sent": 100,
        "arrived": 100,
        "lost": 0,
        "blacked_out": 0,
        "overflowed": 0,
        "reordered": 0,
        "duplicated": 0,
    }


BAD = Conditions(
    loss=0.05,
    bursts=Bursts(0.02, 4),
    reorder=0.05,
    duplicate=0.02,
    delay_s=0.05,
    jitter_s=0.02,
    rate_bps=2_000_000,
)


def test_equal_seeds_make_equal_fates_and_others_do_not():
    assert carried(BAD, seed=3, count=500)[1] == carried(BAD, seed=3, count=500)[1]
    assert carried(BAD, seed=3, count=500)[1] != carried(BAD, seed=4, count=500)[1]
    assert carried(BAD, seed="up", count=500)[1] != carried(BAD, seed="down", count=500)[1]


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.10, 0.20])
def test_random_loss_is_what_was_asked_for_and_comes_singly(loss):
    link, arrivals = carried(Conditions(loss=loss))
    assert link.counters.lost == COUNT - len(arrivals)
    assert link.counters.lost / COUNT == pytest.approx(loss, rel=0.15)
    assert mean_burst(arrivals) == pytest.approx(1 / (1 - loss), rel=0.1)


@pytest.mark.parametrize(("share", "length"), [(0.05, 5), (0.10, 20)])
def test_bursts_have_their_share_and_their_length(share, length):
    _, arrivals = carried(Conditions(bursts=Bursts(share, length)), count=100_000)
    assert 1 - len(arrivals) / 100_000 == pytest.approx(share, rel=0.15)
    assert mean_burst(arrivals, 100_000) == pytest.approx(length, rel=0.15)


def mean_burst(arrivals, count=COUNT):
    there = {n for _, n in arrivals}
    bursts = [len(list(run)) for lost, run in groupby(i not in there for i in range(count)) if lost]
    return sum(bursts) / len(bursts)


def test_delay_and_jitter_stay_within_their_bounds_and_let_nothing_overtake():
    _, arrivals = carried(Conditions(delay_s=0.05, jitter_s=0.03))
    late = [at - n * STEP_S for at, n in arrivals]
    assert min(late) >= 0.05
    assert max(late) <= 0.08 + STEP_S
    assert sum(late) / len(late) > 0.05 + 0.015
    assert [n for _, n in arrivals] == list(range(COUNT))


def test_reordered_datagrams_are_overtaken_and_the_others_stay_in_order():
    link, arrivals = carried(Conditions(reorder=0.05, reorder_s=0.02, delay_s=0.01))
    order = [n for _, n in arrivals]
    overtaken = {n for i, n in enumerate(order) if n < max(order[: i + 1])}
    assert len(order) == COUNT
    assert link.counters.reordered / COUNT == pytest.approx(0.05, rel=0.15)
    assert 0.8 * link.counters.reordered < len(overtaken) <= link.counters.reordered
    assert all(at - n * STEP_S <= 0.03 + STEP_S for at, n in arrivals)


def test_duplicates_follow_their_originals_closely():
    link, arrivals = carried(Conditions(duplicate=0.02))
    assert link.counters.duplicated / COUNT == pytest.approx(0.02, rel=0.15)
    assert len(arrivals) == COUNT + link.counters.duplicated == link.counters.arrived
    first = {}
    for at, n in arrivals:
        assert at - first.setdefault(n, at) <= impairment.DUPLICATE_LAG_S + STEP_S


def test_a_limited_link_carries_its_rate_and_drops_what_does_not_fit():
    # 100 bytes a millisecond are 1,024 kb/s on the wire; 512 kb/s carry half of them.
    conditions = Conditions(rate_bps=512_000, queue_bytes=10_000)
    link, arrivals = carried(conditions, count=10_000)
    seconds = 10_000 * STEP_S
    queue_s = 10_000 * 8 / 512_000
    assert len(arrivals) / 10_000 == pytest.approx(0.5, rel=0.05)
    assert link.counters.overflowed == 10_000 - len(arrivals)
    assert arrivals[-1][0] <= seconds + queue_s + 0.01
    # Whoever gets in waits for the queue at most, and the queue is full nearly all of the time.
    late = sorted(at - n * STEP_S for at, n in arrivals)
    assert late[-1] <= queue_s + 0.003
    assert late[len(late) // 2] > 0.8 * queue_s


def test_a_limited_link_without_load_only_takes_the_time_to_send():
    link = Link(1, Conditions(rate_bps=1_024_000, delay_s=0.01))
    link.send(bytes(100), 5.0)
    assert link.next_due == pytest.approx(5.011)


def test_a_datagram_larger_than_the_queue_passes_when_the_link_is_idle():
    link = Link(1, Conditions(rate_bps=1_000_000, queue_bytes=100))
    link.send(bytes(1000), 0.0)
    link.send(bytes(1000), 0.0)
    assert (link.counters.overflowed, len(link.due(1.0))) == (1, 1)


def test_a_blackout_loses_what_is_sent_in_it_and_nothing_else():
    link = Link(1, Conditions(delay_s=0.1))
    link.black_out(1.0, 2.0)
    for at in (0.95, 1.0, 1.5, 1.99, 2.0):
        link.send(str(at).encode(), at)
    assert link.due(3.0) == [b"0.95", b"2.0"]
    assert link.counters.blacked_out == 3


def test_new_conditions_hold_for_what_is_sent_next_and_nothing_overtakes():
    link = Link(1, Conditions(delay_s=0.1))
    link.send(b"slow", 0.0)
    link.conditions = Conditions()
    link.send(b"fast", 0.01)
    assert link.due(0.05) == []
    assert link.due(0.1) == [b"slow", b"fast"]


def test_a_lifted_limit_does_not_keep_the_queue():
    link = Link(1, Conditions(rate_bps=8_000, queue_bytes=100_000))
    for _ in range(10):
        link.send(bytes(972), 0.0)
    link.conditions = Conditions()
    link.send(b"free", 0.5)
    link.conditions = Conditions(rate_bps=8_000_000)
    link.send(bytes(972), 0.6)
    assert link.counters.overflowed == 0
    # In order behind what was under way, which took a second each.
    assert link.next_due == pytest.approx(1.0)
    assert len(link.due(10.0)) == 12


def test_what_is_under_way_is_bounded(monkeypatch):
    monkeypatch.setattr(impairment, "IN_FLIGHT_MAX", 10)
    link = Link(1, Conditions(delay_s=1.0))
    for datagram in numbered(15):
        link.send(datagram, 0.0)
    assert (len(link.due(2.0)), link.counters.overflowed) == (10, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": -0.1},
        {"loss": 1.1},
        {"reorder": 2},
        {"duplicate": -1},
        {"delay_s": -1},
        {"jitter_s": -1},
        {"reorder_s": -1},
        {"queue_bytes": -1},
        {"rate_bps": 0},
    ],
)
def test_conditions_that_no_link_has_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Conditions(**wrong)


@pytest.mark.parametrize(("share", "length"), [(1.0, 5), (-0.1, 5), (0.5, 0.5), (0.9, 1)])
def test_bursts_that_cannot_be_are_refused(share, length):
    with pytest.raises(ValueError, match=r"share|length|bursts"):
        Bursts(share, length)


@settings(max_examples=30, deadline=None)
@given(
    loss=st.floats(0, 1),
    reorder=st.floats(0, 1),
    duplicate=st.floats(0, 1),
    rate=st.none() | st.integers(10_000, 10_000_000),
    seed=st.integers(0, 1000),
)
def test_every_datagram_has_exactly_one_fate(loss, reorder, duplicate, rate, seed):
    conditions = Conditions(
        loss=loss, bursts=Bursts(0.1, 3), reorder=reorder, duplicate=duplicate, rate_bps=rate
    )
    link, arrivals = carried(conditions, seed=seed, count=200)
    c = link.counters
    assert c.sent == 200 == len({n for _, n in arrivals}) + c.lost + c.overflowed
    assert c.arrived == len(arrivals) == c.sent - c.lost - c.overflowed + c.duplicated
