import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay.serial import Unwrapper, signed_distance


@pytest.mark.parametrize(
    ("start", "end", "bits", "distance"),
    [
        (0, 0, 16, 0),
        (0, 1, 16, 1),
        (1, 0, 16, -1),
        (65535, 0, 16, 1),
        (0, 65535, 16, -1),
        (65530, 10, 16, 16),
        (0, 32767, 16, 32767),
        (2**32 - 1, 4, 32, 5),
        (127, 0, 7, 1),
        (0, 127, 7, -1),
        (32767, 0, 15, 1),
        (255, 2, 8, 3),
    ],
)
def test_the_way_round_the_circle_is_the_shorter_one(start, end, bits, distance):
    assert signed_distance(start, end, bits) == distance


def test_half_way_round_counts_as_backwards():
    assert signed_distance(0, 32768, 16) == -32768
    assert signed_distance(40000, 7232, 16) == -32768


@given(st.integers(0, 2**40), st.integers(-(2**15), 2**15 - 1))
def test_a_start_that_was_unwrapped_before_gives_the_same_distance(start, distance):
    assert signed_distance(start, (start + distance) & 0xFFFF, 16) == distance


@pytest.mark.parametrize("bits", [7, 8, 15, 16, 32])
@given(data=st.data())
def test_a_stream_with_loss_and_reordering_is_unwrapped_to_what_was_sent(bits, data):
    half = 1 << bits - 1
    start = data.draw(st.integers(0, 2**bits - 1))
    steps = data.draw(st.lists(st.integers(-(half // 4), half // 2), max_size=40))
    unwrapper = Unwrapper(bits)
    sent = highest = start
    assert unwrapper.unwrap(start) == start
    for step in steps:
        sent = highest + step
        assert unwrapper.unwrap(sent % 2**bits) == sent
        highest = max(highest, sent)
        assert unwrapper.last == highest


def test_a_number_before_the_first_one_becomes_negative_rather_than_a_jump():
    unwrapper = Unwrapper(16)
    assert [unwrapper.unwrap(n) for n in (1, 65535, 2)] == [1, -1, 2]


def test_placing_a_number_does_not_move_the_stream():
    unwrapper = Unwrapper(16)
    assert unwrapper.place(9) == 9
    assert unwrapper.last is None
    unwrapper.unwrap(65000)
    assert unwrapper.place(100) == 65636
    assert unwrapper.last == 65000
