from dataclasses import replace

import pytest

from benchmarks.latency import sightings
from benchmarks.latency.sightings import Observation, Sighting, captured_at, figures
from benchmarks.latency.timecode import STAMP_MAX
from benchmarks.rig.refusal import MeasurementRefused


def seen(count=100, delay_ms=50.0, step_ms=33.0) -> Observation:
    sightings = [Sighting(n * step_ms, n * step_ms + delay_ms) for n in range(count)]
    return Observation(
        sightings, unread=0, sent=count, late=0, seconds=count * step_ms / 1000, size=(1280, 720)
    )


def test_a_steady_picture_has_its_delay_at_every_percentile():
    row = figures(seen(), (1280, 720))
    assert row["glass_ms"] == {"p50": 50.0, "p95": 50.0, "p99": 50.0}
    assert (row["jitter_ms"], row["freezes"], row["frames"]) == (0.0, 0, 100)
    assert row["fps"] == pytest.approx(1000 / 33, abs=0.01)


def test_a_gap_of_200_ms_is_a_freeze_and_a_shorter_one_is_not():
    steady = seen()
    for gap_ms, freezes in ((166.0, 0), (167.0, 1)):
        late = [
            replace(s, captured_ms=s.captured_ms + gap_ms, shown_ms=s.shown_ms + gap_ms)
            for s in steady.sightings[50:]
        ]
        frozen = replace(steady, sightings=[*steady.sightings[:50], *late])
        assert figures(frozen)["freezes"] == freezes


def test_a_picture_that_is_shown_twice_counts_once():
    steady = seen()
    again = replace(steady.sightings[-1], shown_ms=steady.sightings[-1].shown_ms + 500)
    row = figures(replace(steady, sightings=[*steady.sightings, again]))
    assert (row["frames"], row["glass_ms"]["p99"]) == (100, 50.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": (640, 360)}, "640x360"),
        ({"unread": 3}, "could not be read"),
        ({"sent": 120}, "never reached"),
        ({"late": 6}, "camera was late"),
        ({"sightings": []}, "only 0"),
    ],
)
def test_a_window_that_shows_something_else_is_refused(change, reason):
    with pytest.raises(MeasurementRefused, match=reason):
        figures(replace(seen(), **change), (1280, 720))


def test_a_stamp_is_the_last_time_with_these_bits():
    wrapped_ms = STAMP_MAX / 10
    assert captured_at(5_000, 600.0) == 500.0
    assert captured_at(STAMP_MAX - 100, wrapped_ms + 20) == pytest.approx(wrapped_ms - 10)


def test_who_refuses_for_missing_pictures_says_where_they_were_lost_and_how_busy_it_was(
    monkeypatch,
):
    lossy = replace(
        seen(),
        sent=120,
        pictures={"camera": 120, "to the filter": 118, "received": 101},
        cores={"rest": 0.85},
    )
    monkeypatch.setattr(sightings, "cpu_count", lambda: 2)
    with pytest.raises(MeasurementRefused, match=r"^17 % ") as refused:
        figures(lossy)
    for told in (
        "17 of them between to the filter and received: of pictures that come together",
        "120 camera, 118 to the filter, 101 received",
        "rest took 0.85 cores, 1.15 of 2 were left",
    ):
        assert told in str(refused.value)


def test_a_tenth_of_the_pictures_may_be_missing_and_no_more():
    figures(replace(seen(90), sent=100))
    with pytest.raises(MeasurementRefused, match="11 % of the pictures"):
        figures(replace(seen(89), sent=100))
