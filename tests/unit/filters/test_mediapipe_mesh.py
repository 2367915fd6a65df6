import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from benchmarks.beauty.quality import image_of_rgb
from filters import mediapipe_mesh, mesh
from filters.errors import FilterError, ModelMissing
from filters.face_search import FaceSearch
from filters.image import YuvImage
from filters.landmarks import LANDMARK_COUNT, FaceLandmarks
from filters.mediapipe_graph import on_the_calling_thread
from filters.mediapipe_mesh import SEARCH_EVERY, MediaPipeFaceMesh, draw_face
from tests.filter_faces import STILLS, grainy_image, look, planes, portrait, read_images, strided


def flat(face: FaceLandmarks) -> np.ndarray:
    return np.asarray(face.points())[:, :2]


def test_a_drawn_face_is_found_where_it_was_drawn(detector):
    points = flat(look(detector, image_of_rgb(draw_face(640, 360)))[0])
    assert points.shape == (LANDMARK_COUNT, 2)
    assert np.abs(points.mean(axis=0) - (320, 180)).max() < 20
    iris = points[[mesh.RIGHT_IRIS_CENTRE, mesh.LEFT_IRIS_CENTRE]]
    assert iris[0, 0] < 320 < iris[1, 0]


def test_a_portrait_has_its_features_in_order(detector):
    points = flat(look(detector, portrait())[0])
    brow, eye = points[mesh.RIGHT_BROW].mean(axis=0), points[mesh.RIGHT_EYE].mean(axis=0)
    lips, chin = points[mesh.LIPS].mean(axis=0), points[mesh.CHIN]
    assert brow[1] < eye[1] < lips[1] < chin[1]


@pytest.mark.parametrize("name", STILLS)
def test_every_still_has_a_face_on_every_skin_tone(detector, media, name):
    assert len(look(detector, read_images(media / name)[0])) == 1


def test_several_faces_are_found_when_asked_for(media):
    image = read_images(media / "still_four_people_mixed_tones.jpg")[0]
    with_room = MediaPipeFaceMesh(max_faces=4)
    alone = MediaPipeFaceMesh(max_faces=1)
    try:
        assert len(look(with_room, image)) == 4
        assert len(look(alone, image)) == 1
    finally:
        with_room.close()
        alone.close()


def test_a_picture_without_a_face_has_none(detector):
    assert list(look(detector, grainy_image(640, 360))) == []
    assert list(look(detector, YuvImage.blank(640, 360))) == []


def test_the_face_of_the_warm_up_is_forgotten():
    fresh = MediaPipeFaceMesh()
    assert list(fresh.detect(YuvImage.blank(640, 360))) == []
    fresh.close()


def test_the_size_may_change_at_any_time(detector):
    for width_px, height_px in ((640, 360), (360, 640), (320, 180), (1281, 719), (640, 360)):
        face = look(detector, image_of_rgb(draw_face(width_px, height_px)))[0]
        middle = flat(face).mean(axis=0) / (width_px, height_px)
        assert np.abs(middle - 0.5).max() < 0.06


def test_coordinates_are_pixels_of_the_picture_whatever_its_size(detector):
    small = flat(look(detector, image_of_rgb(draw_face(640, 360)))[0])
    large = flat(look(detector, image_of_rgb(draw_face(1920, 1080)))[0])
    assert np.abs(large / 3 - small).max() < 6


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 400), (8, 8), (16, 16), (17, 33), (4000, 8)])
def test_tiny_and_narrow_pictures_have_no_face_and_do_no_harm(detector, size):
    assert list(detector.detect(YuvImage.blank(*size))) == []


def test_a_4k_picture_works(detector):
    assert len(look(detector, image_of_rgb(draw_face(3840, 2160)))) == 1


def test_small_faces_are_found_in_squares_of_the_picture(media):
    still = read_images(media / "still_five_people_sunglasses.jpg")[0]
    mesh, at_once = MediaPipeFaceMesh(max_faces=5), MediaPipeFaceMesh(max_faces=5, thorough=True)
    try:
        counts = [len(mesh.detect(still)) for _ in range(24)]
        assert len(at_once.detect(still)) == 5
    finally:
        mesh.close()
        at_once.close()
    assert counts[-1] == 5


