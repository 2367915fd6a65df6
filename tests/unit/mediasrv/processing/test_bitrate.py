import pytest

from mediasrv.processing.bitrate import (
    CEILING_BPS,
    FLOOR_BPS,
    bitrate_for_size,
    clamp_target,
    is_worth_changing,
)


def test_720p_costs_about_two_megabits():
    assert 1_800_000 <= bitrate_for_size(1280, 720) <= 2_100_000
    assert bitrate_for_size(720, 1280) == bitrate_for_size(1280, 720)


def test_small_and_huge_pictures_stay_within_bounds():
    assert bitrate_for_size(16, 16) == FLOOR_BPS
    assert bitrate_for_size(16_383, 16_383) == CEILING_BPS
    assert clamp_target(1) == FLOOR_BPS
    assert clamp_target(10**9) == CEILING_BPS
    assert clamp_target(700_000) == 700_000


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(1000, False), (1249, False), (1250, True), (751, False), (750, True), (4000, True)],
)
def test_changes_under_a_quarter_are_ignored(wanted, expected):
    assert is_worth_changing(1000, wanted) is expected
