import numpy as np
import pytest

from filters.cube import Cube
from filters.image import YuvImage
from filters.looks import LOOKS
from filters.parameters import Parameters
from filters.stages.look import Look, look_name, tables_of
from tests.filter_faces import grainy_image, planes, portrait, same

FULL = Parameters(look_amount=100)


def looked(image: YuvImage, stage: Look, parameters: Parameters = FULL) -> YuvImage:
    result = image.copy()
    stage.apply(result, [], parameters)
    return result


def to_rgb(image: YuvImage) -> np.ndarray:
    """Per chroma pixel, from mean luma, 0 to 1 and beyond."""
    y = image.y.reshape(image.u.shape[0], 2, -1, 2).mean(axis=(1, 3))
    light, cb, cr = (y - 16) / 219, (image.u - 128.0) / 224, (image.v - 128.0) / 224
    return np.stack(
        [light + 1.402 * cr, light - 0.344136 * cb - 0.714136 * cr, light + 1.772 * cb], axis=-1
    )


def test_there_are_eight_looks_and_the_slider_reaches_each():
    assert len(LOOKS) >= 8
    reached = [look_name(Parameters(look=value)) for value in range(101)]
    assert list(dict.fromkeys(reached)) == list(LOOKS)


@pytest.mark.parametrize("name", LOOKS)
def test_every_look_stays_in_range_and_keeps_the_order_of_greys(name):
    greys = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[:, None], 3, axis=1)
    result = LOOKS[name](greys)
    assert result.dtype == np.float32
    assert result.min() >= 0
    assert result.max() <= 1
    assert (np.diff(result @ np.array([0.299, 0.587, 0.114])) >= -1e-4).all()


@pytest.mark.parametrize("name", LOOKS)
def test_the_picture_gets_the_colours_of_the_look(name):
    image = portrait()
    result = to_rgb(looked(image, Look(LOOKS[name])))
    before = to_rgb(image)
    wanted = LOOKS[name](np.clip(before, 0, 1).astype(np.float32)) - np.clip(before, 0, 1) + before
    # Pure Python arithmetic per pixel is the oracle; the table knows four code values apart.
    assert np.abs(result - wanted).mean() < 0.01
    assert np.percentile(np.abs(result - wanted), 99) < 0.04


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_keeps_skin_a_skin_colour(name):
    skins = np.array([(0.88, 0.72, 0.62), (0.62, 0.45, 0.33), (0.36, 0.24, 0.18)], np.float32)
    result = LOOKS[name](skins)
    assert (np.diff(result, axis=-1) <= 0.02).all()  # red over green over blue, still


def test_a_look_that_changes_nothing_changes_next_to_nothing():
    image = grainy_image(320, 240)
    result = looked(image, Look(lambda colours: colours))
    for one, other in zip(planes(result), planes(image), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_greys_follow_their_curve_exactly():
    curve, (dy, _, _) = tables_of(LOOKS["mono"])
    image = YuvImage.blank(256, 2)
    image.y[:] = np.arange(256)
    result = looked(image, Look(LOOKS["mono"]))
    inner = slice(20, 230)
    assert np.abs(result.y[0, inner] - np.arange(256)[inner] - curve[inner]).max() <= 1.5
    assert np.isfinite(dy).all()


def test_a_cube_of_ones_own_replaces_the_built_in_looks():
    table = np.zeros((2, 2, 2, 3), np.float32)
    table[1, 1, 1] = 1
    table[1, ..., 0] = 1
    image = grainy_image(64, 64)
    custom = looked(image, Look(Cube(table)))
    assert not same(custom, looked(image, Look()))


def test_changing_the_look_takes_effect_at_once():
    stage, image = Look(), portrait()
    results = [looked(image, stage, Parameters(look_amount=80, look=value)) for value in (0, 99)]
    assert same(results[1], looked(image, Look(), Parameters(look_amount=80, look=99)))
    assert not same(results[0], results[1])
