import cv2
import numpy as np
import pytest

from filters import plain
from filters.image import YuvImage
from filters.parameters import MINIMA, Parameters
from filters.presets import PRESETS
from filters.stages.shape import Shape, frontness, make_warp
from filters.stages.shape_sliders import SHAPES
from filters.warp import STEEPEST, Warp
from tests.filter_faces import face_at, grainy_image, look, planes, portrait, region_in, same

EXTREMES = [
    pytest.param({name: value}, id=f"{name} {value}")
    for name in SHAPES
    for value in ((100, -100) if MINIMA[name] < 0 else (100,))
]
ALL = dict.fromkeys(SHAPES, 100)
OPPOSITE = {name: -100 if MINIMA[name] < 0 else 100 for name in SHAPES}
EVERYTHING = [
    *EXTREMES,
    pytest.param(ALL, id="all"),
    pytest.param(OPPOSITE, id="all the other way"),
]


def warp_of(values, *, size=(1280, 720), size_px=260.0, **face) -> Warp:
    image = YuvImage.blank(*size)
    region = region_in(image, face_at(size[0] / 2, size[1] / 2, size_px, **face))
    warp = make_warp(image, region, Parameters(**values))
    assert warp is not None
    return warp


def spread(warp: Warp) -> tuple[np.ndarray, np.ndarray]:
    """Shifts per pixel of the warp's rectangle."""
    size = (warp.width_px, warp.height_px)
    x, y = (cv2.resize(field, size, interpolation=cv2.INTER_LINEAR) for field in (warp.x, warp.y))
    return x, y


def least_jacobian(warp: Warp) -> float:
    x, y = spread(warp)
    (xy, xx), (yy, yx) = np.gradient(x), np.gradient(y)
    return float(((1 + xx) * (1 + yy) - xy * yx).min())


@pytest.mark.parametrize("values", EVERYTHING)
def test_nothing_folds(values):
    for size_px in (60, 260, 600):
        assert least_jacobian(warp_of(values, size_px=size_px)) > 0.25


def test_nothing_folds_whatever_the_sliders_do():
    random = np.random.default_rng(2)
    for _ in range(40):
        values = {name: int(random.integers(MINIMA[name], 101)) for name in SHAPES}
        warp = warp_of(values, turn_deg=float(random.uniform(-60, 60)))
        assert least_jacobian(warp) > 0.25


def test_not_even_a_shove_folds():
    image = YuvImage.blank(1280, 720)
    region = region_in(image, face_at(640, 360, 260))
    warp = Warp(region, image)
    for number, along in ((1, 0.5), (168, -0.5), (152, 0.3)):
        warp.push(np.asarray(region.points)[number, :2], along, 0.4, 0.15)
    warp.hold(region, image, 1.0)
    assert warp.steepest() <= STEEPEST * 1.001
    assert least_jacobian(warp) > 0.2


@pytest.mark.parametrize("values", EVERYTHING)
def test_the_rectangles_border_stands_still(values):
    for field in spread(warp_of(values)):
        assert np.abs(field[[0, -1]]).max() == 0
        assert np.abs(field[:, [0, -1]]).max() == 0


@pytest.mark.parametrize("values", EVERYTHING)
@pytest.mark.parametrize("size_px", [160, 260, 420])
def test_a_wall_behind_the_face_bends_by_three_pixels_at_most(values, size_px):
    image = YuvImage.blank(1280, 720)
    face = face_at(640, 360, size_px)
    warp = make_warp(image, region_in(image, face), Parameters(**values))
    assert warp is not None
    outline = np.zeros((720, 1280), np.uint8)
    hull = cv2.convexHull(np.rint(np.asarray(face.points())[:, :2]).astype(np.int32))
    cv2.fillPoly(outline, [hull], (1,))
    behind = (
        outline[warp.top : warp.top + warp.height_px, warp.left : warp.left + warp.width_px] == 0
    )
    x, y = spread(warp)
    assert np.hypot(x, y)[behind].max() <= 3


@pytest.mark.parametrize("name", PRESETS)
def test_presets_bend_a_wall_by_one_pixel_at_most(name):
    image = YuvImage.blank(1280, 720)
    face = face_at(640, 360, 260)
    warp = make_warp(image, region_in(image, face), PRESETS[name])
    if warp is None:
        return
    outline = np.zeros((720, 1280), np.uint8)
    cv2.fillPoly(
        outline, [cv2.convexHull(np.rint(np.asarray(face.points())[:, :2]).astype(np.int32))], (1,)
    )
    rows, columns = slice(warp.top, warp.top + warp.height_px), slice(warp.left, None)
    behind = outline[rows, columns][:, : warp.width_px] == 0
    x, y = spread(warp)
    assert np.hypot(x, y)[behind].max() <= 1


