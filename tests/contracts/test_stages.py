"""What every stage owes, tried on every stage there is: a new one is found by itself."""

import functools
import itertools

import numpy as np
import pytest

from filters.image import YuvImage
from filters.parameters import MAXIMUM, MINIMA, NAMES, SHADES, Parameters
from filters.pipeline import Pipeline
from filters.stages import STAGE_TYPES, default_stages
from filters.stages.background import Background
from filters.stages.shape import Shape, make_warp
from filters.warp import Warp
from tests.filter_faces import (
    KnownFaces,
    KnownPerson,
    grainy_image,
    planes,
    region_in,
    same,
    strided,
)
from tests.filter_faces import (
    face_at as any_face_at,
)


def make(stage_type):
    """A stage that has never seen anything."""
    return Background(KnownPerson()) if stage_type is Background else stage_type()


# Every strength with the stage that it drives: each has to keep every promise by itself.
STRENGTHS = [
    pytest.param(stage, name, id=name) for stage in STAGE_TYPES for name in stage.parameters
]
every_strength = pytest.mark.parametrize(("stage_type", "name"), STRENGTHS)
INSIDE = [
    pytest.param(stage, name, id=name)
    for stage in STAGE_TYPES
    for name in stage.parameters
    if not stage.whole_picture
]
every_strength_inside_faces = pytest.mark.parametrize(("stage_type", "name"), INSIDE)
# With an open mouth, for some stages look into it.
face_at = functools.partial(any_face_at, mouth=0.08)

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


def picture(name: str, width_px: int, height_px: int) -> YuvImage:
    """A grainy picture, in the dark for what helps in the dark, with pink for what needs lips."""
    image = grainy_image(width_px, height_px, level=50 if name == "low_light" else 130)
    if name == "lipstick":
        stripes = np.arange(image.u.shape[1]) // max(12, image.u.shape[1] // 30)
        for plane, pinker in ((image.u, 5), (image.v, 12)):
            plane[:, stripes % 3 == 0] += pinker
    return image


def strengths(name: str, value: int) -> Parameters:
    return Parameters(**{name: value})


def apply(
    stage_type, name, image: YuvImage, faces, value: int = 100, weight: float = 1.0
) -> YuvImage:
    """A filtered copy, through a stage of its own."""
    result = image.copy()
    regions = [region_in(image, face, weight) for face in faces]
    make(stage_type).apply(result, regions, strengths(name, value))
    return result


def distance(one: YuvImage, other: YuvImage) -> int:
    return sum(
        int(np.abs(a.astype(int) - b).sum())
        for a, b in zip(planes(one), planes(other), strict=True)
    )


def effect(stage_type, name, image: YuvImage, face, value: int = 100, weight: float = 1.0) -> float:
    """How much is changed: in pixels' values, or for a warp how far pixels move."""
    if stage_type is not Shape:
        return distance(apply(stage_type, name, image, [face], value, weight), image)
    warp = make_warp(image, region_in(image, face, weight), strengths(name, value))
    return 0.0 if warp is None else float(np.hypot(warp.x, warp.y).sum())


def support(stage_type, image: YuvImage, faces) -> np.ndarray:
    """Pixels that the masks of the faces reach, bilinear scaling included; or a warp's inside."""
    reached = np.zeros((image.height_px, image.width_px), bool)
    for face in faces:
        region = region_in(image, face)
        if stage_type is Shape:
            warp = Warp(region, image)
            rows = slice(warp.top + 1, warp.top + warp.height_px - 1)
            reached[rows, warp.left + 1 : warp.left + warp.width_px - 1] = True
            continue
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


def test_every_parameter_drives_one_stage_or_is_a_shade():
    driven = [name for stage_type in STAGE_TYPES for name in stage_type.parameters]
    assert sorted(driven + list(SHADES)) == sorted(NAMES)
    names = [stage_type.name for stage_type in STAGE_TYPES]
    assert [stage.name for stage in default_stages()] == names
    assert len(set(names)) == len(names)


