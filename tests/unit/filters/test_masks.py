import cv2
import numpy as np
import pytest

from filters import mesh
from filters.image import YuvImage
from filters.masks import MaskBuilder, lift_forehead
from filters.tracking import TrackedFace
from tests.filter_faces import face_at, grainy_image, look, read_images, region_in


def full_size(region, grid: np.ndarray, image: YuvImage) -> np.ndarray:
    """A grid drawn into a plane of the picture's size."""
    plane = np.zeros((image.height_px + 64, image.width_px + 64), np.float32)
    spread = np.kron(grid, np.ones((region.step, region.step), np.float32))
    plane[
        region.top : region.top + region.height_px, region.left : region.left + region.width_px
    ] = spread
    return plane[: image.height_px, : image.width_px]


def polygon(face, ring, image: YuvImage) -> np.ndarray:
    drawn = np.zeros((image.height_px, image.width_px), np.uint8)
    corners = np.rint(np.asarray(face.points())[ring, :2]).astype(np.int32)
    cv2.fillPoly(drawn, [corners], (1,))
    return drawn.astype(bool)


@pytest.fixture
def image() -> YuvImage:
    return grainy_image(640, 480)


def test_masks_stay_between_nothing_and_all(image):
    region = region_in(image, face_at(320, 240, 200))
    for grid in (region.skin, region.glow):
        assert grid.dtype == np.float32
        assert np.isfinite(grid).all()
        assert grid.min() == 0
        assert 0.99 < grid.max() <= 1


def test_cheeks_count_fully_and_features_not_at_all(image):
    face = face_at(320, 240, 200)
    region = region_in(image, face)
    skin = full_size(region, region.skin, image)
    for cheek in (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK):
        assert skin[polygon(face, cheek, image)].min() > 0.9
    for feature in (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.LIPS):
        assert skin[polygon(face, feature, image)].max() < 0.25
    for brow in (mesh.RIGHT_BROW, mesh.LEFT_BROW):
        assert skin[polygon(face, brow, image)].mean() < 0.25


def test_the_glow_covers_features_too(image):
    face = face_at(320, 240, 200)
    region = region_in(image, face)
    glow = full_size(region, region.glow, image)
    for feature in (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.LIPS):
        assert glow[polygon(face, feature, image)].min() > 0.9


def test_nothing_outside_the_lifted_outline_counts(image):
    face = face_at(320, 240, 200, turn_deg=20)
    region = region_in(image, face)
    outline = np.zeros((480, 640), np.uint8)
    flat = np.asarray(face.points())
    for ring in (
        lift_forehead(flat),
        *(flat[r] for r in (mesh.FACE_OVAL, mesh.SECOND_RING, mesh.THIRD_RING)),
    ):
        cv2.fillPoly(outline, [np.rint(ring[:, :2]).astype(np.int32)], (1,))
    reach = 4 * region.step + 1  # two cells: where the outline is hollow, blurring crosses it
    outside = cv2.dilate(outline, np.ones((reach, reach), np.uint8)) == 0
    for grid in (region.skin, region.glow):
        assert full_size(region, grid, image)[outside].max() == 0


@pytest.mark.parametrize("size_px", [40, 150, 260])
@pytest.mark.parametrize("turn_deg", [0, 30, 90])
def test_masks_end_before_the_rectangle_does(image, size_px, turn_deg):
    region = region_in(image, face_at(320, 240, size_px, turn_deg=turn_deg))
    for grid in (region.skin, region.glow):
        border = np.concatenate([grid[0], grid[-1], grid[:, 0], grid[:, -1]])
        assert border.max() == 0


def test_masks_have_no_edge(image):
    region = region_in(image, face_at(320, 240, 250))
    for grid, steepest in ((region.skin, 0.75), (region.glow, 0.4)):
        assert np.abs(np.diff(grid, axis=0)).max() < steepest
        assert np.abs(np.diff(grid, axis=1)).max() < steepest


def test_a_face_cut_by_the_picture_counts_up_to_the_cut(image):
    face = face_at(10, 240, 200)
    region = region_in(image, face)
    assert region.left == 0
    cheek = polygon(face, mesh.LEFT_CHEEK, image)
    assert full_size(region, region.skin, image)[cheek].min() > 0.9
    assert region.glow[:, 0].max() > 0.9


@pytest.mark.parametrize("place", [(-400, 100), (2000, 100), (100, -500), (100, 2000), (1e8, 1e8)])
def test_a_face_outside_the_picture_has_no_region(image, place):
    assert MaskBuilder().build(image, TrackedFace(face_at(*place, 200))) is None


@pytest.mark.parametrize("size_px", [0, 0.5, 3])
def test_a_face_of_no_size_has_no_region(image, size_px):
    assert MaskBuilder().build(image, TrackedFace(face_at(100, 100, size_px))) is None


def test_a_face_that_has_faded_out_has_no_region(image):
    assert MaskBuilder().build(image, TrackedFace(face_at(100, 100, 50), weight=0)) is None


