import pytest

from mediasrv.processing.pace import FULL, LEAST_BUDGET_US, RELAX_AFTER, Pace

INTERVAL_US = 33_333


def settled(*, busy_us, cpu_us, filter_us=5_000, interval_us=INTERVAL_US, pace=None, images=100):
    pace = pace or Pace()
    for _ in range(images):
        pace.note(interval_us=interval_us, busy_us=busy_us, cpu_us=cpu_us, filter_us=filter_us)
    return pace


def test_alone_on_a_core_the_load_is_our_own_time():
    assert settled(busy_us=11_000, cpu_us=11_000).load == pytest.approx(0.33, abs=0.01)


def test_three_that_fill_a_core_see_it_full_though_each_has_a_third_of_it():
    assert settled(busy_us=INTERVAL_US, cpu_us=INTERVAL_US / 3).load == pytest.approx(1, abs=0.01)


def test_two_that_fill_a_core_see_it_full():
    assert settled(busy_us=INTERVAL_US, cpu_us=INTERVAL_US / 2).load == pytest.approx(1, abs=0.01)


def test_twice_the_frame_rate_is_twice_the_load():
    slow = settled(busy_us=8_000, cpu_us=8_000)
    quick = settled(busy_us=8_000, cpu_us=8_000, interval_us=INTERVAL_US / 2)
    assert quick.load == pytest.approx(2 * slow.load, rel=0.01)


def test_the_filters_budget_is_less_than_they_take_as_soon_as_the_core_is_full():
    free = settled(busy_us=11_000, cpu_us=11_000)
    assert free.filter_budget_us > 2 * 5_000
    full = settled(busy_us=30_000, cpu_us=INTERVAL_US * FULL)
    assert full.filter_budget_us <= 5_000
    crowded = settled(busy_us=24_000, cpu_us=10_000)
    assert crowded.filter_budget_us < 5_000


def test_the_encoder_hurries_before_the_filters_have_to():
    pace = settled(busy_us=25_000, cpu_us=25_000)
    assert pace.is_hurried
    assert pace.filter_budget_us > 5_000


def test_one_slow_image_hurries_nobody():
    pace = settled(busy_us=11_000, cpu_us=11_000)
    settled(busy_us=60_000, cpu_us=60_000, pace=pace, images=1)
    assert not pace.is_hurried


def test_the_encoder_takes_its_time_again_when_there_has_been_room_for_long():
    pace = settled(busy_us=28_000, cpu_us=28_000)
    settled(busy_us=11_000, cpu_us=11_000, pace=pace, images=RELAX_AFTER)
    assert pace.is_hurried
    settled(busy_us=11_000, cpu_us=11_000, pace=pace, images=20)
    assert not pace.is_hurried


def test_without_filters_there_is_a_budget_all_the_same():
    assert Pace().filter_budget_us == LEAST_BUDGET_US
    assert settled(busy_us=30_000, cpu_us=30_000, filter_us=0).filter_budget_us == LEAST_BUDGET_US
