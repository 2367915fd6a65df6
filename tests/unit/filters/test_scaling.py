import numpy as np
import pytest

from filters.scaling import halved, shrink_into


@pytest.mark.parametrize("shape", [(40, 60), (41, 61), (47, 63)])
@pytest.mark.parametrize("times", [1, 2])
def test_halving_averages_whole_squares_and_leaves_out_what_is_over(shape, times):
    plane = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    expected = plane.astype(float)
    for _ in range(times):
        rows, columns = expected.shape[0] // 2, expected.shape[1] // 2
        expected = expected[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean((1, 3))
    result = halved(plane, times)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= times * 0.75


def test_nothing_is_done_no_times():
    plane = np.zeros((5, 7), np.uint8)
    assert halved(plane, 0) is plane


@pytest.mark.parametrize("size", [(9, 16), (11, 20), (90, 160)])
def test_a_slope_stays_a_slope_at_any_size(size):
    plane = np.tile(np.arange(160, dtype=np.uint8), (90, 1))
    target = np.empty(size, np.uint8)
    shrink_into(plane, target)
    centres = (np.arange(size[1]) + 0.5) * 160 / size[1] - 0.5
    assert np.abs(target - centres).max() <= 1.5