def test_every_shade_belongs_to_a_strength_and_does_nothing_alone():
    for shade, of in SHADES.items():
        assert of in NAMES
        assert of not in SHADES
        parameters = strengths(shade, MAXIMUM)
        assert parameters.are_all_off
        assert not any(stage.is_active(parameters) for stage in default_stages())


def test_stage_objects_are_made_anew_for_every_stream():
    one, other = default_stages(), default_stages()
    assert not {id(stage) for stage in one} & {id(stage) for stage in other}


@every_strength
def test_zero_is_off_and_changes_no_bit(stage_type, name):
    image, face = picture(name, 320, 240), face_at(160, 120, 100)
    assert not make(stage_type).is_active(Parameters())
    assert same(apply(stage_type, name, image, [face], 0), image)


@every_strength
def test_any_strength_is_on_and_shows(stage_type, name):
    image, face = picture(name, 640, 480), face_at(320, 240, 250)
    for value in (1, 50, 100):
        assert make(stage_type).is_active(strengths(name, value))
        assert distance(apply(stage_type, name, image, [face], value), image) > 0


@every_strength
def test_other_parameters_do_not_switch_it_on(stage_type, name):
    others = {other: MAXIMUM for other in NAMES if other not in stage_type.parameters}
    assert not make(stage_type).is_active(Parameters(**others))


@every_strength
def test_more_strength_always_changes_more(stage_type, name):
    image, face = picture(name, 640, 480), face_at(320, 240, 250)
    ways = (1, -1) if MINIMA[name] < 0 else (1,)
    for way in ways:
        distances = [
            effect(stage_type, name, image, face, way * value)
            for value in range(0, 101, 1 if name == "smooth" else 4)
        ]
        assert all(more > less for less, more in itertools.pairwise(distances))


@every_strength_inside_faces
def test_a_fading_face_changes_less(stage_type, name):
    image, face = picture(name, 640, 480), face_at(320, 240, 250)
    distances = [
        effect(stage_type, name, image, face, 80, weight) for weight in (0.1, 0.3, 0.5, 0.8, 1.0)
    ]
    assert 0 < distances[0] < 0.2 * distances[-1]
    assert all(more > less for less, more in itertools.pairwise(distances))


@every_strength
def test_it_works_in_place_and_returns_nothing(stage_type, name):
    image, face = picture(name, 320, 240), face_at(160, 120, 100)
    before, identities = image.copy(), [id(plane) for plane in planes(image)]
    region = region_in(image, face)
    assert make(stage_type).apply(image, [region], strengths(name, 100)) is None
    assert [id(plane) for plane in planes(image)] == identities
    assert not same(image, before)


