import cv2
import numpy as np
import pytest

from benchmarks.beauty.quality import image_of_rgb
from filters.image import YuvImage
from filters.roi import CROP_PX, FaceCropper, FaceRoi
from tests.filter_faces import face_at, planes, strided


def spots(width_px: int, height_px: int, at: list[tuple[int, int]]) -> YuvImage:
    rgb = np.full((height_px, width_px, 3), 60, np.uint8)
    for place in at:
        cv2.circle(rgb, place, 9, (240, 240, 240), -1)
    return image_of_rgb(rgb)


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2, 3.0])
@pytest.mark.parametrize("side_px", [120, 192, 500, 900])
def test_what_the_crop_shows_is_where_it_says(angle, side_px):
    roi = FaceRoi(640, 360, side_px, angle)
    inside = np.array([[0.3, 0.4, 0]], np.float32)
    x, y, _ = roi.to_picture(inside)[0]
    rgb = FaceCropper().crop(spots(1280, 720, [(round(float(x)), round(float(y)))]), roi)
    light = np.maximum(rgb[..., 1].astype(float) - 150, 0)
    rows, columns = np.mgrid[:CROP_PX, :CROP_PX]
    centre = np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum() + 0.5
    assert np.abs(centre / CROP_PX - inside[0, :2]).max() * side_px < 1.5


def test_a_turned_face_is_upright_in_its_crop():
    for turn_deg in (0, 30, -70):
        points = np.asarray(face_at(640, 360, 200, turn_deg=turn_deg).points())
        roi = FaceRoi.around(points)
        assert abs(abs(np.rad2deg(roi.angle)) - abs(turn_deg)) < 6
        assert 250 < roi.side_px < 450


def test_beyond_the_picture_its_edge_goes_on():
    image = YuvImage.blank(640, 360)
    for plane in planes(image):
        plane[:] = 90
    rgb = FaceCropper().crop(image, FaceRoi(5, 350, 300, 0.3))
    assert (rgb == rgb[0, 0]).all()


@pytest.mark.parametrize(
    ("x", "y", "side_px"),
    [(-500, 100, 200), (300, 2000, 200), (300, 200, 3), (300, 200, float("inf")), (300, 200, 1e9)],
)
def test_a_square_outside_or_without_pixels_has_no_crop(x, y, side_px):
    assert FaceCropper().crop(YuvImage.blank(640, 360), FaceRoi(x, y, side_px, 0)) is None


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (1281, 719), (9, 400)])
def test_every_size_and_stride_works(size):
    image = YuvImage.blank(*size)
    image.y[:] = np.arange(size[0]) % 200
    roi = FaceRoi(size[0] / 2, size[1] / 2, max(size) * 0.8, 0.2)
    plain = FaceCropper().crop(image, roi)
    scattered = FaceCropper().crop(strided(image), roi)
    assert (plain is None) == (scattered is None)
    assert plain is None or np.array_equal(plain, scattered)


def test_two_squares_on_one_face_are_known():
    one = FaceRoi(100, 100, 150, 0)
    assert one.is_on(FaceRoi(115, 110, 120, 0.1))
    assert not one.is_on(FaceRoi(170, 100, 150, 0))
