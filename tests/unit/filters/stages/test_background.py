import numpy as np
import pytest

from filters.errors import FilterError
from filters.image import YuvImage
from filters.mediapipe_selfie import MediaPipeSelfie
from filters.parameters import Parameters
from filters.people import LOOK_EVERY
from filters.stages.background import Background, shade
from tests.filter_faces import KnownPerson, grainy_image, planes, portrait, same, strided

BLUR, REPLACE = Parameters(background_blur=100), Parameters(background_replace=100)
# The person of KnownPerson in a picture 640 wide: sure of her here, and sure of none there.
PERSON, WALL = (slice(None), slice(240, 400)), (slice(None), slice(0, 180))


def behind(image: YuvImage, parameters: Parameters, **stage) -> YuvImage:
    result = image.copy()
    Background(KnownPerson(), **stage).apply(result, [], parameters)
    return result


@pytest.mark.parametrize("parameters", [BLUR, REPLACE])
def test_a_person_stays_bit_for_bit(parameters):
    image = grainy_image(640, 480)
    result = behind(image, parameters)
    assert np.array_equal(result.y[PERSON], image.y[PERSON])
    assert np.array_equal(result.u[:, 120:200], image.u[:, 120:200])


def test_the_background_loses_its_detail_and_keeps_its_light():
    image = grainy_image(640, 480)
    result = behind(image, BLUR)
    fine = [np.diff(picture.y[WALL].astype(int), axis=1).std() for picture in (result, image)]
    assert fine[0] < 0.15 * fine[1]
    assert abs(result.y[WALL].mean() - image.y[WALL].mean()) < 3


def test_the_blur_holds_nothing_of_the_person():
    image = grainy_image(640, 480)
    image.y[:], image.u[:], image.v[:] = 90, 120, 130
    image.y[:, 200:440], image.v[:, 100:220] = 235, 220
    result = behind(image, BLUR)
    assert result.y[:, :190].max() < 130
    assert result.v[:, :95].max() < 150


def test_a_colour_covers_the_background():
    y, u, v = shade(0.4)
    result = behind(grainy_image(640, 480), Parameters(background_replace=100, background_shade=40))
    assert (result.y[WALL] == y).all()
    assert (result.u[:, :90] == u).all()
    assert (result.v[:, :90] == v).all()


def test_a_picture_of_ones_own_is_laid_behind():
    other = YuvImage.blank(100, 50)
    other.y[:, :50], other.y[:, 50:] = 60, 180
    result = behind(grainy_image(640, 480), REPLACE, picture=other)
    assert (result.y[:, :180] == 60).all()
    assert (result.y[:, 460:] == 180).all()


def test_without_a_segmenter_it_is_never_active():
    assert not Background().is_active(BLUR)
    image = grainy_image(64, 48)
    result = image.copy()
    Background().apply(result, [], BLUR)
    assert same(result, image)


def test_the_net_looks_at_every_second_picture_only():
    person = KnownPerson()
    stage = Background(person)
    for _ in range(10):
        stage.apply(grainy_image(64, 48), [], BLUR)
    assert person.calls == 10 // LOOK_EVERY


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 15), (641, 361), (1920, 1080)])
def test_every_size_and_stride_works(size):
    image = grainy_image(*size)
    scattered = strided(image)
    parameters = Parameters(background_blur=70, background_replace=30)
    Background(KnownPerson()).apply(scattered, [], parameters)
    assert same(scattered, behind(image, parameters))


def test_the_real_net_knows_an_astronaut_from_her_background():
    net = MediaPipeSelfie()
    mask = net.segment(portrait())
    repeated = net.segment(portrait())
    net.close()
    net.close()
    assert mask.shape == (144, 256)
    assert np.array_equal(mask, repeated)
    assert mask[60:130, 90:140].mean() > 0.9  # face and chest
    assert mask[5:25, 5:30].mean() < 0.3
    with pytest.raises(FilterError, match="closed"):
        net.segment(portrait())


def test_the_real_net_only_reads_the_picture():
    image, net = portrait(), MediaPipeSelfie()
    for plane in planes(image):
        plane.flags.writeable = False
    net.segment(image)
    net.segment(strided(grainy_image(33, 17)))
    net.close()
