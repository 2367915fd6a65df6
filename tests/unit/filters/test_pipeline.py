import numpy as np
import pytest

from filters.errors import FilterError, ImageContractError
from filters.image import YuvImage
from filters.mediapipe_mesh import MediaPipeFaceMesh
from filters.parameters import Parameters
from filters.pipeline import Pipeline
from filters.stages import Pace
from filters.tracking import FADE_OUT_IMAGES
from tests.filter_faces import KnownFaces, face_at, grainy_image, look, portrait, same

FULL = Parameters(smooth=100, brighten=100)
FACE = face_at(160, 120, 100)
FADED = round(1 - 1 / FADE_OUT_IMAGES, 3)


class Recorder:
    """A stage that notes what it gets."""

    def __init__(self, name: str = "recorder", *, needs_faces: bool = True, active: bool = True):
        self.name, self.needs_faces, self.active = name, needs_faces, active
        self.weights: list[list[float]] = []

    def is_active(self, parameters: Parameters) -> bool:
        del parameters
        return self.active

    def apply(self, image, faces, parameters) -> None:
        del image, parameters
        self.weights.append([round(face.weight, 3) for face in faces])


class Net(Recorder):
    """A stage with a net of its own that notes what pictures have time for."""

    def __init__(self) -> None:
        super().__init__("net")
        self.paces: list[Pace] = []
        self.hasty: list[bool] = []

    def keep_pace(self, pace: Pace) -> None:
        self.paces.append(pace)

    def apply(self, image, faces, parameters) -> None:
        super().apply(image, faces, parameters)
        self.hasty += [face.in_haste for face in faces]


def looking(detector, stages=None) -> Pipeline:
    """A pipeline that asks its detector for every picture."""
    return Pipeline(detector, stages, look_every=1)


def test_all_off_touches_nothing_and_looks_for_nobody():
    detector = KnownFaces([FACE])
    image = grainy_image(320, 240)
    for plane in (image.y, image.u, image.v):
        plane.flags.writeable = False  # not even writing the same values back
    before = image.copy()
    applied = Pipeline(detector).apply(image, Parameters())
    assert applied.durations_us == {}
    assert detector.calls == 0
    assert same(image, before)


@pytest.mark.parametrize(
    ("parameters", "ran"),
    [
        (Parameters(smooth=1), ["landmarks", "masks", "smooth"]),
        (Parameters(brighten=1), ["landmarks", "masks", "brighten"]),
        (Parameters(smooth=1, brighten=1), ["landmarks", "masks", "smooth", "brighten"]),
    ],
)
def test_only_what_is_on_runs_and_says_how_long(parameters, ran):
    applied = Pipeline(KnownFaces([FACE])).apply(grainy_image(320, 240), parameters)
    assert list(applied.durations_us) == ran
    assert all(isinstance(value, int) and value >= 0 for value in applied.durations_us.values())


def test_a_picture_without_a_face_is_not_changed():
    image = grainy_image(320, 240)
    before = image.copy()
    Pipeline(KnownFaces([])).apply(image, FULL)
    assert same(image, before)


def test_the_first_picture_is_filtered_fully():
    first, later = grainy_image(320, 240), grainy_image(320, 240)
    pipeline = Pipeline(KnownFaces([FACE]))
    pipeline.apply(first, FULL)
    for _ in range(5):
        pipeline.apply(grainy_image(320, 240), FULL)
    pipeline.apply(later, FULL)
    assert same(first, later)


def test_a_lost_face_fades_within_ten_pictures_and_leaves_nothing_behind():
    pipeline = looking(KnownFaces([FACE], []))
    pipeline.apply(grainy_image(320, 240), FULL)
    changes = []
    for _ in range(FADE_OUT_IMAGES + 1):
        image, before = grainy_image(320, 240), grainy_image(320, 240)
        pipeline.apply(image, FULL)
        changes.append(np.abs(image.y.astype(int) - before.y).sum())
    assert changes[: FADE_OUT_IMAGES - 1] == sorted(changes[: FADE_OUT_IMAGES - 1], reverse=True)
    assert changes[0] > 0
    assert changes[FADE_OUT_IMAGES - 1 :] == [0, 0]