@pytest.mark.parametrize("size_px", [95, 130, 200, 500])
def test_faces_from_a_twentieth_of_a_wide_picture_on_are_found(detector, size_px):
    large = YuvImage.blank(1280, 720)
    for plane in planes(large):
        plane[:] = 110
    part = image_of_rgb(cv2.resize(astronaut_head(), (size_px * 2, size_px * 2)))
    x, y = 900 - size_px, 300 - min(size_px, 200)
    x, y = min(x, 1280 - 2 * size_px) // 2 * 2, max(0, min(y, 720 - 2 * size_px)) // 2 * 2
    rows, columns = min(2 * size_px, 720 - y), min(2 * size_px, 1280 - x)
    large.y[y : y + rows, x : x + columns] = part.y[:rows, :columns]
    for target, source in ((large.u, part.u), (large.v, part.v)):
        target[y // 2 : (y + rows) // 2, x // 2 : (x + columns) // 2] = source[
            : rows // 2, : columns // 2
        ]
    found = [face for _ in range(8) for face in detector.detect(large)]
    assert found
    middle = flat(found[-1]).mean(axis=0)
    assert x < middle[0] < x + columns
    assert y < middle[1] < y + rows


def astronaut_head() -> np.ndarray:
    return skimage.data.astronaut()[0:260, 100:360]


def test_strided_planes_give_the_same_points():
    image = portrait()
    pair = [MediaPipeFaceMesh(), MediaPipeFaceMesh()]
    plain, scattered = (
        flat(mesh_.detect(picture)[0])
        for mesh_, picture in zip(pair, (image, strided(image)), strict=True)
    )
    assert np.array_equal(plain, scattered)
    for mesh_ in pair:
        mesh_.close()


def test_detection_only_reads(detector):
    image = portrait()
    for plane in (image.y, image.u, image.v):
        plane.flags.writeable = False
    assert len(detector.detect(image)) == 1


def test_the_same_pictures_give_the_same_points():
    image = portrait()
    runs = []
    for _ in range(2):
        fresh = MediaPipeFaceMesh()
        runs.append([flat(fresh.detect(image)[0]) for _ in range(3)])
        fresh.close()
    assert np.array_equal(runs[0], runs[1])


def test_a_closed_detector_says_so_and_closes_again():
    fresh = MediaPipeFaceMesh()
    fresh.close()
    fresh.close()
    with pytest.raises(FilterError, match="closed"):
        fresh.detect(portrait())


def test_faces_must_be_asked_for():
    with pytest.raises(FilterError, match="at least 1"):
        MediaPipeFaceMesh(max_faces=0)


def test_a_graph_that_is_not_ours_is_refused(monkeypatch):
    monkeypatch.setattr(mediapipe_mesh, "FACE_GRAPH", Path("nowhere.binarypb"))
    with pytest.raises(ModelMissing, match="does not start"):
        MediaPipeFaceMesh()


class Watched:
    """A detector of which we see when it searches."""

    def __init__(self, monkeypatch, max_faces: int = 1) -> None:
        self.mesh = MediaPipeFaceMesh(max_faces)
        self.searches = 0
        search = self.mesh._searcher.search_next

        def counted(searcher, image):
            self.searches += 1
            return search(image)

        monkeypatch.setattr(FaceSearch, "search_next", counted)

    def has_searched(self, step) -> bool:
        before = self.searches
        step()
        return self.searches > before


def test_a_followed_face_is_not_searched_for_again(monkeypatch):
    watched, image = Watched(monkeypatch), portrait()
    due = [watched.has_searched(lambda: watched.mesh.detect(image)) for _ in range(9)]
    due += [watched.has_searched(lambda: watched.mesh.scout(image)) for _ in range(3)]
    watched.mesh.close()
    assert due == [True] + [False] * 11


def test_a_lost_face_is_searched_for_at_every_look(monkeypatch):
    watched = Watched(monkeypatch)
    pictures = [portrait()] * 2 + [YuvImage.blank(512, 512)] * 3
    due = [watched.has_searched(lambda p=p: watched.mesh.detect(p)) for p in pictures]
    watched.mesh.close()
    assert due == [True, False, True, True, True]


