import numpy as np
import pytest

from filters.tracking import FADE_IN_IMAGES, FADE_OUT_IMAGES, KEEP_SIZE, FaceTracker
from tests.filter_faces import face_at

INTERVAL_S = 1 / 30


def centre(tracked) -> np.ndarray:
    return np.asarray(tracked.landmarks.points())[:, :2].mean(axis=0)


def test_the_first_face_counts_fully_at_once():
    assert [face.weight for face in FaceTracker().update([face_at(100, 100, 80)], INTERVAL_S)] == [
        1
    ]


def test_pictures_without_a_face_do_not_use_up_the_first():
    tracker = FaceTracker()
    for _ in range(20):
        assert tracker.update([], INTERVAL_S) == []
    assert tracker.update([face_at(100, 100, 80)], INTERVAL_S)[0].weight == 1


def test_a_lost_face_fades_out_in_place_within_ten_pictures():
    tracker = FaceTracker()
    tracker.update([face_at(100, 120, 80)], INTERVAL_S)
    weights = []
    for _ in range(FADE_OUT_IMAGES + 3):
        faces = tracker.update([], INTERVAL_S)
        weights.append(faces[0].weight if faces else 0.0)
        if faces:
            assert np.allclose(centre(faces[0]), (100, 120), atol=0.01)
    assert weights[0] == pytest.approx(1 - 1 / FADE_OUT_IMAGES)
    assert weights[: FADE_OUT_IMAGES - 1] == sorted(weights[: FADE_OUT_IMAGES - 1], reverse=True)
    assert all(weight > 0 for weight in weights[: FADE_OUT_IMAGES - 1])
    assert FADE_OUT_IMAGES <= 10
    assert weights[FADE_OUT_IMAGES - 1 :] == [0.0] * 4


def test_a_face_that_returns_fades_in():
    tracker = FaceTracker()
    face = face_at(100, 100, 80)
    tracker.update([face], INTERVAL_S)
    for _ in range(FADE_OUT_IMAGES):
        tracker.update([], INTERVAL_S)
    weights = [tracker.update([face], INTERVAL_S)[0].weight for _ in range(FADE_IN_IMAGES + 2)]
    assert weights == pytest.approx(
        [min(1, (n + 1) / FADE_IN_IMAGES) for n in range(FADE_IN_IMAGES + 2)]
    )


def test_one_missed_picture_is_hardly_seen():
    tracker = FaceTracker()
    face = face_at(100, 100, 80)
    tracker.update([face], INTERVAL_S)
    weights = [tracker.update(found, INTERVAL_S)[0].weight for found in ([], [face], [face])]
    assert weights == pytest.approx([1 - 1 / FADE_OUT_IMAGES, 1, 1])


def test_after_a_reset_faces_count_fully_and_start_anew():
    tracker = FaceTracker()
    tracker.update([face_at(100, 100, 80)], INTERVAL_S)
    tracker.update([], INTERVAL_S)
    tracker.reset()
    (face,) = tracker.update([face_at(300, 100, 80)], INTERVAL_S)
    assert face.weight == 1
    assert np.allclose(centre(face), (300, 100), atol=0.01)


def test_two_faces_keep_their_lives_when_the_detector_swaps_them():
    tracker = FaceTracker()
    left, right = face_at(100, 100, 60), face_at(300, 100, 60)
    tracker.update([left, right], INTERVAL_S)
    for found in ([right, left], [left, right], [right, left]):
        faces = tracker.update(found, INTERVAL_S)
        assert [face.weight for face in faces] == [1, 1]
        assert sorted(centre(face)[0] for face in faces) == pytest.approx([100, 300], abs=0.5)


def test_one_of_two_faces_fades_alone():
    tracker = FaceTracker()
    left, right = face_at(100, 100, 60), face_at(300, 100, 60)
    tracker.update([left, right], INTERVAL_S)
    weights = {round(centre(face)[0]): face.weight for face in tracker.update([right], INTERVAL_S)}
    assert weights == pytest.approx({300: 1, 100: 1 - 1 / FADE_OUT_IMAGES})


def test_a_face_found_twice_is_one_face():
    assert len(FaceTracker().update([face_at(100, 100, 60), face_at(104, 98, 62)], INTERVAL_S)) == 1


def test_a_face_somewhere_else_is_another_face():
    tracker = FaceTracker()
    tracker.update([face_at(100, 100, 60)], INTERVAL_S)
    faces = tracker.update([face_at(400, 100, 60)], INTERVAL_S)
    assert sorted(face.weight for face in faces) == pytest.approx(
        [1 / FADE_IN_IMAGES, 1 - 1 / FADE_OUT_IMAGES]
    )


def test_a_trembling_size_is_held_and_a_real_change_followed():
    tracker = FaceTracker()
    (first,) = tracker.update([face_at(200, 200, 100)], INTERVAL_S)
    for size_px in (103, 98, 105, 96, 101):
        (face,) = tracker.update([face_at(200, 200, size_px)], INTERVAL_S)
        assert face.size_px == first.size_px
    for _ in range(60):
        (face,) = tracker.update([face_at(200, 200, 160)], INTERVAL_S)
    assert 160 / KEEP_SIZE <= face.size_px <= 160 * KEEP_SIZE


@pytest.mark.parametrize("elapsed_s", [0, -1, 1e-9, 1e9])
def test_any_clock_is_survived(elapsed_s):
    tracker = FaceTracker()
    for x_px in (100, 110, 120):
        (face,) = tracker.update([face_at(x_px, 100, 80)], elapsed_s)
    assert np.isfinite(centre(face)).all()
    assert 100 <= centre(face)[0] <= 120.01


def test_many_faces_over_a_long_time_leave_nothing_behind():
    tracker = FaceTracker()
    random = np.random.default_rng(5)
    for _ in range(200):
        found = [face_at(*random.uniform(0, 2000, 2), 40) for _ in range(random.integers(0, 3))]
        tracker.update(found, INTERVAL_S)
    for _ in range(FADE_OUT_IMAGES):
        faces = tracker.update([], INTERVAL_S)
    assert faces == []


def test_it_says_when_a_face_has_just_been_lost():
    tracker = FaceTracker()
    assert not tracker.has_lost_one
    tracker.update([face_at(100, 100, 80)], INTERVAL_S)
    assert not tracker.has_lost_one
    tracker.update([], INTERVAL_S)
    assert tracker.has_lost_one
    tracker.update([face_at(100, 100, 80)], INTERVAL_S)
    assert not tracker.has_lost_one
    tracker.update([], INTERVAL_S)
    tracker.reset()
    assert not tracker.has_lost_one