@pytest.mark.parametrize("seen", [1, 2, 3, 4])
def test_a_loss_between_two_looks_is_over_within_ten_pictures_too(seen):
    recorder = Recorder()
    detector = KnownFaces([FACE])
    pipeline = Pipeline(detector, [recorder])
    for _ in range(seen):
        pipeline.apply(grainy_image(320, 240), FULL)
    detector.show([])
    for n in range(12):
        pipeline.apply(grainy_image(320, 240, seed=n + 2), FULL)
    assert len(recorder.weights[:seen]) == seen
    assert all(weights == [] for weights in recorder.weights[seen + 9 :])


def test_after_a_cut_the_old_face_is_gone_at_once():
    pipeline = looking(KnownFaces([FACE], [FACE], []))
    pipeline.apply(grainy_image(320, 240, level=60), FULL)
    pipeline.apply(grainy_image(320, 240, level=60), FULL)
    other_scene = grainy_image(320, 240, level=190)
    before = other_scene.copy()
    pipeline.apply(other_scene, FULL)
    assert same(other_scene, before)


@pytest.mark.parametrize("next_size", [(640, 480), (160, 120), (321, 241)])
def test_after_a_change_of_size_the_new_face_counts_fully(next_size):
    recorder = Recorder()
    width_px, height_px = next_size
    second = face_at(width_px / 2, height_px / 2, height_px / 3)
    pipeline = looking(KnownFaces([FACE], [], [second]), [recorder])
    pipeline.apply(grainy_image(320, 240), FULL)
    pipeline.apply(grainy_image(320, 240), FULL)
    pipeline.apply(grainy_image(*next_size), FULL)
    assert recorder.weights == [[1.0], [FADED], [1.0]]


def test_switching_off_and_on_starts_anew():
    recorder = Recorder()
    pipeline = looking(KnownFaces([FACE], []), [recorder])
    image = grainy_image(320, 240)
    pipeline.apply(image, FULL)
    pipeline.apply(image, FULL)
    recorder.active = False
    pipeline.apply(image, FULL)
    recorder.active = True
    pipeline.apply(image, FULL)
    assert recorder.weights == [[1.0], [FADED], []]


def test_a_slider_moves_the_effect_at_once():
    pipeline = Pipeline(KnownFaces([FACE]))
    sums = []
    for smooth in (20, 90, 20):
        image, before = grainy_image(320, 240), grainy_image(320, 240)
        pipeline.apply(image, Parameters(smooth=smooth))
        sums.append(np.abs(image.y.astype(int) - before.y).sum())
    assert sums[0] == sums[2] < sums[1]


def test_several_faces_are_all_filtered():
    faces = [face_at(60, 120, 70), face_at(160, 80, 60), face_at(260, 150, 80, turn_deg=30)]
    together = grainy_image(320, 240)
    Pipeline(KnownFaces(faces)).apply(together, FULL)
    for face, columns in zip(
        faces, (slice(20, 100), slice(125, 195), slice(215, 305)), strict=True
    ):
        alone, before = grainy_image(320, 240), grainy_image(320, 240)
        Pipeline(KnownFaces([face])).apply(alone, FULL)
        assert np.array_equal(together.y[:, columns], alone.y[:, columns])
        assert (alone.y[:, columns] != before.y[:, columns]).mean() > 0.1


def test_stages_that_need_no_face_run_without_a_detector():
    detector, recorder = KnownFaces([FACE]), Recorder(needs_faces=False)
    applied = Pipeline(detector, [recorder]).apply(grainy_image(64, 64), Parameters())
    assert detector.calls == 0
    assert recorder.weights == [[]]
    assert list(applied.durations_us) == ["recorder"]