def test_with_room_for_more_faces_searches_fall_between_the_looks(monkeypatch):
    watched, image = Watched(monkeypatch, max_faces=4), portrait()
    looks, scouts = [], []
    for _ in range(24):
        looks.append(watched.has_searched(lambda: watched.mesh.detect(image)))
        scouts.append(watched.has_searched(lambda: watched.mesh.scout(image)))
    watched.mesh.close()
    assert sum(looks) == 1
    assert 24 // SEARCH_EVERY - 1 <= sum(scouts) <= 24 // SEARCH_EVERY + 1


def test_nobody_scouting_the_looks_search_themselves(monkeypatch):
    watched, image = Watched(monkeypatch, max_faces=4), portrait()
    due = [watched.has_searched(lambda: watched.mesh.detect(image)) for _ in range(20)]
    watched.mesh.close()
    assert 3 <= sum(due) <= 6


def test_what_a_scout_has_found_the_next_look_knows(media):
    crowd = read_images(media / "still_four_people_mixed_tones.jpg")[0]
    mesh = MediaPipeFaceMesh(max_faces=4)
    mesh.detect(crowd)
    mesh._followed = mesh._followed[:1]
    for _ in range(8):
        mesh._looks_since_search = SEARCH_EVERY
        mesh.scout(crowd)
    found = len(mesh.detect(crowd))
    mesh.close()
    assert found == 4


def test_a_face_that_comes_later_is_found_beside_the_first(media):
    crowd = read_images(media / "still_four_people_mixed_tones.jpg")[0]
    mesh = MediaPipeFaceMesh(max_faces=4)
    alone = crowd.copy()
    points = flat(look(mesh, crowd)[0])
    keep = slice(int(points[:, 0].min()) // 2 * 2 - 40, int(points[:, 0].max()) // 2 * 2 + 40)
    for plane, scale in ((alone.y, 1), (alone.u, 2), (alone.v, 2)):
        plane[:, : keep.start // scale] = plane[:, keep.stop // scale :] = 128
    mesh.close()
    mesh = MediaPipeFaceMesh(max_faces=4)
    try:
        counts = [len(mesh.detect(image)) for image in [alone] * 8 + [crowd] * 6]
    finally:
        mesh.close()
    assert counts[7] < 4
    assert counts[-1] == 4


def test_a_graph_of_another_wheel_is_refused():
    with pytest.raises(ModelMissing, match="not the one we know"):
        on_the_calling_thread("node {\n}\n", nets=1)
    with pytest.raises(ModelMissing, match="not the one we know"):
        mediapipe_mesh._landmark_graph('node {\n  name: "facelandmarkcpu__x"\n}\n')


@pytest.mark.parametrize("damage", ["short", "tag", "empty"])
def test_an_answer_in_another_format_is_an_error(damage):
    entry = np.zeros(LANDMARK_COUNT, mediapipe_mesh._ENTRY)
    for name, value in mediapipe_mesh._TAGS:
        entry[name] = value
    entry["x"], entry["y"], entry["z"] = 0.25, 0.5, -0.1
    whole = entry.tobytes()
    assert np.allclose(mediapipe_mesh.read_landmarks(whole), (0.25, 0.5, -0.1))
    damaged = {"short": whole[:-17], "tag": b"\x0b" + whole[1:], "empty": b""}[damage]
    with pytest.raises(FilterError, match="unknown format"):
        mediapipe_mesh.read_landmarks(damaged)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((468, 3), np.float32), ((478, 2), np.float32), ((478, 3), np.float64)]
)
def test_landmarks_of_another_shape_are_refused(shape, dtype):
    with pytest.raises(FilterError):
        FaceLandmarks(np.zeros(shape, dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_landmarks_that_are_not_finite_are_refused(value):
    points = np.zeros((LANDMARK_COUNT, 3), np.float32)
    points[7, 1] = value
    with pytest.raises(FilterError, match="not finite"):
        FaceLandmarks(points)


def test_detection_opens_no_file(detector):
    image = portrait()
    before = sorted(os.listdir("/proc/self/fd"))
    look(detector, image)
    assert sorted(os.listdir("/proc/self/fd")) == before
