import itertools

import cv2
import numpy as np
import pytest

from benchmarks.beauty.quality import FaceAreas, gradient_ratio, texture_ratio
from filters import plain
from filters.image import YuvImage
from filters.masks import MaskBuilder
from filters.stages.smooth import (
    EDGE_VARIANCE,
    MEASURE_EVERY,
    MID_Y,
    NOISE_VARIANCE,
    Smooth,
    edge_variances,
    texture_left,
)
from filters.tracking import TrackedFace
from tests.filter_faces import STILLS, face_at, grainy_image, look, portrait, read_images, region_in


def smoothed(image: YuvImage, face, strength: float) -> YuvImage:
    result = image.copy()
    Smooth().change(result, region_in(image, face), strength)
    return result


def even_skin(level: float, grain: float, *, seed: int = 2) -> YuvImage:
    random = np.random.default_rng(seed)
    image = YuvImage.blank(640, 480)
    image.y[:] = np.clip(np.rint(level + random.normal(0, grain, image.y.shape)), 0, 255)
    image.u[:], image.v[:] = 112, 148
    return image


@pytest.mark.parametrize("strength", [0.01, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("size_px", [20, 60, 150, 300, 500])
def test_fast_is_plain(strength, size_px):
    image, face = grainy_image(641, 479), face_at(330, 220, size_px, turn_deg=10)
    fast = smoothed(image, face, strength)
    slow = plain.smooth_face(image, region_in(image, face), strength)
    difference = np.abs(fast.y.astype(int) - slow.y)
    assert difference.max() <= plain.TOLERANCE
    assert (difference > 0).mean() < 0.01


def test_fast_is_plain_on_a_portrait(detector):
    image = portrait()
    face = look(detector, image)[0]
    slow = plain.smooth_face(image, region_in(image, face), 0.8)
    difference = np.abs(smoothed(image, face, 0.8).y.astype(int) - slow.y)
    assert difference.max() <= plain.TOLERANCE


@pytest.mark.parametrize("strength", [0.3, 0.6, 1.0])
@pytest.mark.parametrize(
    ("level", "grain", "size_px"),
    [
        pytest.param(130, 5, 220, id="usual"),
        pytest.param(45, 1.5, 220, id="dark skin"),
        pytest.param(205, 8, 220, id="light skin"),
        pytest.param(130, 5, 70, id="far away"),
        pytest.param(130, 5, 420, id="near"),
        pytest.param(130, 14, 220, id="a noisy camera"),
        pytest.param(130, 1.5, 220, id="a clean camera"),
    ],
)
def test_every_skin_size_and_camera_keeps_the_same_part_of_its_texture(
    strength, level, grain, size_px
):
    image, face = soft_skin(level, grain), face_at(320, 240, size_px)
    skin = FaceAreas(face, 480, 640).cheeks
    left = texture_ratio(image.y, smoothed(image, face, strength).y, skin)
    assert left == pytest.approx(texture_left(strength), abs=0.06)


def soft_skin(level: float, grain: float) -> YuvImage:
    """Even skin with a texture as cameras see it: a little blurred."""
    image = even_skin(level, 0)
    random = np.random.default_rng(2)
    texture = cv2.GaussianBlur(random.normal(0, 1, image.y.shape), (0, 0), 1.2)
    image.y[:] = np.clip(np.rint(level + grain * texture / texture.std()), 0, 255)
    return image


def test_an_edge_stays_where_it_is_and_sharp():
    image, face = even_skin(150, 2), face_at(320, 240, 220)
    image.y[:, 280:] -= 70
    result = smoothed(image, face, 1.0)
    rows = slice(230, 300)
    step_before = image.y[rows, 279].astype(float).mean() - image.y[rows, 280].mean()
    step_after = result.y[rows, 279].astype(float).mean() - result.y[rows, 280].mean()
    assert step_after > 0.85 * step_before
    # No halo: next to the edge the levels are those further away.
    for near, far in ((slice(272, 280), slice(240, 260)), (slice(280, 288), slice(300, 310))):
        assert abs(result.y[rows, near].mean() - result.y[rows, far].mean()) < 4


def test_chroma_is_not_touched():
    image, face = grainy_image(640, 480), face_at(320, 240, 200)
    result = smoothed(image, face, 1.0)
    assert np.array_equal(result.u, image.u)
    assert np.array_equal(result.v, image.v)


def test_mean_light_on_the_skin_stays():
    image, face = even_skin(140, 5), face_at(320, 240, 220)
    cheek = FaceAreas(face, 480, 640).cheeks
    change = smoothed(image, face, 1.0).y[cheek].mean() - image.y[cheek].mean()
    assert abs(change) < 0.3


@pytest.mark.parametrize("name", STILLS)
def test_on_real_faces_skin_changes_and_eyes_stay(detector, media, name):
    image = read_images(media / name)[0]
    face = look(detector, image)[0]
    areas = FaceAreas(face, image.height_px, image.width_px)
    ratios = []
    for strength in (0.4, 0.8, 1.0):
        result = smoothed(image, face, strength)
        ratios.append(texture_ratio(image.y, result.y, areas.cheeks))
        assert gradient_ratio(image.y, result.y, areas.eyes) > 0.97
    # A band of pixels is mostly form and not skin where a face is small.
    assert all(more < less + 0.01 for less, more in itertools.pairwise(ratios))
    assert 0.25 < min(ratios) < 0.85


@pytest.mark.parametrize(
    "name",
    ["clip_woman_1280x720.mp4", "clip_woman_talking_700x700.mp4", "clip_man_glasses_512x480.mp4"],
)
@pytest.mark.parametrize("strength", [0.45, 0.8])
def test_clips_keep_the_texture_that_was_wanted(detector, media, name, strength):
    image = read_images(media / name)[0]
    face = look(detector, image)[0]
    areas = FaceAreas(face, image.height_px, image.width_px)
    left = texture_ratio(image.y, smoothed(image, face, strength).y, areas.cheeks)
    assert left == pytest.approx(texture_left(strength), abs=0.06)


def test_a_flat_picture_stays_flat():
    image, face = YuvImage.blank(640, 480), face_at(320, 240, 200)
    for level in (0, 16, 128, 255):
        image.y[:] = level
        assert (smoothed(image, face, 1.0).y == level).all()


def test_black_and_white_grain_stays_in_range():
    random = np.random.default_rng(4)
    image, face = YuvImage.blank(320, 240), face_at(160, 120, 150)
    image.y[:] = random.choice([0, 255], image.y.shape)
    result = smoothed(image, face, 1.0)
    cheek = FaceAreas(face, 240, 320).cheeks
    assert texture_ratio(image.y, result.y, cheek) > 0.7  # that is no skin: it is all edges


def test_the_slider_shows_from_its_first_half_and_ends_where_it_should():
    left = [texture_left(position / 100) for position in range(101)]
    assert left[0] == 1
    assert 0.25 < left[100] < left[45] < 0.7
    assert (np.diff(left) < 0).all()
    assert 1 - left[50] > 0.7 * (1 - left[100])


@pytest.mark.parametrize("level", [20, 60, 128, 230])
def test_the_threshold_follows_the_texture_within_its_bounds(level):
    shape = (20, 20)
    mean, skin = np.full(shape, level, np.float32), np.ones(shape, np.float32)
    contrast = ((level - 16) / (MID_Y - 16)) ** 2
    for variance in (0, 1, 30, 1e6):
        edges = edge_variances(mean, np.full(shape, variance, np.float32), skin)
        share = edges - NOISE_VARIANCE
        assert (share >= EDGE_VARIANCE[0] * contrast * 0.999).all()
        assert (share <= EDGE_VARIANCE[1] * contrast * 1.001).all()
        assert (share >= min(variance, EDGE_VARIANCE[1] * contrast * 0.999)).all()


def test_a_face_without_skin_has_a_threshold_too():
    empty = np.zeros((6, 6), np.float32)
    assert (edge_variances(empty, empty, empty) >= NOISE_VARIANCE).all()


def test_a_measured_dose_serves_a_few_pictures():
    """Grain doubles: the dose follows at the next measurement, not before."""
    stage, builder, tracked = Smooth(), MaskBuilder(), TrackedFace(face_at(320, 240, 200))
    pictures = [even_skin(130, 3)] + [even_skin(130, 9)] * 6
    changes = []
    for image in pictures:
        result = image.copy()
        stage.change(result, builder.build(image, tracked), 0.6)
        changes.append(float(np.abs(result.y.astype(float) - image.y).mean()))
    held, anew = changes[1:MEASURE_EVERY], changes[MEASURE_EVERY:]
    assert np.ptp(held) == np.ptp(anew) == 0
    assert abs(held[0] - anew[0]) > 0.01


def test_a_picture_in_haste_is_not_measured():
    stage, builder, tracked = Smooth(), MaskBuilder(), TrackedFace(face_at(320, 240, 200))
    image = even_skin(130, 3)
    for n in range(MEASURE_EVERY + 1):
        stage.change(image.copy(), builder.build(image, tracked, in_haste=n == MEASURE_EVERY), 0.6)
    assert tracked.memory.patches_age == MEASURE_EVERY + 1
