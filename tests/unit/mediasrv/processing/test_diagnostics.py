import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.processing.diagnostics import (
    MAX_LINE_BYTES,
    LineCutter,
    WorkerEvent,
    format_event,
    is_own_line,
    redact,
)


@pytest.mark.parametrize("event", WorkerEvent)
def test_every_event_has_our_own_form(event):
    assert is_own_line(format_event(event))
    assert is_own_line(format_event(event, kind="ValueError", file="encoder.py", line=42))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ready",
        "mediasrv-worker: dancing",
        "mediasrv-worker: ready ",
        "mediasrv-worker: ready x=0.123",
        "mediasrv-worker: ready x=-1",
        "mediasrv-worker: ready x=1234567890",
        "mediasrv-worker: ready x=[1,2]",
        "mediasrv-worker: ready x=1\n0.5 0.5 0.5",
        "mediasrv-worker: ready kind=<lambda>",
        "mediasrv-worker: ready kind=a b",
        "mediasrv-worker: crashed kind=KeyError 0.25",
        " mediasrv-worker: ready",
    ],
)
def test_anything_else_is_foreign(line):
    assert not is_own_line(line)


def test_a_foreign_line_loses_its_numbers_its_long_words_and_its_length():
    shown = redact("landmark at 0.123456 \x1b[31m" + "QUJD" * 30 + " " + "word " * 100)
    assert "1" not in shown
    assert "QUJD" not in shown
    assert "\x1b" not in shown
    assert len(shown) <= 200
    assert shown.startswith("landmark at #.###### ")


@given(st.text(max_size=400))
def test_no_digit_survives(text):
    shown = redact(text)
    assert not any(character.isdigit() for character in shown)
    assert len(shown) <= 200


@given(st.lists(st.text("abc 1\r", max_size=30)), st.integers(1, 9))
def test_lines_are_cut_wherever_the_pipe_breaks_them(lines, step):
    stream = "".join(line + "\n" for line in lines).encode()
    cutter = LineCutter()
    cut = [
        line
        for start in range(0, len(stream), step)
        for line in cutter.feed(stream[start : start + step])
    ]
    assert cut == [line.rstrip("\r") for line in lines]


def test_an_endless_line_takes_no_endless_memory():
    cutter = LineCutter()
    for _ in range(1000):
        assert cutter.feed(b"x" * 100) == []
    (line,) = cutter.feed(b"\nnext")
    assert len(line) == MAX_LINE_BYTES
    assert cutter.feed(b"\n") == ["next"]


def test_bytes_that_are_no_text_do_no_harm():
    (line,) = LineCutter().feed(b"\xff\xfe\x00\n")
    assert redact(line) == "???"
