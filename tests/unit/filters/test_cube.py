import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.cube import Cube, parse_cube
from filters.errors import ParameterError


def written(size: int, colour) -> str:
    """A file, red fastest."""
    steps = [n / (size - 1) for n in range(size)]
    lines = [
        " ".join(f"{value:.6f}" for value in colour(r, g, b))
        for b in steps
        for g in steps
        for r in steps
    ]
    return f'TITLE "test"\n# a comment\nLUT_3D_SIZE {size}\n' + "\n".join(lines) + "\n"


@pytest.mark.parametrize("size", [2, 3, 17])
def test_identity_is_identity(size):
    cube = parse_cube(written(size, lambda r, g, b: (r, g, b)))
    colours = np.random.default_rng(1).random((50, 3)).astype(np.float32)
    assert np.abs(cube(colours) - colours).max() < 1e-5


def test_red_runs_fastest():
    cube = parse_cube(written(3, lambda r, g, b: (r, 0, 0)))
    assert cube(np.array([[1, 0, 0]], np.float32))[0] == pytest.approx([1, 0, 0])
    assert cube(np.array([[0, 0, 1]], np.float32))[0] == pytest.approx([0, 0, 0])


def test_between_entries_it_is_linear_and_outside_it_is_the_edge():
    cube = parse_cube(written(2, lambda r, g, b: (1 - r, g, b)))
    values = np.array([[0.25, 0.5, 0.75], [-3, 2, 0.5]], np.float32)
    assert cube(values) == pytest.approx(np.array([[0.75, 0.5, 0.75], [1, 1, 0.5]]))


def test_a_domain_is_respected():
    text = "DOMAIN_MIN 0 0 0\nDOMAIN_MAX 2 2 2\n" + written(2, lambda r, g, b: (r, g, b))
    assert parse_cube(text)(np.array([[1, 1, 1]], np.float32))[0] == pytest.approx([0.5] * 3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "0 colours"),
        ("LUT_3D_SIZE 2\n0 0 0\n", "1 colours; its size asks for 8"),
        ("LUT_3D_SIZE 1\n", "sizes go from 2 to 65"),
        ("LUT_3D_SIZE 66\n", "sizes go from 2 to 65"),
        ("LUT_3D_SIZE \u00b2\n", "sizes go"),
        ("LUT_3D_SIZE " + "9" * 5000, "sizes go"),
        ("LUT_1D_SIZE 4\n", "line 1 of the look: 'LUT_1D_SIZE' is not understood"),
        ("LUT_3D_SIZE 2\n0 0 x\n", "line 2 of the look is not three numbers"),
        ("LUT_3D_SIZE 2\n0 0\n", "not three numbers"),
        ("LUT_3D_SIZE 2\n0 0 1e999\n", "not three numbers"),
        ("DOMAIN_MIN 1 1 1\n" + written(2, lambda r, g, b: (r, g, b)), "DOMAIN_MIN is not below"),
    ],
)
def test_a_broken_file_is_one_clear_line(text, complaint):
    with pytest.raises(ParameterError) as caught:
        parse_cube(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=300))
def test_hostile_text_gives_a_cube_or_our_error(text):
    complaint = ""
    try:
        assert isinstance(parse_cube(text), Cube)
    except ParameterError as exc:
        complaint = str(exc)
    assert len(complaint) < 200
