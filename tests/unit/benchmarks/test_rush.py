from dataclasses import fields

import pytest

from benchmarks.load.rush import Arrival
from benchmarks.rush import is_kept, summarize

MS = 1_000_000
NAMES = [field.name for field in fields(Arrival) if field.name.endswith("_ns")]


def arrival(wait_ms: int) -> Arrival:
    """A viewer who was 1 ms late, and waited longest for its frame."""
    times = [0, 1, 2, 3, 4, 5, 6, 7, wait_ms]
    times_ns = (1_000 * MS + ms * MS for ms in times)
    return Arrival(**dict(zip(NAMES, times_ns, strict=True)))  # type: ignore[arg-type]


def row(*arrivals, requests=0):
    return {"viewers": len(arrivals), "keyframe_requests": requests, **summarize(arrivals)}


def test_a_wait_is_counted_from_when_the_viewer_was_to_come():
    found = row(arrival(100), arrival(300))
    assert found["wait_ms"]["max"] == 300
    assert found["steps_ms"]["late"]["p50"] == 1
    assert found["steps_ms"]["whole frame"]["max"] == 293
    assert sum(step["max"] for step in row(arrival(100))["steps_ms"].values()) == 100


def test_who_saw_nothing_is_counted_and_named():
    found = row(arrival(100), Arrival(1, failure="TimeoutError()"))
    assert (found["saw_a_frame"], found["failures"]) == (1, ["TimeoutError()"])
    assert not is_kept(found)
    assert not is_kept(row(Arrival(1, failure="x")))


@pytest.mark.parametrize(
    ("wait_ms", "requests", "kept"), [(1000, 4, True), (1001, 4, False), (1000, 5, False)]
)
def test_the_limits_are_a_second_for_everybody_and_four_requests(wait_ms, requests, kept):
    assert is_kept(row(arrival(10), arrival(wait_ms), requests=requests)) is kept
