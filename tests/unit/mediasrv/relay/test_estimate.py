import pytest

from mediasrv.relay.estimate import MAX_BPS, MIN_BPS, UplinkEstimate


def test_a_host_may_send_a_watchable_picture_from_the_start():
    estimate = UplinkEstimate()
    assert estimate.bitrate_bps == MAX_BPS
    assert estimate.update(0.0) == MAX_BPS


@pytest.mark.parametrize(
    ("loss", "expected_bps"),
    [
        (0.0, 1_080_000),
        (0.019, 1_080_000),
        (0.02, 1_000_000),
        (0.10, 1_000_000),
        (0.11, 945_000),
        (0.5, 750_000),
        (1.0, 500_000),
    ],
)
def test_one_step_follows_the_loss(loss, expected_bps):
    estimate = UplinkEstimate()
    estimate.bitrate_bps = 1_000_000
    assert estimate.update(loss) == pytest.approx(expected_bps, abs=1)
    assert estimate.bitrate_bps == estimate.update(0.05)


def test_heavy_loss_ends_at_the_floor_and_peace_brings_everything_back():
    estimate = UplinkEstimate(max_bps=800_000)
    falling = [estimate.update(0.4) for _ in range(20)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == MIN_BPS
    rising = [estimate.update(0.0) for _ in range(40)]
    assert rising == sorted(rising)
    assert rising[-1] == 800_000
