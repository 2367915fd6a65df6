import numpy as np
import pytest

from filters.image import YuvImage
from filters.region import (
    FINEST_CELLS,
    bounded_points,
    grid_step,
    load_padded,
    measure_size_px,
    scale_up,
)
from tests.filter_faces import face_at, grainy_image, region_in


@pytest.mark.parametrize(
    ("size_px", "step"), [(4, 1), (95.9, 1), (96, 2), (191, 2), (192, 4), (1500, 16)]
)
def test_the_grid_keeps_a_face_between_half_and_full_resolution(size_px, step):
    assert grid_step(size_px) == step


def test_grids_never_get_finer_than_needed():
    for size_px in np.linspace(48, 4000, 200):
        assert FINEST_CELLS / 2 <= size_px / grid_step(size_px) < FINEST_CELLS


@pytest.mark.parametrize("squeeze", [1, 0.7, 0.4])
def test_size_changes_little_when_a_head_turns(squeeze):
    frontal = measure_size_px(face_at(0, 0, 100).points())
    turned = measure_size_px(face_at(0, 0, 100, squeeze=squeeze).points())
    assert 0.75 * frontal < turned <= frontal * 1.001


@pytest.mark.parametrize("turn_deg", [15, 45, 90, 180])
def test_size_does_not_change_when_a_head_tilts(turn_deg):
    upright = measure_size_px(face_at(0, 0, 100).points())
    tilted = measure_size_px(face_at(0, 0, 100, turn_deg=turn_deg).points())
    assert tilted == pytest.approx(upright, rel=1e-4)


@pytest.mark.parametrize("place", [(320, 180), (10, 10), (633, 355), (320, -8), (-8, 180)])
@pytest.mark.parametrize("size", [(640, 360), (641, 359), (639, 361)])
@pytest.mark.parametrize("size_px", [30, 110, 300])
def test_the_rectangle_is_even_aligned_and_near_the_picture(size, place, size_px):
    image = grainy_image(*size)
    region = region_in(image, face_at(*place, size_px))
    align = max(2, region.step)
    for first, length, limit_px in (
        (region.left, region.width_px, image.width_px),
        (region.top, region.height_px, image.height_px),
    ):
        assert first % align == 0
        assert length % align == 0
        assert 0 <= first < limit_px
        assert first + length < limit_px + align
    assert region.skin.shape == region.grid_shape == region.glow.shape


def test_a_crop_is_a_view_cut_off_at_the_edge():
    image = grainy_image(101, 99)
    region = region_in(image, face_at(80, 80, 60))
    luma, chroma = region.crop(image.y), region.crop(image.u, chroma=True)
    assert np.shares_memory(luma, image.y)
    assert luma.shape == (99 - region.top, 101 - region.left)
    assert chroma.shape == (50 - region.top // 2, 51 - region.left // 2)


def test_a_crop_of_chroma_lies_under_the_crop_of_luma():
    image = YuvImage.blank(200, 200)
    region = region_in(image, face_at(100, 100, 60))
    region.crop(image.y)[:] = 200
    region.crop(image.u, chroma=True)[:] = 50
    assert np.array_equal(image.u == 50, image.y[::2, ::2] == 200)


def test_points_far_away_are_pulled_nearer():
    image = grainy_image(100, 50)
    points = np.asarray(bounded_points(face_at(1e9, -1e9, 80), image))
    assert np.abs(points).max() <= 4 * 100


def test_padding_repeats_the_last_row_and_column():
    target = np.zeros((4, 5), np.uint8)
    load_padded(target, np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    assert target.tolist() == [[1, 2, 3, 3, 3], [4, 5, 6, 6, 6], [4, 5, 6, 6, 6], [4, 5, 6, 6, 6]]


def test_scaling_up_keeps_flat_grids_flat_and_zero_exactly_zero():
    target = np.empty((24, 32), np.float32)
    assert (scale_up(np.full((3, 4), 0.7, np.float32), target) == np.float32(0.7)).all()
    grid = np.zeros((3, 4), np.float32)
    grid[1, 1] = 1
    scale_up(grid, target)
    assert (target[:, 20:] == 0).all()
    assert target.max() > 0.8
