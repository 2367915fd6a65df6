from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.delays import BOUNDS_S, DelayHistogram


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
