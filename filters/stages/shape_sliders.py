"""What each shape slider pushes where: points of the face's mesh, directions, radii.

Lengths are parts of the face's size; directions are the face's own, so that a tilted head is
shaped as an upright one.
"""

from collections.abc import Callable, Mapping

from filters import mesh
from filters.region import Points
from filters.warp import Warp

# What one slider does to the field: points in pixels, shape (478, 2), and strength from -1 to 1.
ShapeSlider = Callable[[Warp, Points, float], None]

RIGHT_EYE_CENTRE, LEFT_EYE_CENTRE = mesh.RIGHT_IRIS_CENTRE, mesh.LEFT_IRIS_CENTRE
CONTOUR_R, CONTOUR_L = (132, 58, 172, 136, 150), (361, 288, 397, 365, 379)
CHEEK_R, CHEEK_L = (234, 93, 132, 58), (454, 323, 361, 288)
JAW_R, JAW_L = (58, 172, 136), (288, 397, 365)
CHIN_SIDE_R, CHIN_SIDE_L = (150, 149, 176), (379, 378, 400)
CHEEKBONE_R, CHEEKBONE_L = (227, 116, 123), (447, 345, 352)
NOSE_WING_R, NOSE_WING_L = (48, 64, 98), (278, 294, 327)
FOREHEAD = (10, 109, 338, 67, 297)
CHINS = (152, 148, 377)
NOSE_TIP = (1, 2, 4)
MOUTH_R, MOUTH_L = 61, 291
NOSE_BRIDGE, MOUTH_CENTRE = 168, 13


def _inwards(
    warp: Warp,
    points: Points,
    right: tuple[int, ...],
    left: tuple[int, ...],
    by: float,
    radius: float,
    down: float = 0.0,
) -> None:
    for numbers, sign in ((right, 1), (left, -1)):
        for number in numbers:
            share = 1 / len(numbers) ** 0.5
            warp.push(points[number], sign * by * share, down * share, radius)


def _down(warp: Warp, points: Points, numbers: tuple[int, ...], by: float, radius: float) -> None:
    for number in numbers:
        warp.push(points[number], 0.0, by, radius)


def _slim(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, CONTOUR_R, CONTOUR_L, 0.04 * s, 0.26)


def _narrow(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, CHEEK_R, CHEEK_L, 0.03 * s, 0.3)


def _v_shape(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, CHIN_SIDE_R, CHIN_SIDE_L, 0.035 * s, 0.24, -0.006 * s)


def _jaw(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, JAW_R, JAW_L, 0.035 * s, 0.22)


def _chin(warp: Warp, points: Points, s: float) -> None:
    _down(warp, points, CHINS, 0.02 * s, 0.22)


def _cheekbones(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, CHEEKBONE_R, CHEEKBONE_L, 0.03 * s, 0.2)


def _forehead(warp: Warp, points: Points, s: float) -> None:
    _down(warp, points, FOREHEAD, -0.012 * s, 0.28)


def _eye_size(warp: Warp, points: Points, s: float) -> None:
    for number in (RIGHT_EYE_CENTRE, LEFT_EYE_CENTRE):
        warp.grow(points[number], 0.24 * s, 0.2)


def _eye_distance(warp: Warp, points: Points, s: float) -> None:
    warp.push(points[RIGHT_EYE_CENTRE], -0.025 * s, 0.0, 0.2)
    warp.push(points[LEFT_EYE_CENTRE], 0.025 * s, 0.0, 0.2)


def _nose_width(warp: Warp, points: Points, s: float) -> None:
    _inwards(warp, points, NOSE_WING_R, NOSE_WING_L, 0.018 * s, 0.13)


def _nose_length(warp: Warp, points: Points, s: float) -> None:
    _down(warp, points, NOSE_TIP, 0.01 * s, 0.17)


def _mouth_size(warp: Warp, points: Points, s: float) -> None:
    warp.grow(points[MOUTH_CENTRE], 0.2 * s, 0.28)


def _smile(warp: Warp, points: Points, s: float) -> None:
    for number, sign in ((MOUTH_R, -1), (MOUTH_L, 1)):
        warp.push(points[number], sign * 0.012 * s, -0.03 * s, 0.17)


SHAPES: Mapping[str, ShapeSlider] = {
    "slim": _slim,
    "narrow": _narrow,
    "v_shape": _v_shape,
    "jaw": _jaw,
    "chin": _chin,
    "cheekbones": _cheekbones,
    "forehead": _forehead,
    "eye_size": _eye_size,
    "eye_distance": _eye_distance,
    "nose_width": _nose_width,
    "nose_length": _nose_length,
    "mouth_size": _mouth_size,
    "smile": _smile,
}
