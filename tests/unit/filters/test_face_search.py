import itertools
import struct

import numpy as np
import pytest

from filters.errors import FilterError
from filters.face_search import MOST_SQUARES, OVERLAP, places_of, read_rect


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (641, 360), (1920, 816), (640, 480)])
def test_squares_cover_the_picture_and_overlap(size):
    whole, *squares = places_of(*size)
    assert whole == (0, 0, *size)
    long = int(size[1] > size[0])
    side = min(size)
    assert squares[0][long] == 0
    assert squares[-1][long + 2] >= max(size) - 1
    for before, after in itertools.pairwise(squares):
        assert before[long + 2] - after[long] >= (OVERLAP - 0.02) * side
    for left, top, right, bottom in squares:
        assert left % 2 == top % 2 == 0
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        assert abs((right - left) - (bottom - top)) <= 1


@pytest.mark.parametrize("size", [(720, 720), (512, 480), (1, 1), (4000, 7), (7, 400)])
def test_nearly_square_and_tiny_pictures_are_searched_as_a_whole_only(size):
    assert list(places_of(*size)) == [(0, 0, *size)]


def test_strips_have_few_places():
    assert len(places_of(8000, 20)) == 1 + MOST_SQUARES


def rect(*values: float) -> bytes:
    tags = (0x0D, 0x15, 0x1D, 0x25, 0x2D)
    return b"".join(struct.pack("<Bf", tag, v) for tag, v in zip(tags, values, strict=True))


def test_a_rect_is_read_in_pixels_of_the_picture():
    roi = read_rect(rect(0.5, 0.25, 0.4, 0.3, -0.1), 100, 20, 640, 480)
    assert (roi.x, roi.y) == (420, 140)
    assert roi.side_px == pytest.approx(192)
    assert roi.angle == pytest.approx(-0.1)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        rect(0.5, 0.5, 0.5, 0.5, 0)[:-1],
        b"\x0a" + rect(0.5, 0.5, 0.5, 0.5, 0)[1:],
        rect(np.nan, 0.5, 0.5, 0.5, 0),
        rect(0.5, 0.5, np.inf, 0.5, 0),
    ],
)
def test_a_rect_in_another_format_is_an_error(message):
    with pytest.raises(FilterError, match="unknown format"):
        read_rect(message, 0, 0, 100, 100)