@pytest.mark.parametrize("values", EXTREMES)
def test_there_is_no_crease(values):
    for field in (warp := warp_of(values)).x, warp.y:
        smooth_px = max(np.abs(np.diff(field, 2, axis=axis)).max() for axis in (0, 1))
        assert smooth_px < 0.4 * max(np.abs(field).max(), 0.5)


def gap(points, one: int, other: int) -> float:
    return float(np.hypot(*(points[one, :2] - points[other, :2])))


def moved_points(values) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks before and after the warp, by its inverse to first order."""
    image = YuvImage.blank(1280, 720)
    face = face_at(640, 360, 260)
    warp = make_warp(image, region_in(image, face), Parameters(**values))
    assert warp is not None
    before = np.asarray(face.points())[:, :2].copy()
    x, y = spread(warp)
    places = np.rint(before - (warp.left, warp.top)).astype(int)
    shift = np.stack([x[places[:, 1], places[:, 0]], y[places[:, 1], places[:, 0]]], axis=1)
    return before, before - shift


@pytest.mark.parametrize(
    ("name", "one", "other", "way"),
    [
        ("slim", 172, 397, -1),
        ("narrow", 93, 323, -1),
        ("v_shape", 149, 378, -1),
        ("jaw", 172, 397, -1),
        ("cheekbones", 116, 345, -1),
        ("chin", 17, 152, 1),
        ("forehead", 10, 9, 1),
        ("eye_distance", 468, 473, 1),
        ("nose_width", 64, 294, -1),
        ("nose_length", 168, 2, 1),
        ("mouth_size", 61, 291, 1),
        ("eye_size", 33, 133, 1),
    ],
)
def test_every_slider_moves_what_it_says_and_back(name, one, other, way):
    before, after = moved_points({name: 100})
    assert way * (gap(after, one, other) - gap(before, one, other)) > 0.8
    if MINIMA[name] < 0:
        before, after = moved_points({name: -100})
        assert way * (gap(after, one, other) - gap(before, one, other)) < -0.8


def test_a_smile_lifts_the_corners_of_the_mouth():
    before, after = moved_points({"smile": 100})
    assert (after[[61, 291], 1] < before[[61, 291], 1] - 2).all()
    assert np.abs(after[13] - before[13]).max() < 2


@pytest.mark.parametrize("size_px", [40, 120, 230])
@pytest.mark.parametrize("values", [ALL, OPPOSITE, {"slim": 60}])
def test_it_does_what_the_plain_version_does(values, size_px):
    image, parameters = grainy_image(401, 303), Parameters(**values)
    region = region_in(image, face_at(190, 160, size_px, turn_deg=15), 0.8)
    slow = plain.shape_face(image, region, parameters)
    fast = image.copy()
    Shape().apply(fast, [region], parameters)
    differences = [
        np.abs(a.astype(int) - b) for a, b in zip(planes(fast), planes(slow), strict=True)
    ]
    # Two float roundings may pick neighbouring thirty-seconds of a pixel.
    assert max((difference > 1).mean() for difference in differences) < 0.01
    assert max(difference.max() for difference in differences) <= 6


def test_a_face_turned_to_the_side_is_left_alone(detector, media):
    from tests.filter_faces import read_images  # noqa: PLC0415

    front = frontness(np.asarray(look(detector, portrait())[0].points()))
    image = read_images(media / "still_yaw45.jpg")[0]
    detector.detect(YuvImage.blank(640, 360))
    side = frontness(np.asarray(look(detector, image)[0].points()))
    assert front > 0.95
    assert side < 0.5


def test_a_profile_does_not_move_at_all():
    points = np.asarray(face_at(160, 120, 100).points()).copy()
    points[234, :2] = points[1, :2]
    assert frontness(points) == 0


def test_a_face_at_the_edge_moves_no_pixel_of_the_edge():
    image = grainy_image(320, 240)
    for x_px, y_px in ((0, 120), (320, 120), (160, 0), (160, 240), (320, 240)):
        result = image.copy()
        Shape().apply(result, [region_in(image, face_at(x_px, y_px, 120))], Parameters(**ALL))
        for one, other in zip(planes(result), planes(image), strict=True):
            assert np.array_equal(one[[0, -1]], other[[0, -1]])
            assert np.array_equal(one[:, [0, -1]], other[:, [0, -1]])


def test_chroma_moves_with_luma():
    image = YuvImage.blank(640, 480)
    image.y[:, 320:], image.u[:, 160:], image.v[:, 160:] = 200, 90, 160
    region = region_in(image, face_at(250, 240, 200))
    result = image.copy()
    Shape().apply(result, [region], Parameters(slim=100, mouth_size=-100))
    assert not same(result, image)
    luma_edge = (result.y > 108).argmax(axis=1)[::2] / 2
    chroma_edge = (result.u < 109).argmax(axis=1)
    assert np.abs(luma_edge - chroma_edge).max() <= 1