@pytest.mark.parametrize("nudge", [(0.1, 0), (0, 0.1), (0.2, -0.2), (-0.3, 0.1)])
def test_a_trembling_face_hardly_moves_its_mask(image, nudge):
    still = region_in(image, face_at(320, 240, 150))
    nudged = region_in(image, face_at(320 + nudge[0], 240 + nudge[1], 150))
    one, other = (full_size(r, r.skin, image) for r in (still, nudged))
    change = np.abs(one - other)
    assert 0 < change.max() < 0.2
    assert change.mean() < 0.005


def test_hair_above_the_forehead_is_left_alone():
    image = grainy_image(640, 480)
    face = face_at(320, 240, 200)
    points = np.asarray(face.points())
    hairline = int(points[mesh.FOREHEAD_TOP, 1]) - 10
    image.y[:hairline] = 30
    image.u[: hairline // 2], image.v[: hairline // 2] = 126, 130
    region = region_in(image, face)
    assert full_size(region, region.glow, image)[: hairline - 12].max() < 0.05


@pytest.mark.parametrize("level", [45, 90, 130, 200])
def test_forehead_above_the_mesh_counts_whatever_its_tone(level):
    image = grainy_image(640, 480, level=level)
    face = face_at(320, 240, 200)
    points = np.asarray(face.points())
    above = int(points[mesh.FOREHEAD_TOP, 1]) - 8
    region = region_in(image, face)
    assert full_size(region, region.skin, image)[above, 310:330].min() > 0.5


@pytest.mark.parametrize(
    "name", ["still_dark_skin_smile.jpg", "still_freckles.jpg", "still_headscarf.jpg"]
)
def test_real_foreheads_count_above_the_mesh(detector, media, name):
    image = read_images(media / name)[0]
    face = look(detector, image)[0]
    points = np.asarray(face.points())
    region = region_in(image, face)
    top, chin = points[mesh.FOREHEAD_TOP], points[mesh.CHIN]
    x_px, y_px = np.rint((top + 0.05 * (top - chin))[:2]).astype(int)
    assert full_size(region, region.skin, image)[y_px, x_px] > 0.5


def test_several_faces_have_masks_of_their_own(image):
    builder = MaskBuilder()
    left = builder.build(image, TrackedFace(face_at(150, 240, 180)))
    kept = left.skin.copy(), left.glow.copy()
    builder.build(image, TrackedFace(face_at(480, 240, 120)))
    assert np.array_equal(left.skin, kept[0])
    assert np.array_equal(left.glow, kept[1])


def test_reused_memory_leaves_no_trace(image):
    builder = MaskBuilder()
    for face in (face_at(100, 100, 300), face_at(500, 300, 30, turn_deg=50)):
        builder.build(image, TrackedFace(face))
    again = builder.build(image, TrackedFace(face_at(320, 240, 150)))
    fresh = region_in(image, face_at(320, 240, 150))
    assert np.array_equal(again.skin, fresh.skin)
    assert np.array_equal(again.glow, fresh.glow)


def twice(image: YuvImage, first, second, *, in_haste: bool):
    """The region of a face in a second picture of it."""
    builder, tracked = MaskBuilder(), TrackedFace(first)
    builder.build(image, tracked)
    later = TrackedFace(second, memory=tracked.memory)
    return builder.build(image, later, in_haste=in_haste)


@pytest.mark.parametrize("change", [(0, 0, 0, 1), (5.5, -3, 0, 1), (30, 9, 8, 1), (-7, 2, -4, 1.1)])
def test_in_haste_masks_move_along_with_the_face(change):
    x_px, y_px, turn_deg, scale = change
    # Skin only, so that masks are shapes and nothing else.
    image = YuvImage.blank(640, 480)
    start = face_at(320, 240, 170)
    end = face_at(320 + x_px, 240 + y_px, 170 * scale, turn_deg=turn_deg)
    carried, drawn = (twice(image, start, end, in_haste=haste) for haste in (True, False))
    assert carried.in_haste
    assert not drawn.in_haste
    for name in ("skin", "glow", "likeness"):
        difference = np.abs(getattr(carried, name) - getattr(drawn, name))
        assert difference.mean() < 0.02
        assert np.percentile(difference, 99) < 0.12


def test_masks_are_carried_once_and_drawn_again(image):
    builder, tracked = MaskBuilder(), TrackedFace(face_at(320, 240, 150))
    regions = [builder.build(image, tracked, in_haste=True) for _ in range(4)]
    assert [region.in_haste for region in regions] == [False, True, False, True]


def test_masks_of_another_grid_are_not_carried(image):
    region = twice(image, face_at(320, 240, 90), face_at(320, 240, 100), in_haste=True)
    assert not region.in_haste


def test_a_face_that_comes_into_the_picture_in_haste_keeps_to_it(image):
    region = twice(image, face_at(20, 240, 180), face_at(28, 240, 180), in_haste=True)
    drawn = region_in(image, face_at(28, 240, 180))
    assert region.skin.shape == drawn.skin.shape
    assert np.abs(region.glow - drawn.glow).mean() < 0.03
