import numpy as np
import pytest

from filters.facial_data import FacialArray
from filters.one_euro import OneEuroFilter

INTERVAL_S = 1 / 30
SIZE_PX = 200.0


def points(x: float) -> FacialArray:
    return np.full((478, 3), x, np.float32).view(FacialArray)


def test_the_first_measurement_passes_unchanged():
    assert np.asarray(OneEuroFilter(points(7)).value == 7).all()


def test_a_face_at_rest_becomes_steadier():
    random = np.random.default_rng(3)
    one_euro = OneEuroFilter(points(100))
    jitter = 0.2
    smoothed = []
    for _ in range(300):
        measured = points(100) + random.normal(0, jitter, (478, 3)).astype(np.float32)
        smoothed.append(np.asarray(one_euro.update(measured, INTERVAL_S, SIZE_PX)).copy())
    steps = np.diff(np.stack(smoothed[50:]), axis=0)
    assert steps.std() < 0.5 * jitter * np.sqrt(2)


def test_a_moving_face_is_followed_within_a_picture():
    one_euro = OneEuroFilter(points(0))
    speed_px = 6.0
    for picture in range(1, 60):
        followed = one_euro.update(points(speed_px * picture), INTERVAL_S, SIZE_PX)
    lag_px = speed_px * 59 - float(followed[0, 0])
    assert 0 <= lag_px < speed_px


def test_size_does_not_change_how_a_face_is_followed():
    near, far = OneEuroFilter(points(0)), OneEuroFilter(points(0))
    for picture in range(1, 30):
        large = near.update(points(8.0 * picture), INTERVAL_S, 400)
        small = far.update(points(2.0 * picture), INTERVAL_S, 100)
    assert float(large[0, 0]) == pytest.approx(4 * float(small[0, 0]), rel=1e-4)


def test_it_converges_and_stays_finite_on_a_jump():
    one_euro = OneEuroFilter(points(0))
    for _ in range(200):
        value = one_euro.update(points(1e6), INTERVAL_S, SIZE_PX)
    assert np.isfinite(np.asarray(value)).all()
    assert float(value[0, 0]) == pytest.approx(1e6, rel=1e-3)


def test_it_keeps_the_fence_around_its_numbers():
    one_euro = OneEuroFilter(points(1))
    assert isinstance(one_euro.update(points(2), INTERVAL_S, SIZE_PX), FacialArray)
    assert "redacted" in repr(one_euro)
