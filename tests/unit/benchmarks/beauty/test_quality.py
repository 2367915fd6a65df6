import numpy as np
import pytest

from benchmarks.beauty.quality import (
    FaceAreas,
    find_areas,
    gradient_energy,
    gradient_ratio,
    image_of_rgb,
    texture,
    texture_ratio,
)
from tests.filter_faces import KnownFaces, face_at, grainy_image

ALL = np.ones((120, 160), bool)


def grain(sigma: float, *, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.clip(np.rint(128 + random.normal(0, sigma, (120, 160))), 0, 255).astype(np.uint8)


def test_texture_grows_with_grain_and_is_none_on_flat_ground():
    assert texture(np.full((120, 160), 90, np.uint8), ALL) == 0
    assert texture(grain(8), ALL) == pytest.approx(2 * texture(grain(4), ALL), rel=0.05)


def test_texture_looks_away_from_slow_shading():
    shading = np.tile(np.linspace(60, 200, 160).astype(np.uint8), (120, 1))
    inner = np.zeros_like(ALL)
    inner[20:-20, 20:-20] = True
    # What is left is the ramp's own steps of one code value.
    assert texture(shading, inner) < 0.25 * texture(grain(4), inner)


def test_the_same_picture_keeps_all():
    assert texture_ratio(grain(4), grain(4), ALL) == 1
    assert gradient_ratio(grain(4), grain(4), ALL) == 1


def test_half_the_grain_is_half_the_texture_and_a_quarter_of_the_energy():
    before = grain(16).astype(float)
    after = np.rint(128 + (before - 128) / 2).astype(np.uint8)
    assert texture_ratio(grain(16), after, ALL) == pytest.approx(0.5, rel=0.02)
    assert gradient_ratio(grain(16), after, ALL) == pytest.approx(0.25, rel=0.05)


def test_gradient_energy_is_that_of_a_ramp():
    ramp = np.tile((np.arange(160) * 1.5).astype(np.uint8), (120, 1))
    inner = np.zeros_like(ALL)
    inner[2:-2, 2:-2] = True
    assert gradient_energy(ramp, inner) == pytest.approx(1.5**2, rel=0.1)


def test_only_the_area_counts():
    picture, left = grain(4), np.zeros_like(ALL)
    left[:, :60] = True
    noisy_right = picture.copy()
    noisy_right[:, 100:] = 255 - noisy_right[:, 100:] // 2
    assert texture_ratio(picture, noisy_right, left) == 1


def test_ratios_on_flat_ground_are_finite():
    flat = np.full((120, 160), 9, np.uint8)
    assert texture_ratio(flat, flat, ALL) == 0
    assert gradient_ratio(flat, flat, ALL) == 0


def test_areas_lie_on_cheek_and_eyes():
    areas = FaceAreas(face_at(320, 240, 200), 480, 640)
    assert areas.cheeks.shape == areas.eyes.shape == (480, 640)
    rows, columns = np.nonzero(areas.eyes)
    assert rows.mean() < np.nonzero(areas.cheeks)[0].mean()
    assert columns.min() < 320 < columns.max()
    assert not (areas.cheeks & areas.eyes).any()
    assert 500 < areas.cheeks.sum() < 8000


def test_areas_of_a_cut_face_stay_inside_the_picture():
    areas = FaceAreas(face_at(0, 0, 200), 100, 100)
    assert areas.cheeks.shape == (100, 100)


def test_finding_areas_needs_a_face():
    image = grainy_image(320, 240)
    assert find_areas(image, KnownFaces([face_at(160, 120, 100)])).cheeks.any()
    with pytest.raises(ValueError, match="no face"):
        find_areas(image, KnownFaces([]))


def test_a_captured_picture_becomes_planes_of_even_size():
    rgb = np.zeros((7, 9, 3), np.uint8)
    rgb[..., 1] = 255
    image = image_of_rgb(rgb)
    assert (image.height_px, image.width_px) == (6, 8)
    assert image.y.min() == image.y.max() == 145
    assert image.u[0, 0] == 54
    assert image.v[0, 0] == 34
