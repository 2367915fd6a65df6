"""Looks, low light and backgrounds held to their plain versions."""

import numpy as np
import pytest

from filters import plain_picture
from filters.compositing import Compositor, Mask
from filters.image import YuvImage
from filters.looks import LOOKS
from filters.parameters import Parameters
from filters.stages.background import twice_blurred
from filters.stages.look import Look
from filters.stages.low_light import LowLight, face_need
from tests.filter_faces import face_at, grainy_image, planes, portrait, region_in, same, strided

TOLERANCE = 1


def furthest(one: YuvImage, other: YuvImage) -> int:
    return max(
        int(np.abs(a.astype(int) - b).max())
        for a, b in zip(planes(one), planes(other), strict=True)
    )


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("amount", [7, 60, 100])
def test_a_fast_look_is_the_plain_one(name, amount):
    image = portrait()
    result = image.copy()
    Look(LOOKS[name]).apply(result, [], Parameters(look_amount=amount))
    wanted = plain_picture.look_picture(image, LOOKS[name], amount / 100)
    assert furthest(result, wanted) <= TOLERANCE
    assert np.mean(result.y != wanted.y) < 0.02


def test_a_look_on_random_colours_is_the_plain_one():
    random = np.random.default_rng(4)
    image = YuvImage.blank(322, 194)
    for plane in planes(image):
        plane[:] = random.integers(0, 256, plane.shape)
    result = strided(image)
    Look(LOOKS["teal"]).apply(result, [], Parameters(look_amount=100))
    assert furthest(result, plain_picture.look_picture(image, LOOKS["teal"], 1.0)) <= TOLERANCE


@pytest.mark.parametrize("strength", [10, 55, 100])
def test_fast_low_light_is_the_plain_one(strength):
    image = grainy_image(320, 240, level=50)
    region = region_in(image, face_at(160, 120, 100))
    result = image.copy()
    LowLight().apply(result, [region], Parameters(low_light=strength))
    lift = strength / 100 * face_need(image, region)
    assert lift > 0
    assert furthest(result, plain_picture.lift_picture(image, lift)) <= TOLERANCE


def masks() -> list:
    random = np.random.default_rng(2)
    person = np.full((36, 64), 255, np.uint8)
    person[10:, 20:40] = 0
    person[9, 19:41] = 130
    return [
        pytest.param(person, id="a person"),
        pytest.param(random.integers(0, 256, (36, 64)).astype(np.uint8), id="noise"),
        pytest.param(np.zeros((36, 64), np.uint8), id="nothing"),
        pytest.param(np.full((1, 1), 255, np.uint8), id="everything"),
        pytest.param(np.kron(np.eye(2), np.full((9, 16), 255)).astype(np.uint8), id="quarters"),
    ]


@pytest.mark.parametrize("codes", masks())
@pytest.mark.parametrize("amount", [0.2, 1.0])
@pytest.mark.parametrize("size", [(640, 360), (641, 359), (5, 3)])
def test_laying_is_the_plain_blend(codes, amount, size):
    random = np.random.default_rng(3)
    plane, layer = random.integers(0, 256, (2, size[1], size[0])).astype(np.uint8)
    result = plane.copy()
    Compositor().lay(result, layer, Mask(codes), amount)
    wanted = plain_picture.lay_plane(plane, layer, codes, amount)
    assert np.abs(result.astype(int) - wanted).max() <= TOLERANCE


def test_what_is_not_covered_stays_bit_for_bit():
    plane, layer = grainy_image(640, 360).y, np.zeros((360, 640), np.uint8)
    codes = np.full((36, 64), 255, np.uint8)
    codes[:, 20:40] = 0
    result = plane.copy()
    Compositor().lay(result, layer, Mask(codes), 1.0)
    assert np.array_equal(result[:, 210:390], plane[:, 210:390])
    assert (result[:, :190] == 0).all()


@pytest.mark.parametrize("width", [3, 7, 11])
def test_a_whole_width_is_two_plain_boxes(width):
    values = np.random.default_rng(5).normal(0, 1, (40, 60)).astype(np.float32)
    ones = np.ones((40, 60))
    plain = plain_picture.blur_without_people(values, ones, width)
    assert np.abs(twice_blurred(values, float(width)) - plain).max() < 1e-4


def test_between_whole_widths_blurs_grow_steadily():
    values = np.random.default_rng(5).normal(0, 1, (40, 60)).astype(np.float32)
    left = [float(twice_blurred(values, width).std()) for width in np.arange(1, 12, 0.25)]
    assert (np.diff(left) < 0).all()


def test_the_plain_versions_leave_their_picture_alone():
    image = portrait()
    before = image.copy()
    plain_picture.look_picture(image, LOOKS["warm"], 1.0)
    plain_picture.lift_picture(image, 0.5)
    assert same(image, before)
