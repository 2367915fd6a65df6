import pytest

from mediasrv.processing.messages import Counters
from mediasrv.processing.waiting import PATIENCE, DecodedImage, WaitingImages

MS = 1_000_000
INTERVAL_S = 0.033
LONG_MS = 1000 * PATIENCE * INTERVAL_S


@pytest.fixture
def counters():
    return Counters()


@pytest.fixture
def waiting(counters):
    return WaitingImages(counters)


def add(waiting, *began_ms):
    for ms in began_ms:
        waiting.add(DecodedImage(None, ms, int(ms * MS), 0))


def take(waiting, now_ms):
    image = waiting.take(int(now_ms * MS), INTERVAL_S)
    return None if image is None else image.timestamp_ticks


def test_one_after_the_other_is_taken(waiting, counters):
    assert take(waiting, 0) is None
    add(waiting, 1)
    assert len(waiting) == 1
    assert (take(waiting, 500), take(waiting, 500)) == (1, None)
    assert counters.skipped == 0


def test_two_that_came_together_are_both_taken_in_order(waiting, counters):
    add(waiting, 0, 2)
    assert (take(waiting, 4), take(waiting, 16), take(waiting, 17)) == (0, 2, None)
    assert counters.skipped == 0


def test_one_that_has_waited_long_gives_way_to_the_next(waiting, counters):
    add(waiting, 0, 10)
    assert take(waiting, LONG_MS + 0.1) == 10
    assert (len(waiting), counters.skipped) == (0, 1)


def test_it_is_not_given_up_as_long_as_nothing_newer_is_there(waiting):
    add(waiting, 0)
    assert take(waiting, 10 * LONG_MS) == 0


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_more_than_two_mean_that_only_the_newest_is_of_use(waiting, counters, count):
    add(waiting, *range(count))
    assert take(waiting, count) == count - 1
    assert (len(waiting), counters.skipped) == (0, count - 1)


def test_after_a_backlog_two_may_wait_again(waiting):
    add(waiting, 0, 1, 2)
    take(waiting, 3)
    add(waiting, 40, 41)
    assert (take(waiting, 42), take(waiting, 50)) == (40, 41)
