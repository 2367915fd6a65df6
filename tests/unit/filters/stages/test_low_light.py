import numpy as np
import pytest

from filters.image import YuvImage
from filters.parameters import Parameters
from filters.stages.low_light import LowLight, curves, face_need
from tests.filter_faces import face_at, grainy_image, region_in, same

FULL = Parameters(low_light=100)


def lit(image: YuvImage, stage: LowLight, weight: float = 1.0) -> YuvImage:
    result = image.copy()
    stage.apply(result, [region_in(image, face_at(320, 240, 200), weight)], FULL)
    return result


def test_a_dark_picture_is_lifted_and_a_light_one_is_not():
    dark, light = grainy_image(640, 480, level=45), grainy_image(640, 480, level=140)
    assert lit(dark, LowLight()).y.mean() > dark.y.mean() + 15
    assert same(lit(light, LowLight()), light)


def test_dark_skin_in_good_light_stays_as_it_is():
    image = grainy_image(640, 480, level=45)
    image.y[:60], image.y[:, :160] = 210, 210  # a bright wall
    assert same(lit(image, LowLight()), image)


def test_without_a_face_nothing_happens():
    image = grainy_image(640, 480, level=45)
    result = image.copy()
    LowLight().apply(result, [], FULL)
    assert same(result, image)


def test_a_face_that_fades_out_takes_the_light_with_it():
    image = grainy_image(640, 480, level=45)
    means = [lit(image, LowLight(), weight).y.mean() for weight in (1.0, 0.6, 0.2)]
    assert means == sorted(means, reverse=True)
    assert means[-1] - image.y.mean() < 0.4 * (means[0] - image.y.mean())


def test_light_that_trembles_does_not_make_the_picture_flicker():
    stage, random = LowLight(), np.random.default_rng(6)
    before, after = [], []
    for _ in range(60):
        image = grainy_image(640, 480, level=55 + random.normal(0, 4))
        result = lit(image, stage)
        before.append(image.y.mean())
        after.append(result.y.mean())
    assert np.diff(after[10:]).std() < 1.6 * np.diff(before[10:]).std()
    fixed = grainy_image(640, 480, level=55)
    assert abs(lit(fixed, stage).y.mean() - lit(fixed, stage).y.mean()) < 0.5


def test_need_follows_slowly():
    stage = LowLight()
    stage._steadied(0.5)
    needs = [stage._steadied(0.5 + 0.2 * (-1) ** n) for n in range(100)]
    assert np.ptp(needs) < 0.02
    needs = [stage._steadied(0.9) for _ in range(100)]
    assert 0.5 < needs[0] < 0.55
    assert needs[-1] > 0.85


def test_another_scene_gets_its_own_light_at_once():
    stage = LowLight()
    lit(grainy_image(640, 480, level=140), stage)
    dark = grainy_image(640, 480, level=35)
    assert same(lit(dark, stage), lit(dark, LowLight()))


@pytest.mark.parametrize("lift", [0.0, 0.3, 1.0])
def test_curves_keep_order_black_and_white(lift):
    light, colour = curves(lift)
    assert (np.diff(light.astype(int)) >= 0).all()
    assert light[0] == 0
    assert light[16] == 16
    assert light[235] == 235
    assert light[255] == 255
    assert colour[128] == 128
    if lift == 0:
        assert (light == np.arange(256)).all()
        assert (colour == np.arange(256)).all()


def test_a_face_without_skin_in_the_picture_needs_nothing():
    image = grainy_image(640, 480, level=45)
    region = region_in(image, face_at(320, 240, 200))
    region.skin[:] = 0
    assert face_need(image, region) == 0