@every_strength_inside_faces
@pytest.mark.parametrize(("x", "y", "part"), PLACES)
@pytest.mark.parametrize("size", [(640, 480), (641, 479), (180, 320)])
def test_nothing_outside_the_masks_changes(stage_type, name, x, y, part, size):
    image = picture(name, *size)
    face = face_at(x * size[0], y * size[1], part * min(size), turn_deg=12)
    reached = support(stage_type, image, [face])
    result = apply(stage_type, name, image, [face])
    assert not (result.y != image.y)[~reached].any()
    reached_chroma = np.pad(reached, ((0, size[1] % 2), (0, size[0] % 2)))
    blocks = reached_chroma.reshape(reached_chroma.shape[0] // 2, 2, -1, 2).any(axis=(1, 3))
    for after, before in ((result.u, image.u), (result.v, image.v)):
        assert not (after != before)[~blocks].any()


@every_strength
@pytest.mark.parametrize("size", SIZES)
def test_every_size_works(stage_type, name, size):
    image = picture(name, *size)
    for part in (0.5, 1.0, 3.0):
        face = face_at(size[0] / 2, size[1] / 2, max(6.0, part * max(size)))
        result = apply(stage_type, name, image, [face])
        assert result.y.shape == image.y.shape
        assert all(plane.dtype == np.uint8 for plane in planes(result))


@every_strength
def test_a_4k_picture_full_of_face_works(stage_type, name):
    image = picture(name, 3840, 2160)
    result = apply(stage_type, name, image, [face_at(1920, 1080, 1700)])
    assert distance(result, image) > 5_000


@every_strength
@pytest.mark.parametrize(("x", "y", "part"), PLACES)
def test_strides_make_no_difference(stage_type, name, x, y, part):
    image = picture(name, 321, 239)
    scattered = strided(image)
    face = face_at(x * 321, y * 239, part * 239)
    region = region_in(image, face)
    make(stage_type).apply(scattered, [region], strengths(name, 90))
    assert same(scattered, apply(stage_type, name, image, [face], 90))


@every_strength_inside_faces
def test_no_face_no_change(stage_type, name):
    image = picture(name, 320, 240)
    assert same(apply(stage_type, name, image, []), image)


@every_strength_inside_faces
def test_several_faces_are_each_changed_as_if_alone(stage_type, name):
    image = picture(name, 640, 240)
    left, right = face_at(150, 120, 100), face_at(480, 120, 140)
    together = apply(stage_type, name, image, [left, right])
    alone = apply(stage_type, name, image, [left]), apply(stage_type, name, image, [right])
    assert np.array_equal(together.y[:, :300], alone[0].y[:, :300])
    assert np.array_equal(together.y[:, 340:], alone[1].y[:, 340:])
    assert np.array_equal(together.v[:, :150], alone[0].v[:, :150])
    assert np.array_equal(together.v[:, 170:], alone[1].v[:, 170:])
    assert distance(alone[0], image) > 0
    assert distance(alone[1], image) > 0


@every_strength
@pytest.mark.parametrize("squeeze", [0.6, 0.25, 0.02])
@pytest.mark.parametrize("turn_deg", [0, 40, 90, 180])
def test_turned_and_tilted_heads_work(stage_type, name, squeeze, turn_deg):
    image = picture(name, 320, 240)
    face = face_at(160, 120, 100, squeeze=squeeze, turn_deg=turn_deg)
    is_changed = not same(apply(stage_type, name, image, [face]), image)
    assert is_changed or squeeze < 0.1  # a face seen from the very side may have no skin left


@every_strength_inside_faces
@pytest.mark.parametrize("level", [0, 1, 16, 128, 235, 254, 255])
def test_extreme_pictures_stay_numbers(stage_type, name, level):
    image, face = YuvImage.blank(320, 240), face_at(160, 120, 100)
    for plane in planes(image):
        plane[:] = level
    with np.errstate(all="raise", under="ignore"):
        result = apply(stage_type, name, image, [face])
    assert abs(float(result.y.mean()) - level) <= 20


@every_strength
def test_random_planes_stay_numbers(stage_type, name):
    random = np.random.default_rng(8)
    image = YuvImage.blank(320, 240)
    for plane in planes(image):
        plane[:] = random.integers(0, 256, plane.shape)
    with np.errstate(all="raise", under="ignore"):
        apply(stage_type, name, image, [face_at(160, 120, 150)])


@every_strength
def test_a_stage_remembers_nothing_of_other_pictures(stage_type, name):
    stage, parameters = make(stage_type), strengths(name, 80)
    for size, face in (((640, 480), face_at(300, 200, 300)), ((64, 64), face_at(30, 30, 25))):
        other = grainy_image(*size, seed=7, level=200)
        stage.apply(other, [region_in(other, face)], parameters)
    image, face = picture(name, 320, 240), face_at(160, 120, 100)
    used = image.copy()
    stage.apply(used, [region_in(image, face)], parameters)
    assert same(used, apply(stage_type, name, image, [face], 80))


@every_strength
def test_it_runs_in_the_pipeline_under_its_name(stage_type, name):
    pipeline = Pipeline(KnownFaces([face_at(160, 120, 100)]), default_stages(KnownPerson()))
    applied = pipeline.apply(grainy_image(320, 240), strengths(name, 10))
    found = ["landmarks", "masks"] if stage_type.needs_faces else []
    assert list(applied.durations_us) == [*found, stage_type.name]
