import pytest

from benchmarks.latency.clocks import PageClock, agree, require_fine_clock, require_steady
from benchmarks.rig.refusal import MeasurementRefused


def samples(offset_ms=1000.0, round_trip_ms=2.0):
    return [(offset_ms + t, t + round_trip_ms / 2, offset_ms + t + round_trip_ms) for t in range(9)]


def test_a_clock_that_began_where_it_says_is_believed():
    clock = agree(samples(), 1000.0)
    assert clock.offset_ms == 1000.0
    assert clock.bracket_ms == pytest.approx(2.2)


@pytest.mark.parametrize("began_ms", [998.0, 1002.0])
def test_a_clock_that_began_elsewhere_is_refused(began_ms):
    with pytest.raises(MeasurementRefused, match="not where"):
        agree(samples(), began_ms)


def test_slow_answers_prove_nothing():
    with pytest.raises(MeasurementRefused, match="known to"):
        agree(samples(round_trip_ms=10.0), 1000.0)


def test_a_clock_that_jumps_in_between_is_refused():
    with pytest.raises(MeasurementRefused, match="known to"):
        agree([*samples(), *samples(offset_ms=1010.0)], 1000.0)


def test_a_clock_that_moves_during_a_measurement_is_refused():
    require_steady(PageClock(1000.0, 1.0), PageClock(1000.05, 1.0))
    with pytest.raises(MeasurementRefused, match="moved"):
        require_steady(PageClock(1000.0, 1.0), PageClock(1000.5, 1.0))


def test_a_coarse_clock_is_refused():
    ticks = iter(n // 10 for n in range(10_000))
    with pytest.raises(MeasurementRefused, match="ticks every"):
        require_fine_clock(lambda: next(ticks))
