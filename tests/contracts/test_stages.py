"""What every stage owes, tried on every stage there is: a new one is found by itself."""

import dataclasses
import itertools

import numpy as np
import pytest

from filters.image import YuvImage
from filters.parameters import Parameters
from filters.pipeline import Pipeline
from filters.stages import STAGE_TYPES, default_stages
from tests.filter_faces import (
    KnownFaces,
    face_at,
    grainy_image,
    planes,
    region_in,
    same,
    strided,
)

STAGES = [pytest.param(stage, id=stage.name) for stage in STAGE_TYPES]
every_stage = pytest.mark.parametrize("stage_type", STAGES)

SIZES = [(640, 480), (641, 480), (640, 481), (641, 481), (3, 3), (2, 1), (1, 1), (16, 16), (17, 15)]
PLACES = [
    pytest.param(0.5, 0.5, 0.4, id="middle"),
    pytest.param(0.0, 0.5, 0.5, id="cut left"),
    pytest.param(1.0, 0.5, 0.5, id="cut right"),
    pytest.param(0.5, 0.0, 0.5, id="cut above"),
    pytest.param(0.5, 1.0, 0.5, id="cut below"),
    pytest.param(1.0, 1.0, 0.6, id="in the corner"),
    pytest.param(0.5, 0.5, 2.5, id="larger than the picture"),
    pytest.param(0.5, 0.5, 0.03, id="tiny"),
]


def strengths(stage_type, value: int) -> Parameters:
    return Parameters(**{stage_type.name: value})


def apply(stage_type, image: YuvImage, faces, value: int = 100, weight: float = 1.0) -> YuvImage:
    """A filtered copy, through a stage that has never seen anything."""
    result = image.copy()
    regions = [region_in(image, face, weight) for face in faces]
    stage_type().apply(result, regions, strengths(stage_type, value))
    return result


def distance(one: YuvImage, other: YuvImage) -> int:
    return sum(
        int(np.abs(a.astype(int) - b).sum())
        for a, b in zip(planes(one), planes(other), strict=True)
    )


def support(image: YuvImage, faces) -> np.ndarray:
    """Pixels that the masks of the faces reach, bilinear scaling included."""
    reached = np.zeros((image.height_px, image.width_px), bool)
    for face in faces:
        region = region_in(image, face)
        cells = np.maximum(region.skin, region.glow) > 0
        grown = np.pad(cells, 1)
        grown = np.logical_or.reduce(
            [
                grown[y : y + cells.shape[0], x : x + cells.shape[1]]
                for y in range(3)
                for x in range(3)
            ]
        )
        spread = np.kron(grown, np.ones((region.step, region.step), bool))
        target = reached[
            region.top : region.top + region.height_px, region.left : region.left + region.width_px
        ]
        target |= spread[: target.shape[0], : target.shape[1]]
    return reached


def test_every_stage_has_a_parameter_of_its_name_and_every_parameter_a_stage():
    names = [stage_type.name for stage_type in STAGE_TYPES]
    assert names == [field.name for field in dataclasses.fields(Parameters)]
    assert [stage.name for stage in default_stages()] == names


def test_stage_objects_are_made_anew_for_every_stream():
    one, other = default_stages(), default_stages()
    assert not {id(stage) for stage in one} & {id(stage) for stage in other}


@every_stage
def test_zero_is_off_and_changes_no_bit(stage_type):
    image, face = grainy_image(320, 240), face_at(160, 120, 100)
    assert not stage_type().is_active(Parameters())
    assert same(apply(stage_type, image, [face], 0), image)


@every_stage
def test_any_strength_is_on_and_shows(stage_type):
    image, face = grainy_image(640, 480), face_at(320, 240, 250)
    for value in (1, 50, 100):
        assert stage_type().is_active(strengths(stage_type, value))
        assert distance(apply(stage_type, image, [face], value), image) > 0


@every_stage
def test_other_parameters_do_not_switch_it_on(stage_type):
    others = {other.name: 100 for other in STAGE_TYPES if other is not stage_type}
    assert not stage_type().is_active(Parameters(**others))


@every_stage
def test_more_strength_always_changes_more(stage_type):
    image, face = grainy_image(640, 480), face_at(320, 240, 250)
    distances = [distance(apply(stage_type, image, [face], value), image) for value in range(101)]
    assert all(more > less for less, more in itertools.pairwise(distances))


@every_stage
def test_a_fading_face_changes_less(stage_type):
    image, face = grainy_image(640, 480), face_at(320, 240, 250)
    distances = [
        distance(apply(stage_type, image, [face], 80, weight), image)
        for weight in (0.1, 0.3, 0.5, 0.8, 1.0)
    ]
    assert 0 < distances[0] < 0.2 * distances[-1]
    assert all(more > less for less, more in itertools.pairwise(distances))


@every_stage
def test_it_works_in_place_and_returns_nothing(stage_type):
    image, face = grainy_image(320, 240), face_at(160, 120, 100)
    before, identities = image.copy(), [id(plane) for plane in planes(image)]
    region = region_in(image, face)
    assert stage_type().apply(image, [region], strengths(stage_type, 100)) is None
    assert [id(plane) for plane in planes(image)] == identities
    assert not same(image, before)


