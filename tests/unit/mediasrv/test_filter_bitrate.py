import pytest

from mediasrv.filter_bitrate import FLOOR_BPS, FilterBitrate


class Second:
    """One second after another of a host, an encoder that hits its target, and viewers."""

    def __init__(self):
        self.bitrate = FilterBitrate()
        self.now = 100.0
        self.sent_bps = 0.0
        self.bitrate.choose([], self.now)

    def passes(self, host_bps, estimates=(), *, sent_bps=None):
        """What is asked of the encoder; by default it sends what it was last asked for."""
        self.bitrate.received(round(host_bps / 8))
        target_bps = self.bitrate.target_bps or host_bps
        self.sent_bps = target_bps if sent_bps is None else sent_bps
        self.bitrate.sent(round(self.sent_bps / 8))
        self.now += 1.0
        return self.bitrate.choose(list(estimates), self.now)


def test_without_viewers_words_it_takes_what_the_host_takes():
    second = Second()
    assert second.passes(1_500_000) == pytest.approx(1_500_000, rel=0.01)
    assert second.passes(1_500_000) is None


def test_a_host_who_sits_still_for_a_moment_keeps_its_rate():
    second = Second()
    second.passes(1_500_000)
    for _ in range(7):
        assert second.passes(100_000) is None
    assert second.passes(100_000) == FLOOR_BPS


def test_a_narrow_way_lowers_it_after_two_seconds_and_not_at_the_first_dip():
    second = Second()
    second.passes(2_000_000)
    assert second.passes(2_000_000, [600_000]) is None
    assert second.passes(2_000_000, [600_000]) == pytest.approx(510_000)


def test_a_dip_of_one_second_changes_nothing():
    second = Second()
    second.passes(2_000_000)
    for _ in range(5):
        assert second.passes(2_000_000, [600_000]) is None
        assert second.passes(2_000_000, [3_000_000]) is None


def test_a_low_estimate_above_what_is_sent_is_no_narrow_way():
    second = Second()
    second.passes(2_000_000)
    for _ in range(5):
        assert second.passes(2_000_000, [300_000], sent_bps=200_000) is None


def test_it_climbs_again_while_there_is_room_and_ends_at_the_hosts_rate():
    second = Second()
    second.passes(2_000_000)
    for _ in range(2):
        second.passes(2_000_000, [600_000])
    asked = [second.passes(2_000_000, [1.5 * second.sent_bps]) for _ in range(15)]
    climbed = [each for each in asked if each is not None]
    assert asked[:2] == [None, None]
    assert climbed == sorted(climbed)
    assert climbed[-1] == pytest.approx(2_000_000, rel=0.05)


def test_it_does_not_climb_into_a_way_that_stays_narrow():
    second = Second()
    second.passes(2_000_000)
    for _ in range(2):
        second.passes(2_000_000, [600_000])
    for _ in range(30):
        second.passes(2_000_000, [580_000])
    assert second.bitrate.target_bps == pytest.approx(510_000, rel=0.05)


@pytest.mark.parametrize(
    ("estimates", "is_lowered"),
    [
        ([600_000], True),
        ([600_000, 5_000_000, 5_000_000], True),
        ([600_000, 5_000_000, 5_000_000, 5_000_000], False),
        ([600_000] * 3 + [5_000_000] * 9, False),
        ([600_000] * 4 + [5_000_000] * 9, True),
    ],
)
def test_most_viewers_decide(estimates, is_lowered):
    second = Second()
    second.passes(2_000_000)
    asked = [second.passes(2_000_000, estimates) for _ in range(2)]
    assert (asked[-1] is not None) == is_lowered


def test_nothing_is_said_before_a_second_is_over_nor_without_a_host():
    bitrate = FilterBitrate()
    assert bitrate.choose([], 0.0) is None
    bitrate.received(100_000)
    assert bitrate.choose([], 0.9) is None
    assert bitrate.choose([], 1.0) == pytest.approx(800_000)
    assert bitrate.choose([1.0], 2.0) is None
