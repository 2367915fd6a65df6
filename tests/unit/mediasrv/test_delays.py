from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.delays import BOUNDS_S, DelayHistogram, quantile_s


def noted(*delays_s):
    histogram = DelayHistogram()
    for delay_s in delays_s:
        histogram.note(delay_s)
    return histogram


def test_bounds_grow_evenly_from_a_fast_forward_to_a_second():
    assert BOUNDS_S[0] == pytest.approx(25e-6)
    assert BOUNDS_S[-1] == pytest.approx(1.6)
    assert all(1.5 < b / a < 1.7 for a, b in pairwise(BOUNDS_S))


def test_nothing_is_noted_at_first():
    histogram = DelayHistogram()
    assert histogram.total_s == 0
    assert histogram.counts == [0] * (len(BOUNDS_S) + 1)


def test_a_delay_counts_up_to_and_with_its_bound():
    for i, bound in enumerate(BOUNDS_S):
        assert noted(bound).counts[i] == 1
        assert noted(bound * 1.0001).counts[i + 1] == 1
    assert noted(0.0).counts[0] == 1
    assert noted(60.0).counts[-1] == 1


@given(st.lists(st.floats(0, 3), max_size=50))
def test_every_delay_counts_once(delays_s):
    histogram = noted(*delays_s)
    assert sum(histogram.counts) == len(delays_s)
    assert histogram.total_s == pytest.approx(sum(delays_s))
    for i, bound in enumerate(BOUNDS_S):
        assert sum(histogram.counts[: i + 1]) == sum(delay <= bound for delay in delays_s)


def test_what_was_counted_since_is_the_difference():
    histogram = noted(0.001, 0.001, 0.5)
    before = tuple(histogram.counts)
    assert sum(histogram.since(())) == 3
    histogram.note(0.5)
    assert sum(histogram.since(before)) == 1
    assert sum(histogram.since(tuple(histogram.counts))) == 0


def test_a_quantile_lies_between_the_bounds_of_its_delay():
    counts = noted(*[0.0011] * 98, 0.3, 0.3).counts
    assert quantile_s(counts, 0.5) == pytest.approx(0.0011, rel=0.2)
    assert quantile_s(counts, 0.99) == pytest.approx(0.3, rel=0.2)
    assert quantile_s(noted(0.00001).counts, 1.0) == BOUNDS_S[0]


def test_a_quantile_of_nothing_is_none_and_beyond_the_last_bound_it_is_that_bound():
    assert quantile_s(noted().counts, 0.5) is None
    assert quantile_s([], 0.5) is None
    assert quantile_s(noted(7.0).counts, 0.5) == BOUNDS_S[-1]