def test_stages_run_in_the_order_given():
    stages = [Recorder("b"), Recorder("a")]
    applied = Pipeline(KnownFaces([FACE]), stages).apply(grainy_image(320, 240), Parameters())
    assert list(applied.durations_us) == ["landmarks", "masks", "b", "a"]


def test_pictures_at_which_the_detector_looks_leave_to_others_what_can_wait(detector):
    net = Net()
    image = portrait()
    pipeline = Pipeline(KnownFaces([look(detector, image)[0]]), [net])
    for _ in range(7):
        pipeline.apply(image.copy(), FULL)
    assert [pace.in_haste for pace in net.paces] == [True, False, False] * 2 + [True]
    # Of the first picture nothing is known that could be used again.
    assert net.hasty == [False, False, False, True, False, False, True]


def test_files_have_time_for_everything():
    net = Net()
    pipeline = looking(KnownFaces([FACE]), [net])
    for _ in range(3):
        pipeline.apply(grainy_image(320, 240), FULL)
    assert not any(pace.in_haste for pace in net.paces)
    assert net.hasty == [False] * 3


@pytest.mark.parametrize("needs_faces", [True, False])
def test_every_stage_learns_of_a_cut(needs_faces):
    net = Net()
    net.needs_faces = needs_faces
    pipeline = Pipeline(KnownFaces([FACE]), [net])
    for level in (60, 60, 190, 190):
        pipeline.apply(grainy_image(320, 240, level=level), FULL)
    assert [pace.is_new_scene for pace in net.paces] == [False, False, True, False]


def test_a_read_only_plane_is_refused_before_anything_happens():
    image = grainy_image(320, 240)
    image.u.flags.writeable = False
    detector = KnownFaces([FACE])
    with pytest.raises(ImageContractError, match="read-only"):
        Pipeline(detector).apply(image, FULL)
    assert detector.calls == 0


def test_a_detector_that_fails_leaves_the_picture_as_it_came():
    class Failing(KnownFaces):
        def detect(self, image: YuvImage):
            raise FilterError("the face graph failed")

    image, before = grainy_image(320, 240), grainy_image(320, 240)
    with pytest.raises(FilterError):
        Pipeline(Failing([])).apply(image, FULL)
    assert same(image, before)


def test_time_between_pictures_may_be_anything():
    pipeline = Pipeline(KnownFaces([FACE]))
    for elapsed_s in (0.0, -5.0, 1e-9, 3600.0):
        pipeline.apply(grainy_image(320, 240), FULL, elapsed_s=elapsed_s)


def test_with_the_real_detector_a_portrait_is_filtered_and_its_corners_are_not():
    mesh = MediaPipeFaceMesh()
    image, before = portrait(), portrait()
    Pipeline(mesh).apply(image, FULL)
    mesh.close()
    changed = (image.y != before.y) | np.kron(image.u != before.u, np.ones((2, 2), bool))
    assert changed[60:200, 170:270].mean() > 0.3
    assert not changed[300:].any()
    assert not changed[:, :120].any()


def test_a_still_camera_sees_no_more_flicker_than_before():
    random = np.random.default_rng(9)
    mesh = MediaPipeFaceMesh()
    pipeline = Pipeline(mesh)
    before, after = [], []
    for _ in range(24):
        image = portrait()
        noise = random.normal(0, 2, image.y.shape)
        image.y[:] = np.clip(np.rint(image.y + noise), 0, 255)
        before.append(image.y.copy())
        pipeline.apply(image, Parameters(smooth=80, brighten=50))
        after.append(image.y.copy())
    mesh.close()
    face = (slice(60, 200), slice(170, 270))
    flicker = [
        np.stack(luma[8:])[(slice(None), *face)].var(axis=0).mean() for luma in (before, after)
    ]
    assert flicker[1] < 1.1 * flicker[0]
