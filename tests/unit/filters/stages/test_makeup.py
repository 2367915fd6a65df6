import itertools

import numpy as np
import pytest

from filters import mesh
from filters.canvas import Painter
from filters.image import YuvImage
from filters.parameters import Parameters
from filters.stages import makeup
from filters.stages.makeup import MakeUp, pick
from tests.filter_faces import face_at, grainy_image, paint_lips, region_in, same

PALETTES = {
    "lipstick": makeup.LIP_SHADES,
    "blush": makeup.BLUSH_SHADES,
    "brow": makeup.BROW_SHADES,
    "eye_shadow": makeup.LID_SHADES,
}


def made_up(image: YuvImage, face, **values: int) -> YuvImage:
    result = image.copy()
    MakeUp().apply(result, [region_in(image, face)], Parameters(**values))
    return result


def chroma_at(plane: np.ndarray, face, numbers) -> float:
    points = np.asarray(face.points())[list(numbers), :2]
    return float(np.mean([plane[int(y) // 2, int(x) // 2] for x, y in points]))


@pytest.mark.parametrize("name", PALETTES)
def test_a_shade_changes_the_colour_all_along_its_slider(name):
    image, face = grainy_image(640, 480), face_at(320, 240, 260)
    paint_lips(image, face)
    results = [
        made_up(image, face, **{name: 80, f"{name}_shade": shade}) for shade in (0, 35, 70, 100)
    ]
    for one, other in itertools.pairwise(results):
        assert not same(one, other)


@pytest.mark.parametrize("palette", PALETTES.values())
def test_a_palette_is_walked_from_end_to_end_without_jumps(palette):
    assert pick(palette, 0) == pytest.approx(palette[0])
    assert pick(palette, 1) == pytest.approx(palette[-1])
    steps = np.diff([pick(palette, part) for part in np.linspace(0, 1, 101)], axis=0)
    assert np.abs(steps[:, :2]).max() < 1.6


def test_lipstick_reddens_lips_and_nothing_beside_them():
    image, face = grainy_image(640, 480), face_at(320, 240, 260)
    paint_lips(image, face)
    result = made_up(image, face, lipstick=100, lipstick_shade=50)
    lip = (0, 17, 267, 37, 84, 314)
    assert chroma_at(result.v, face, lip) > chroma_at(image.v, face, lip) + 8
    points = np.asarray(face.points())[mesh.LIPS, :2]
    low, high = points.min(axis=0) - 14, points.max(axis=0) + 14
    outside = np.ones(image.y.shape, bool)
    outside[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])] = False
    assert np.array_equal(result.y[outside], image.y[outside])


def test_the_inside_of_an_open_mouth_keeps_its_colour():
    image, face = grainy_image(1280, 960), face_at(640, 480, 600, mouth=0.2)
    paint_lips(image, face)
    result = made_up(image, face, lipstick=100)
    points = np.asarray(face.points())
    x, y = (points[13, :2] + points[14, :2]) / 2
    assert (
        abs(int(result.v[int(y) // 2, int(x) // 2]) - int(image.v[int(y) // 2, int(x) // 2])) <= 1
    )


def test_eye_shadow_leaves_the_eye_alone():
    image, face = grainy_image(1280, 960), face_at(640, 480, 600)
    result = made_up(image, face, eye_shadow=100, eye_shadow_shade=100)
    points = np.asarray(face.points())
    x, y = points[mesh.RIGHT_IRIS_CENTRE, :2]
    changed = int(result.u[int(y) // 2, int(x) // 2]) - int(image.u[int(y) // 2, int(x) // 2])
    assert abs(changed) <= 3


def test_sand_on_the_lids_is_not_green_on_pink_skin():
    image, face = grainy_image(640, 480), face_at(320, 240, 260)
    image.u[:], image.v[:] = 120, 150
    lid = (160, 159, 158, 385, 386, 387)
    result = made_up(image, face, eye_shadow=100)
    assert chroma_at(result.u, face, lid) < 119.5
    assert chroma_at(result.v, face, lid) > 147


@pytest.mark.parametrize("level", [50, 90, 130, 190])
def test_make_up_shows_on_every_skin(level):
    image, face = grainy_image(640, 480, level=level), face_at(320, 240, 260)
    cheek = (50, 280)
    gained = chroma_at(made_up(image, face, blush=100, blush_shade=50).v, face, cheek)
    assert 4 < gained - chroma_at(image.v, face, cheek) < 20


def test_amounts_do_not_run_beyond_full_cover():
    image = grainy_image(640, 480)
    region = region_in(image, face_at(320, 240, 260))
    canvas = Painter().begin(image, region)
    every = dict.fromkeys(MakeUp.parameters, 100)
    MakeUp.paint(canvas, Parameters(**every))
    assert np.abs(canvas.du).max() < 60
    assert np.abs(canvas.dv).max() < 60
    assert (canvas.y + canvas.dy).min() > 0