@every_stage
@pytest.mark.parametrize(("x", "y", "part"), PLACES)
@pytest.mark.parametrize("size", [(640, 480), (641, 479), (180, 320)])
def test_nothing_outside_the_masks_changes(stage_type, x, y, part, size):
    image = grainy_image(*size)
    face = face_at(x * size[0], y * size[1], part * min(size), turn_deg=12)
    reached = support(image, [face])
    result = apply(stage_type, image, [face])
    assert not (result.y != image.y)[~reached].any()
    reached_chroma = np.pad(reached, ((0, size[1] % 2), (0, size[0] % 2)))
    blocks = reached_chroma.reshape(reached_chroma.shape[0] // 2, 2, -1, 2).any(axis=(1, 3))
    for after, before in ((result.u, image.u), (result.v, image.v)):
        assert not (after != before)[~blocks].any()


@every_stage
@pytest.mark.parametrize("size", SIZES)
def test_every_size_works(stage_type, size):
    image = grainy_image(*size)
    for part in (0.5, 1.0, 3.0):
        face = face_at(size[0] / 2, size[1] / 2, max(6.0, part * max(size)))
        result = apply(stage_type, image, [face])
        assert result.y.shape == image.y.shape
        assert all(plane.dtype == np.uint8 for plane in planes(result))


@every_stage
def test_a_4k_picture_full_of_face_works(stage_type):
    image = grainy_image(3840, 2160)
    result = apply(stage_type, image, [face_at(1920, 1080, 1700)])
    assert (result.y != image.y).mean() > 0.1


@every_stage
@pytest.mark.parametrize(("x", "y", "part"), PLACES)
def test_strides_make_no_difference(stage_type, x, y, part):
    image = grainy_image(321, 239)
    scattered = strided(image)
    face = face_at(x * 321, y * 239, part * 239)
    region = region_in(image, face)
    stage_type().apply(scattered, [region], strengths(stage_type, 90))
    assert same(scattered, apply(stage_type, image, [face], 90))


@every_stage
def test_no_face_no_change(stage_type):
    image = grainy_image(320, 240)
    assert same(apply(stage_type, image, []), image)


@every_stage
def test_several_faces_are_each_changed_as_if_alone(stage_type):
    image = grainy_image(640, 240)
    left, right = face_at(150, 120, 100), face_at(480, 120, 140)
    together = apply(stage_type, image, [left, right])
    alone = apply(stage_type, image, [left]), apply(stage_type, image, [right])
    assert np.array_equal(together.y[:, :300], alone[0].y[:, :300])
    assert np.array_equal(together.y[:, 340:], alone[1].y[:, 340:])
    assert (together.y[:, :300] != image.y[:, :300]).any()
    assert (together.y[:, 340:] != image.y[:, 340:]).any()


@every_stage
@pytest.mark.parametrize("squeeze", [0.6, 0.25, 0.02])
@pytest.mark.parametrize("turn_deg", [0, 40, 90, 180])
def test_turned_and_tilted_heads_work(stage_type, squeeze, turn_deg):
    image = grainy_image(320, 240)
    face = face_at(160, 120, 100, squeeze=squeeze, turn_deg=turn_deg)
    is_changed = not same(apply(stage_type, image, [face]), image)
    assert is_changed or squeeze < 0.1  # a face seen from the very side may have no skin left


@every_stage
@pytest.mark.parametrize("level", [0, 1, 16, 128, 235, 254, 255])
def test_extreme_pictures_stay_numbers(stage_type, level):
    image, face = YuvImage.blank(320, 240), face_at(160, 120, 100)
    for plane in planes(image):
        plane[:] = level
    with np.errstate(all="raise", under="ignore"):
        result = apply(stage_type, image, [face])
    assert abs(float(result.y.mean()) - level) <= 20


@every_stage
def test_random_planes_stay_numbers(stage_type):
    random = np.random.default_rng(8)
    image = YuvImage.blank(320, 240)
    for plane in planes(image):
        plane[:] = random.integers(0, 256, plane.shape)
    with np.errstate(all="raise", under="ignore"):
        apply(stage_type, image, [face_at(160, 120, 150)])


@every_stage
def test_a_stage_remembers_nothing_of_other_pictures(stage_type):
    stage, parameters = stage_type(), strengths(stage_type, 80)
    for size, face in (((640, 480), face_at(300, 200, 300)), ((64, 64), face_at(30, 30, 25))):
        other = grainy_image(*size, seed=7)
        stage.apply(other, [region_in(other, face)], parameters)
    image, face = grainy_image(320, 240), face_at(160, 120, 100)
    used = image.copy()
    stage.apply(used, [region_in(image, face)], parameters)
    assert same(used, apply(stage_type, image, [face], 80))


@every_stage
def test_it_runs_in_the_pipeline_under_its_name(stage_type):
    pipeline = Pipeline(KnownFaces([face_at(160, 120, 100)]))
    applied = pipeline.apply(grainy_image(320, 240), strengths(stage_type, 10))
    assert list(applied.durations_us) == ["landmarks", "masks", stage_type.name]
