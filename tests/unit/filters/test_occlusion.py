"""What covers a face, drawn over a real one: a hand, a mask, glasses, hair, a beard, the edge."""

import cv2
import numpy as np
import pytest
import skimage.data

from benchmarks.beauty.quality import find_areas, gradient_ratio, image_of_rgb
from benchmarks.beauty.scenes import in_tone
from filters import mesh
from filters.image import YuvImage
from filters.landmarks import FaceLandmarks
from filters.parameters import Parameters
from filters.pipeline import Pipeline
from filters.presets import PRESETS
from tests.filter_faces import KnownFaces, look, region_in

SCALE = 3
MAKE_UP = Parameters(lipstick=100, lipstick_shade=50)


def head() -> np.ndarray:
    """The astronaut's head, a face 280 px wide."""
    rgb = skimage.data.astronaut()[0:260, 90:350]
    size = (rgb.shape[1] * SCALE, rgb.shape[0] * SCALE)
    return cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def face(detector) -> FaceLandmarks:
    return look(detector, image_of_rgb(head()))[0]


def points(face: FaceLandmarks, ring) -> np.ndarray:
    return np.asarray(face.points())[ring, :2]


def skin_colour(rgb: np.ndarray, face: FaceLandmarks) -> np.ndarray:
    x, y = points(face, mesh.RIGHT_CHEEK).mean(axis=0).astype(int)
    return rgb[y - 6 : y + 6, x - 6 : x + 6].reshape(-1, 3).mean(axis=0)


def covered(
    ring, colour, face: FaceLandmarks, *, grown: float = 1.5
) -> tuple[YuvImage, np.ndarray]:
    """The head with something plain over a part of it, and where that is."""
    rgb = head()
    corners = points(face, ring)
    middle = corners.mean(axis=0)
    outline = cv2.convexHull(np.rint(middle + (corners - middle) * grown).astype(np.int32))
    inside = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(inside, [outline], (1,))
    random = np.random.default_rng(1)
    cloth = np.asarray(colour, float) + random.normal(0, 4, (*rgb.shape[:2], 1))
    rgb[inside != 0] = np.clip(cloth, 0, 255)[inside != 0]
    image = image_of_rgb(rgb)
    shape = (image.height_px, image.width_px)
    # Without its rim, where chroma belongs to both sides.
    return image, cv2.erode(inside[: shape[0], : shape[1]], np.ones((13, 13))) != 0


def filtered(image: YuvImage, face: FaceLandmarks, parameters: Parameters) -> YuvImage:
    result = image.copy()
    Pipeline(KnownFaces([face]), look_every=1).apply(result, parameters)
    return result


