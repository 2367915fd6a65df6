import numpy as np
import pytest

from filters.dither import SIDE, Dither


def test_the_pattern_holds_every_threshold_once_and_sums_to_nothing():
    tile = Dither().pattern(0, 0, (SIDE, SIDE))
    assert len(np.unique(tile)) == SIDE * SIDE
    assert tile.min() > -0.5
    assert tile.max() < 0.5
    assert tile.mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 127.0, 255.0])
def test_whole_values_stay(value):
    pattern = Dither().pattern(3, 5, (40, 50))
    assert (np.rint(value + pattern) == value).all()


@pytest.mark.parametrize("part", [0.05, 0.25, 0.5, 0.9])
def test_the_mean_of_a_fraction_is_right(part):
    pattern = Dither().pattern(0, 0, (80, 80))
    assert np.rint(100 + part + pattern).mean() == pytest.approx(100 + part, abs=0.02)


def test_the_pattern_is_anchored_to_the_picture():
    dither = Dither()
    whole = dither.pattern(0, 0, (100, 120)).copy()
    assert np.array_equal(dither.pattern(16, 34, (40, 50)), whole[16:56, 34:84])
    assert np.array_equal(Dither().pattern(5, 3, (9, 200))[:, :100], whole[5:14, 3:103])


def test_memory_is_kept_once_it_is_large_enough():
    dither = Dither()
    large = dither.pattern(0, 0, (300, 300))
    assert np.shares_memory(large, dither.pattern(7, 7, (200, 100)))
