import numpy as np
import pytest

from filters.texture import TexturePatch, dose, part_unmeasured, texture_band


def grain(level: float = 100, strength: float = 4, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (level + random.normal(0, strength, (60, 70))).astype(np.float32)


ONES = np.ones((60, 70), np.float32)


def patch_of(before: np.ndarray, change: np.ndarray, weight: np.ndarray = ONES) -> TexturePatch:
    return TexturePatch(before, change.astype(np.float32), weight)


def texture(pixels: np.ndarray) -> float:
    return float(texture_band(pixels.astype(np.float32)).std())


@pytest.mark.parametrize("wanted", [0.95, 0.7, 0.5])
def test_a_part_leaves_the_texture_that_was_wanted(wanted):
    before = grain()
    change = 0.7 * (before - 100) + 0.2 * (grain(0, 3, seed=2))
    part = patch_of(before, change).part_for(wanted)
    assert texture(before - part * change) / texture(before) == pytest.approx(wanted, abs=0.02)


def test_light_and_grain_make_no_difference():
    change = grain() - 100
    plain = patch_of(grain(), change).part_for(0.6)
    assert patch_of(grain() + 90, change).part_for(0.6) == pytest.approx(plain, rel=1e-3)
    assert patch_of(grain() * 3, change * 3).part_for(0.6) == pytest.approx(plain, rel=1e-3)


def test_the_part_grows_with_every_step_even_where_the_change_can_do_no_more():
    before = grain()
    for change in (before - 100, 0.2 * (before - 100), 0.3 * (before - 100) + grain(0, 3, seed=3)):
        patch = patch_of(before, change)
        parts = [patch.part_for(wanted) for wanted in np.linspace(1, 0.3, 100)]
        assert (np.diff(parts) > 0).all()
        assert 0 <= parts[0] < 0.05
        assert parts[-1] <= 1


def test_the_roundness_of_a_cheek_is_no_texture():
    rows = np.linspace(-1, 1, 60)[:, None] ** 2 * 60
    weight = np.zeros_like(ONES)
    weight[12:-12, 12:-12] = 1
    flat = patch_of(grain(), grain() - 100, weight).part_for(0.6)
    round_ = (grain() - rows).astype(np.float32)
    assert patch_of(round_, grain() - 100, weight).part_for(0.6) == pytest.approx(flat, rel=0.05)


def test_what_weighs_nothing_does_not_count():
    before, weight = grain(), ONES.copy()
    before[:, 40:] += 200 * (np.arange(30) % 2)
    weight[:, 20:] = 0
    alone = patch_of(grain(), grain() - 100).part_for(0.6)
    assert patch_of(before, grain() - 100, weight).part_for(0.6) == pytest.approx(alone, rel=0.2)


def test_patches_with_edges_are_outvoted():
    good = patch_of(grain(), grain() - 100)
    edge = grain()
    edge[:, 35:] += 90
    odd = patch_of(edge, grain() - 100)
    assert odd.part_for(0.6) > 1.3 * good.part_for(0.6)
    for patches in ([good, odd, good], [odd, good], [odd, odd, good]):
        assert dose(patches, 0.6) == good.part_for(0.6)
    assert dose([odd, odd], 0.6) <= part_unmeasured(0.6)


def test_a_sliver_has_no_say_beside_a_cheek():
    weight = np.zeros_like(ONES)
    weight[:4] = 1
    sliver = patch_of(grain(), 0.1 * (grain() - 100), weight)
    good = patch_of(grain(), grain() - 100)
    assert dose([sliver, good, sliver], 0.6) == good.part_for(0.6)


def test_without_texture_there_is_a_part_all_the_same():
    flat = np.full((60, 70), 90, np.float32)
    nothing = patch_of(flat, np.zeros_like(flat))
    unseen = patch_of(grain(), grain(), np.zeros_like(ONES))
    assert dose([], 0.6) == dose([nothing, unseen], 0.6) == part_unmeasured(0.6) > 0
    against = patch_of(grain(), 100 - grain())
    assert dose([against], 0.6) == part_unmeasured(0.6)
