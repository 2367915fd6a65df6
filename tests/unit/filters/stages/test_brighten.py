import numpy as np
import pytest

from filters import plain
from filters.image import YuvImage
from filters.stages.brighten import (
    CHROMA_GAIN_LIMIT,
    LIFT,
    Brighten,
    gain_curve,
    lift_curve,
)
from tests.filter_faces import face_at, grainy_image, region_in


def brightened(image: YuvImage, face, strength: float) -> YuvImage:
    result = image.copy()
    Brighten().change(result, region_in(image, face), strength)
    return result


def skin(level: int, u: int = 110, v: int = 150) -> YuvImage:
    image = YuvImage.blank(640, 480)
    image.y[:], image.u[:], image.v[:] = level, u, v
    return image


@pytest.mark.parametrize("strength", [0.01, 0.5, 1.0])
@pytest.mark.parametrize("size_px", [20, 60, 150, 300, 500])
def test_fast_is_plain(strength, size_px):
    image, face = grainy_image(641, 479), face_at(330, 220, size_px, turn_deg=10)
    fast = brightened(image, face, strength)
    slow = plain.brighten_face(image, region_in(image, face), strength)
    for one, other in ((fast.y, slow.y), (fast.u, slow.u), (fast.v, slow.v)):
        assert np.abs(one.astype(int) - other).max() <= plain.TOLERANCE
        assert (one != other).mean() < 0.01


@pytest.mark.parametrize("level", range(45, 190, 12))
def test_every_skin_tone_gains_about_the_same(level):
    gained = brightened(skin(level), face_at(320, 240, 200), 1.0).y[250, 320] - float(level)
    assert 0.75 * LIFT <= gained <= LIFT + 1


@pytest.mark.parametrize("level", [0, 16, 235, 255])
def test_black_and_white_stay(level):
    assert (brightened(skin(level), face_at(320, 240, 200), 1.0).y == level).all()


def test_no_tone_overtakes_another():
    for strength in (0.2, 1.0):
        lifted = np.arange(256) + lift_curve(strength)
        assert (np.diff(lifted) > 0).all()
        assert lifted.max() <= 255
        assert (lift_curve(strength) >= 0).all()


def test_hue_stays_and_colour_is_not_washed_out():
    for level, u, v in ((60, 120, 140), (100, 112, 150), (160, 112, 148), (200, 120, 138)):
        image = skin(level, u, v)
        result = brightened(image, face_at(320, 240, 200), 1.0)
        before = np.array([u - 128, v - 128])
        after = np.array([int(result.u[125, 160]) - 128, int(result.v[125, 160]) - 128])
        turn = np.degrees(np.arctan2(*after) - np.arctan2(*before))
        assert abs(turn) < 3
        growth = np.linalg.norm(after) / np.linalg.norm(before)
        assert 1 <= growth + 0.02 <= 1 + CHROMA_GAIN_LIMIT + 0.1


def test_grey_stays_grey():
    result = brightened(skin(120, 128, 128), face_at(320, 240, 200), 1.0)
    assert (result.u == 128).all()
    assert (result.v == 128).all()


def test_chroma_gains_are_bounded_and_belong_to_the_lift():
    gains = gain_curve(lift_curve(1.0))
    assert gains.min() >= 0
    assert gains.max() <= CHROMA_GAIN_LIMIT
    assert gains[128] == pytest.approx(0.6 * LIFT / (128 - 16), rel=0.01)


def test_the_light_fades_out_without_an_edge():
    image = skin(120)
    change = brightened(image, face_at(320, 240, 250), 1.0).y.astype(int) - image.y
    assert np.abs(np.diff(change, axis=0)).max() <= 2
    assert np.abs(np.diff(change, axis=1)).max() <= 2


def test_grain_is_kept():
    image, face = grainy_image(640, 480), face_at(320, 240, 200)
    result = brightened(image, face, 1.0)
    patch = (slice(250, 270), slice(290, 310))
    assert result.y[patch].std() == pytest.approx(image.y[patch].std(), rel=0.1)
