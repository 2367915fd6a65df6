import numpy as np
import pytest

from filters.finding import FaceFinder
from filters.landmarks import FaceLandmarks
from tests.filter_faces import KnownFaces, face_at, look, moved, portrait


@pytest.fixture
def face(detector) -> FaceLandmarks:
    return look(detector, portrait())[0]


def looks(finder: FaceFinder, detector: KnownFaces, images) -> list[bool]:
    """At which pictures the detector was asked."""
    asked = []
    for image in images:
        before = detector.calls
        finder.find(image)
        asked.append(detector.calls > before)
    return asked


def test_a_calm_face_is_looked_at_every_third_picture(face):
    detector = KnownFaces([face])
    asked = looks(FaceFinder(detector), detector, [portrait()] * 7)
    assert asked == [True, False, False] * 2 + [True]


def test_a_moving_face_is_looked_at_every_second_picture(face):
    detector = KnownFaces([face])
    images = [moved(portrait(), 4 * (n % 2), 0) for n in range(7)]
    assert looks(FaceFinder(detector), detector, images) == [True, False] * 3 + [True]


def test_without_a_face_every_picture_is_looked_at():
    detector = KnownFaces([])
    assert looks(FaceFinder(detector), detector, [portrait()] * 4) == [True] * 4


def test_a_face_that_cannot_be_followed_is_looked_for_at_once(face):
    detector = KnownFaces([face])
    noise = portrait()
    noise.y[:] = np.random.default_rng(3).integers(0, 256, noise.y.shape)
    assert looks(FaceFinder(detector), detector, [portrait(), noise]) == [True, True]


def test_one_of_two_faces_that_cannot_be_followed_is_enough(face):
    detector = KnownFaces([face, face_at(-2000, -2000, 100)])
    assert looks(FaceFinder(detector), detector, [portrait()] * 2) == [True, True]


def test_a_look_can_be_demanded_and_a_reset_forgets(face):
    detector = KnownFaces([face])
    finder = FaceFinder(detector)
    finder.find(portrait())
    finder.find(portrait(), look=True)
    assert detector.calls == 2
    finder.reset()
    finder.find(portrait())
    assert detector.calls == 3


def test_files_may_have_every_picture_looked_at(face):
    detector = KnownFaces([face])
    finder = FaceFinder(detector, look_every=1)
    assert looks(finder, detector, [portrait()] * 3) == [True] * 3
