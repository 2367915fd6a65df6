import pytest

from mediasrv.relay.rates import INTERVAL_S, LayerRates


def test_the_first_look_tells_nothing():
    assert LayerRates().update([[1000, 0, 0, 0]], 10.0) is None


def test_each_layer_counts_with_those_below():
    rates = LayerRates()
    rates.update([[1000, 500, 0, 0]], 10.0)
    (best,) = rates.update([[2000, 1000, 2000, 0]], 12.0)
    assert best == pytest.approx([4000, 6000, 14_000, 0])


def test_nothing_is_told_before_an_interval_is_over():
    rates = LayerRates()
    rates.update([[0]], 10.0)
    assert rates.update([[1000]], 10.0 + INTERVAL_S - 0.001) is None
    assert rates.update([[1000]], 10.0 + INTERVAL_S)[0] == pytest.approx([8000])


def test_each_interval_counts_for_itself():
    rates = LayerRates()
    rates.update([[0]], 10.0)
    assert rates.update([[1000]], 11.0)[0] == pytest.approx([8000])
    assert rates.update([[1500]], 13.0)[0] == pytest.approx([2000])


def test_a_video_that_pauses_has_no_rates_and_goes_on_with_new_ones():
    rates = LayerRates()
    rates.update([[0, 0], [0, 0]], 10.0)
    assert rates.update([[1000, 10], [5, 5]], 11.0) is not None
    assert rates.update([[1000, 10], [5, 5]], 12.0) is None
    assert rates.update([[2000, 10], [5, 5]], 13.0)[0] == pytest.approx([8000, 0])


def test_a_quality_that_pauses_alone_has_none_of_its_own():
    rates = LayerRates()
    rates.update([[0, 0], [0, 0]], 10.0)
    best, lower = rates.update([[0, 0], [100, 100]], 11.0)
    assert best == [0, 0]
    assert lower == pytest.approx([800, 1600])


def test_a_layer_that_nothing_came_of_has_no_rate():
    rates = LayerRates()
    rates.update([[0, 0, 0]], 10.0)
    assert rates.update([[1000, 0, 500]], 11.0)[0] == pytest.approx([8000, 0, 12_000])


def test_the_counters_are_looked_at_and_not_kept():
    rates, counters = LayerRates(), [0]
    rates.update([counters], 10.0)
    counters[0] = 1000
    assert rates.update([counters], 11.0)[0] == pytest.approx([8000])
