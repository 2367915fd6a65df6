import numpy as np
import pytest

from filters.errors import FilterError, ImageContractError
from filters.image import YuvImage, chroma_shape


def plane(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("luma", "chroma"), [((4, 6), (2, 3)), ((5, 7), (3, 4)), ((1, 1), (1, 1)), ((1, 2), (1, 1))]
)
def test_chroma_is_half_the_size_rounded_up(luma, chroma):
    image = YuvImage(plane(*luma), plane(*chroma), plane(*chroma))
    assert (image.height_px, image.width_px) == luma
    assert chroma_shape(*luma) == chroma


def test_planes_are_kept_and_not_copied():
    y, u, v = plane(4, 6), plane(2, 3), plane(2, 3)
    image = YuvImage(y, u, v)
    assert image.y is y
    assert image.u is u
    assert image.v is v


def test_views_of_padded_rows_are_welcome():
    padded = plane(4, 32)
    image = YuvImage(padded[:, :6], plane(2, 8)[:, :3], plane(2, 3)[::-1, ::-1])
    assert image.width_px == 6


@pytest.mark.parametrize(
    ("y", "u", "v", "complaint"),
    [
        (plane(4, 6).astype(np.int16), plane(2, 3), plane(2, 3), "plane y is int16"),
        (plane(4, 6), plane(2, 3).astype(np.float32), plane(2, 3), "plane u is float32"),
        (plane(4, 6, 3), plane(2, 3), plane(2, 3), "plane y has 3 dimensions"),
        (plane(4, 6), plane(6), plane(2, 3), "plane u has 1 dimensions"),
        (plane(4, 6), plane(2, 3), plane(3, 3), "plane v is (3, 3)"),
        (plane(5, 7), plane(2, 3), plane(2, 3), "asks for (3, 4)"),
        (plane(4, 6), plane(4, 6), plane(4, 6), "asks for (2, 3)"),
        (plane(0, 6), plane(0, 3), plane(0, 3), "holds no pixel"),
        ([[1]], plane(1, 1), plane(1, 1), "a list, not a numpy array"),
        (None, plane(1, 1), plane(1, 1), "a NoneType"),
    ],
)
def test_planes_that_break_the_contract_are_refused(y, u, v, complaint):
    with pytest.raises(ImageContractError) as caught:
        YuvImage(y, u, v)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, FilterError)


def test_a_blank_picture_is_black_and_its_own():
    image = YuvImage.blank(5, 3)
    assert image.y.shape == (3, 5)
    assert image.u.shape == (2, 3)
    assert (image.y == 16).all()
    assert (image.u == 128).all()
    assert (image.v == 128).all()
    assert image.is_writable


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4)])
def test_a_picture_without_pixels_cannot_be_made(size):
    with pytest.raises(ImageContractError):
        YuvImage.blank(*size)


def test_a_copy_shares_nothing():
    image = YuvImage.blank(4, 4)
    copied = image.copy()
    copied.y[:] = 200
    assert (image.y == 16).all()
    assert not np.shares_memory(image.u, copied.u)


def test_one_read_only_plane_makes_the_picture_read_only():
    image = YuvImage.blank(4, 4)
    image.v.flags.writeable = False
    assert not image.is_writable
