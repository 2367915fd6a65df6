import pytest

from benchmarks.latency.sightings import Sighting
from benchmarks.latency.waterfall import (
    frame_stages,
    match,
    middle_frame,
    server_stages,
    sum_up,
    totals_ms,
)

DIRECT = {
    "rtp_ticks": 7,
    "first_in_ms": 100.0,
    "last_in_ms": 101.0,
    "unprotected_ms": 101.5,
    "sending_ms": 102.0,
    "first_sent_ms": 102.25,
    "sent_ms": 102.5,
    "steps_us": {},
}
FILTERED = {
    **DIRECT,
    "complete_ms": 102.0,
    "decoding_ms": 103.0,
    "decoded_ms": 105.0,
    "begun_ms": 105.5,
    "encoding_ms": 110.0,
    "encoded_ms": 115.0,
    "back_ms": 115.5,
    "sending_ms": 116.0,
    "first_sent_ms": 116.25,
    "sent_ms": 116.5,
    "steps_us": {"landmarks": 2000, "smooth": 1500, "shape": 0},
}


def sighting(rtp_ticks=7, shown_ms=140.0) -> Sighting:
    return Sighting(80.0, shown_ms, 117.0, 4.0, rtp_ticks)


@pytest.mark.parametrize("row", [DIRECT, FILTERED])
def test_the_stages_of_a_frame_add_up_to_glass_to_glass(row):
    stages = frame_stages(row, sighting(), buffer_ms=3.0)
    assert sum(stages.values()) == pytest.approx(sighting().glass_ms)
    assert next(iter(stages)) == "host"
    assert list(stages)[-4:] == ["network", "viewer buffer", "viewer decode", "viewer paint"]


def test_the_filters_are_told_apart_and_the_rest_of_their_time_is_the_copy():
    stages = server_stages(FILTERED)
    assert (stages["landmarks"], stages["smooth"]) == (2.0, 1.5)
    assert stages["copy"] == pytest.approx(1.0)
    assert "shape" not in stages
    assert "filters" not in stages


def test_the_jitter_buffer_is_never_more_than_the_time_there_was():
    stages = frame_stages(DIRECT, sighting(shown_ms=122.0), buffer_ms=30.0)
    assert stages["viewer buffer"] == pytest.approx(1.0)
    assert stages["viewer paint"] == pytest.approx(0.0)


def test_a_frame_that_was_under_way_when_tracing_began_has_no_stages():
    assert server_stages({k: v for k, v in FILTERED.items() if k != "decoded_ms"}) is None


def test_frames_are_joined_by_their_timestamp_on_the_last_hop():
    rows = [DIRECT, {**DIRECT, "rtp_ticks": 9}, {"tracing": "room"}]
    joined = match(rows, [sighting(9), sighting(8), sighting(7)], 0.0)
    assert [s.rtp_ticks for s, _ in joined] == [9, 7]


def test_a_stage_that_not_every_frame_has_counts_as_nothing_there():
    summed = sum_up([{"a": 1.0, "c": 1.0}, {"a": 1.0, "b": 2.0, "c": 1.0}])
    assert list(summed) == ["a", "b", "c"]
    assert summed["b"]["mean"] == 1.0
    assert totals_ms([{"a": 1.0, "b": 2.5}]) == [3.5]


def test_the_frame_to_draw_is_the_one_in_the_middle():
    frames = [(sighting(shown_ms=80.0 + ms), {"whole": ms}) for ms in (10.0, 50.0, 30.0)]
    assert middle_frame(frames) == {"whole": 30.0}
