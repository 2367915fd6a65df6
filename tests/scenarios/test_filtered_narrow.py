"""Viewers of a filtered room whose way carries less than the worker makes."""

import pytest

from tests.scenarios.filtered_room import FilteredRoom
from tests.scenarios.test_narrow import assert_one_stream, limited, settled


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_limited_viewer_of_a_filtered_room_gets_fewer_frames_instead_of_freezes(seed):
    room = FilteredRoom(seed, layers=3)
    other = room.join(reports_bandwidth=True)
    narrow = room.join(limited(1_200_000, 80_000), reports_bandwidth=True)
    start, end = settled(room)
    # Between the base layer alone, 7.5 frames per second, and the lower two, 15.
    assert 7 <= narrow.frames_per_second(start, end) <= 25
    assert narrow.freezes(start, end) == 0
    assert max(narrow.gaps_s(start, end)) < 0.5
    assert_one_stream(narrow, holes=6)
    assert other.frames_per_second(start, end) >= 29.5
    assert other.freezes(start, end) == 0


def test_without_layers_the_same_viewer_would_see_stills():
    room = FilteredRoom(1, layers=1)
    narrow = room.join(limited(1_200_000, 80_000), reports_bandwidth=True)
    start, end = settled(room)
    assert narrow.frames_per_second(start, end) < 7
    assert narrow.freezes(start, end) > 0