def change(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    if one.shape != where.shape:
        where = where[::2, ::2]
    return float(np.abs(one.astype(int) - other)[where].mean())


def test_lipstick_colours_the_lips_that_can_be_seen(face):
    image = image_of_rgb(head())
    lips = np.zeros(image.y.shape, np.uint8)
    cv2.fillPoly(lips, [np.rint(points(face, mesh.LIPS)).astype(np.int32)], (1,))
    cv2.fillPoly(lips, [np.rint(points(face, mesh.MOUTH)).astype(np.int32)], (0,))
    result = filtered(image, face, MAKE_UP)
    assert change(result.v, image.v, lips != 0) > 8


def test_lipstick_shows_on_every_tone(face):
    plain = image_of_rgb(head())
    area = np.zeros(plain.y.shape, np.uint8)
    cv2.fillPoly(area, [np.rint(points(face, mesh.RIGHT_CHEEK)).astype(np.int32)], (1,))
    lips = np.zeros(plain.y.shape, np.uint8)
    cv2.fillPoly(lips, [np.rint(points(face, mesh.LIPS)).astype(np.int32)], (1,))
    for tone in ((246, 237, 228), (160, 126, 86), (96, 65, 52), (41, 36, 32)):
        image = image_of_rgb(in_tone(head(), area != 0, tone))
        assert change(filtered(image, face, MAKE_UP).v, image.v, lips != 0) > 1.5, tone


def faded(image: YuvImage, colour: float) -> YuvImage:
    """The picture with a part of its colour."""
    chroma = (np.rint(128 + (p.astype(float) - 128) * colour) for p in (image.u, image.v))
    return YuvImage(image.y, *(plane.astype(np.uint8) for plane in chroma))


@pytest.mark.parametrize("colour", [0.5, 0.25, 0.1, 0.0])
def test_lipstick_shows_on_grey_pictures_and_is_not_glaring(face, colour):
    plain = image_of_rgb(head())
    lips = np.zeros(plain.y.shape, np.uint8)
    cv2.fillPoly(lips, [np.rint(points(face, mesh.LIPS)).astype(np.int32)], (1,))
    cv2.fillPoly(lips, [np.rint(points(face, mesh.MOUTH)).astype(np.int32)], (0,))
    image = faded(plain, colour)
    painted = (filtered(image, face, MAKE_UP).v.astype(int) - 128)[lips[::2, ::2] != 0].mean()
    vivid = (filtered(plain, face, MAKE_UP).v.astype(int) - 128)[lips[::2, ::2] != 0].mean()
    assert 0.3 * vivid < painted < (0.55 + 0.45 * min(1, 2 * colour)) * vivid


@pytest.mark.parametrize("colour", [1.0, 0.0])
@pytest.mark.parametrize("over", ["a hand", "a white mask", "a blue mask", "a black mask"])
def test_nothing_is_painted_on_what_covers_the_mouth(face, over, colour):
    hand = skin_colour(head(), face)
    colours = {
        "a hand": hand,
        "a white mask": (225, 228, 230),
        "a blue mask": (120, 165, 205),
        "a black mask": (28, 28, 32),
    }
    image, cloth = covered(mesh.LIPS, colours[over], face)
    image = faded(image, colour)
    result = filtered(image, face, MAKE_UP)
    assert change(result.v, image.v, cloth) < 0.6
    assert change(result.y, image.y, cloth) < 0.6


@pytest.mark.parametrize("colour", [(225, 228, 230), (120, 165, 205), (28, 28, 32)])
def test_cloth_over_half_the_face_is_not_smoothed_and_skin_still_is(face, colour):
    lower = np.array([123, 147, 187, 205, 36, 4, 266, 425, 411, 376, 352, 397, 379, 152, 150, 172])
    image, cloth = covered(lower, colour, face, grown=1.0)
    result = filtered(image, face, Parameters(smooth=100, rosy=100))
    region = region_in(image, face)
    forehead = np.zeros(image.y.shape, np.uint8)
    cv2.fillPoly(forehead, [np.rint(points(face, mesh.BROAD_FOREHEAD)).astype(np.int32)], (1,))
    forehead = cv2.erode(forehead, np.ones((25, 25))) != 0
    taken = change(result.y, image.y, cloth)
    assert taken < 0.5
    assert change(result.v, image.v, cloth) < 0.5
    assert change(result.y, image.y, forehead) > 0.25
    assert region.skin.max() > 0.9


@pytest.mark.parametrize(("preset", "least"), [("natural", 0.65), ("soft", 0.55), ("studio", 0.68)])
def test_dark_rims_of_glasses_and_hair_over_the_brow_keep_most_of_their_edges(face, preset, least):
    rgb = head()
    for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
        x, y = points(face, ring).mean(axis=0).astype(int)
        cv2.ellipse(rgb, (int(x), int(y) + 6), (52, 40), 0, 0, 360, (25, 22, 20), 4, cv2.LINE_AA)
    top = points(face, mesh.FOREHEAD_TOP).astype(int)
    for n in range(-8, 9):
        ends = (int(top[0] + 9 * n), int(top[1] - 40)), (int(top[0] + 7 * n + 20), int(top[1] + 50))
        cv2.line(rgb, *ends, (40, 28, 22), 2, cv2.LINE_AA)
    drawn = np.any(rgb != head(), axis=-1)
    image = image_of_rgb(rgb)
    where = cv2.dilate(drawn[: image.height_px, : image.width_px].astype(np.uint8), np.ones((3, 3)))
    result = filtered(image, face, PRESETS[preset])
    assert gradient_ratio(image.y, result.y, where != 0) > least


@pytest.mark.parametrize("light", [1.0, 0.35])
def test_curls_over_the_brow_keep_their_colour_and_the_skin_below_does_not(face, light):
    rgb, random = head(), np.random.default_rng(4)
    x, y = (int(v) for v in points(face, mesh.FOREHEAD_TOP))
    curls = np.zeros(rgb.shape[:2], np.uint8)
    cv2.ellipse(curls, (x, y), (150, 55), 0, 0, 360, 1, -1)
    rgb[curls != 0] = (70, 46, 34)
    for _ in range(220):
        place = int(x + random.uniform(-140, 140)), int(y + random.uniform(-50, 50))
        shade = random.uniform(0.35, 1.7) * np.array([70, 46, 34])
        radius = int(random.uniform(6, 13))
        cv2.circle(rgb, place, radius, tuple(map(int, shade)), 3, cv2.LINE_AA)
    image = image_of_rgb(np.rint(rgb * light).astype(np.uint8))
    result = filtered(image, face, Parameters(tone=-100, rosy=100))
    size = np.s_[: image.height_px, : image.width_px]
    hair = cv2.erode(curls[size], np.ones((25, 25))) != 0
    cheeks = np.zeros(image.y.shape, np.uint8)
    for ring in (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK):
        cv2.fillPoly(cheeks, [np.rint(points(face, ring)).astype(np.int32)], (1,))
    assert change(result.v, image.v, hair) < 0.4 * change(result.v, image.v, cheeks != 0)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_face_half_out_of_the_picture_is_smoothed_up_to_the_edge_without_smear(detector, side):
    rgb = head()
    face = look(detector, image_of_rgb(rgb))[0]
    x, y = (int(v) // 2 * 2 for v in points(face, mesh.FACE_OVAL).mean(axis=0))
    box = {
        "left": np.s_[:, x:],
        "right": np.s_[:, :x],
        "top": np.s_[y:, :],
        "bottom": np.s_[:y, :],
    }[side]
    whole = image_of_rgb(rgb)
    image = image_of_rgb(rgb[box])
    moved = np.asarray(face.points()).copy()
    moved[:, :2] -= (x if side == "left" else 0, y if side == "top" else 0)
    cut = filtered(image, FaceLandmarks(moved), Parameters(smooth=80, brighten=40))
    uncut = filtered(whole, face, Parameters(smooth=80, brighten=40))
    same_part = uncut.y[box][: image.height_px, : image.width_px].astype(int)
    # As if the rest were there: statistics of half a face differ a little, nothing else does.
    assert np.abs(cut.y.astype(int) - same_part).mean() < 0.8
    assert np.percentile(np.abs(cut.y.astype(int) - same_part), 99) <= 6


def test_make_up_ends_where_the_face_does(detector):
    image = image_of_rgb(head())
    face = look(detector, image)[0]
    everything = Parameters(lipstick=100, blush=100, eye_shadow=100, brow=100, rosy=100, tone=80)
    result = filtered(image, face, everything)
    hull = cv2.convexHull(np.rint(points(face, slice(None))).astype(np.int32))
    inside = np.zeros(image.y.shape, np.uint8)
    cv2.fillPoly(inside, [hull], (1,))
    find_areas(image, detector)
    below = np.zeros(image.y.shape, bool)
    below[int(points(face, mesh.CHIN)[1]) + 30 :] = True
    assert change(result.v, image.v, below & (inside == 0)) == 0
