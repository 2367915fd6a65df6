import numpy as np
import pytest

from filters.image import YuvImage
from filters.landmarks import FaceLandmarks
from filters.motion import FaceMotion
from tests.filter_faces import face_at, grainy_image, look, moved, portrait


def flat(face: FaceLandmarks) -> np.ndarray:
    return np.asarray(face.points())[:, :2]


@pytest.fixture
def face(detector) -> FaceLandmarks:
    return look(detector, portrait())[0]


@pytest.mark.parametrize(("x_px", "y_px"), [(0, 0), (2, 0), (0, -4), (6, 8), (-12, 4)])
def test_a_face_that_shifts_is_followed_to_a_fraction_of_a_pixel(face, x_px, y_px):
    motion = FaceMotion(portrait(), face)
    followed = motion.follow(moved(portrait(), x_px, y_px))
    assert followed is not None
    error = flat(followed) - flat(face) - (x_px, y_px)
    assert np.abs(error).max() < 0.3


def test_following_goes_on_from_picture_to_picture(face):
    motion = FaceMotion(portrait(), face)
    for step in range(1, 7):
        followed = motion.follow(moved(portrait(), 4 * step, -2 * step))
    assert followed is not None
    assert np.abs(flat(followed) - flat(face) - (24, -12)).max() < 1


def test_a_face_that_comes_nearer_grows(face):
    image = portrait()
    rows = np.rint(256 + (np.arange(512) - 256) / 1.03).astype(int)
    nearer = YuvImage(
        image.y[np.ix_(rows, rows)],
        *(plane[np.ix_(rows[::2] // 2, rows[::2] // 2)] for plane in (image.u, image.v)),
    )
    followed = FaceMotion(image, face).follow(nearer)
    assert followed is not None
    assert np.abs(flat(followed) - (256 + (flat(face) - 256) * 1.03)).mean() < 0.7
    depth = np.asarray(followed.points())[:, 2].std() / np.asarray(face.points())[:, 2].std()
    assert depth == pytest.approx(1.03, abs=0.01)


def test_the_pace_is_in_face_widths(face):
    motion = FaceMotion(portrait(), face)
    assert motion.pace == 0
    motion.follow(portrait())
    assert motion.pace < 0.001
    motion.follow(moved(portrait(), 6, 0))
    size_px = np.ptp(flat(face)[:, 0])
    assert motion.pace == pytest.approx(6 / size_px, rel=0.2)


def test_a_face_that_is_gone_cannot_be_followed(face):
    noise = grainy_image(512, 512)
    noise.y[:] = np.random.default_rng(3).integers(0, 256, noise.y.shape)
    assert FaceMotion(portrait(), face).follow(noise) is None


def test_another_size_cannot_be_followed(face):
    assert FaceMotion(portrait(), face).follow(grainy_image(64, 64)) is None


@pytest.mark.parametrize(
    ("x_px", "y_px", "size_px"),
    [(0, 0, 200), (320, 240, 200), (160, 120, 3000), (160, 120, 4), (-900, 0, 50), (160, 120, 1)],
)
def test_faces_anywhere_and_of_any_size_are_survived(x_px, y_px, size_px):
    image = grainy_image(321, 241)
    motion = FaceMotion(image, face_at(x_px, y_px, size_px))
    followed = motion.follow(grainy_image(321, 241))
    assert followed is None or np.isfinite(flat(followed)).all()


def test_the_picture_is_only_read_and_not_kept(face):
    image = portrait()
    motion = FaceMotion(image, face)
    for plane in (image.y, image.u, image.v):
        plane[:] = 0  # the caller's buffer is used again
    followed = motion.follow(portrait())
    assert followed is not None
    assert np.abs(flat(followed) - flat(face)).max() < 0.1
