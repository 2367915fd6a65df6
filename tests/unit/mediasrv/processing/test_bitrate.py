from mediasrv.processing.bitrate import CEILING_BPS, FLOOR_BPS, bitrate_for_size, clamp_target


def test_720p_costs_about_two_megabits():
    assert 1_800_000 <= bitrate_for_size(1280, 720) <= 2_100_000
    assert bitrate_for_size(720, 1280) == bitrate_for_size(1280, 720)


def test_small_and_huge_pictures_stay_within_bounds():
    assert bitrate_for_size(16, 16) == FLOOR_BPS
    assert bitrate_for_size(16_383, 16_383) == CEILING_BPS
    assert clamp_target(1) == FLOOR_BPS
    assert clamp_target(10**9) == CEILING_BPS
    assert clamp_target(700_000) == 700_000
