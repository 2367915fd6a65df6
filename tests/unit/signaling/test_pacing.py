import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.pacing import Strikes, TokenBucket


def test_a_burst_passes_and_the_next_one_is_told_how_long_to_wait():
    bucket = TokenBucket(burst=100, rate_hz=30, now=5.0)
    assert [bucket.take(5.0) for _ in range(100)] == [0.0] * 100
    assert bucket.take(5.0) == pytest.approx(1 / 30)
    assert bucket.take(5.0 + 1 / 60) == pytest.approx(1 / 60)
    assert bucket.take(5.0 + 1 / 30 + 1e-9) == 0.0


def test_an_idle_bucket_fills_no_higher_than_the_burst():
    bucket = TokenBucket(burst=3, rate_hz=1, now=0.0)
    assert [bucket.take(1000.0) == 0.0 for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_steps_back_earns_nothing():
    bucket = TokenBucket(burst=1, rate_hz=1, now=10.0)
    assert bucket.take(10.0) == 0.0
    assert bucket.take(0.0) > 0
    assert bucket.take(10.0) > 0
    assert bucket.take(11.0) == 0.0


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=0.5), max_size=300))
def test_no_pattern_gets_more_than_the_burst_and_the_rate(pauses):
    bucket = TokenBucket(burst=10, rate_hz=5, now=0.0)
    now, passed = 0.0, 0
    for pause in pauses:
        now += pause
        passed += bucket.take(now) == 0.0
        assert passed <= 10 + 5 * now + 1e-6


def test_strikes_within_the_window_are_too_many():
    strikes = Strikes(limit=3, window_s=10.0)
    assert [strikes.add(now) for now in (0.0, 5.0, 10.0)] == [False, False, True]


def test_strikes_that_are_spread_out_are_forgiven():
    strikes = Strikes(limit=3, window_s=10.0)
    assert [strikes.add(now) for now in (0.0, 5.0, 10.1, 15.1, 20.0)] == [
        False,
        False,
        False,
        False,
        True,
    ]
