"""Tests of the viewer's arithmetic."""

import pytest

from mediasrv.client.statistics import FREEZE_THRESHOLD_S, FrameTimeline, ViewerReport


def timeline(*times_s):
    seen = FrameTimeline()
    for time_s in times_s:
        seen.add(time_s)
    return seen


def test_no_frame_has_no_rate_and_no_freeze():
    seen = timeline().ended(100.0)
    assert (seen.frames, seen.fps, seen.freezes, seen.first_s) == (0, 0.0, 0, None)


def test_one_frame_has_no_rate():
    assert timeline(5.0).fps == 0.0


def test_two_frames_in_the_same_instant_have_no_rate():
    assert timeline(5.0, 5.0).fps == 0.0


def test_the_rate_counts_intervals_not_frames():
    assert timeline(10.0, 10.1, 10.2).fps == pytest.approx(10.0)


def test_a_gap_of_exactly_the_threshold_is_no_freeze():
    assert timeline(0.0, FREEZE_THRESHOLD_S).freezes == 0


def test_a_longer_gap_is_a_freeze():
    seen = timeline(0.0, 0.25, 0.3)
    assert (seen.freezes, seen.frozen_s, seen.longest_gap_s) == (1, 0.25, 0.25)


def test_silence_at_the_end_is_a_freeze():
    assert timeline(0.0, 0.1).ended(1.1).freezes == 1


def test_ending_leaves_the_running_count_alone():
    seen = timeline(0.0, 0.1)
    seen.ended(5.0)
    assert seen.freezes == 0


def test_a_report_is_plain_values():
    report = ViewerReport(room="demo", seconds=1.0, decoded=True).as_dict()
    assert report["video"] == {"codec": None, "packets": 0, "lost": 0, "bitrate_bps": 0}
