"""A beauty worker that dies under a live room: nobody sees the host without the filter."""

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser

from benchmarks.rig.browsers import HostPage, RecordedFrame, ViewerPage, longest_gap_ms
from benchmarks.rig.live_server import REPOSITORY, RunningServer, running_server
from tests.marker_stage import is_marked

pytestmark = pytest.mark.browser

# Three within ten seconds count as a filter that cannot be had for now.
KILLS = 2
PICTURE_BACK_MS = 2000.0
STUTTERS = 4
PACE_S = 3.0


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(
        filter_extra_stages=["tests.marker_stage:open_marker"],
        filter_python_path=[str(REPOSITORY)],
    ) as running:
        yield running


def test_a_killed_worker_shows_nobody_an_unfiltered_frame(
    host: HostPage, viewer_browser: Browser, server: RunningServer, room: str
):
    host.toggle_beauty()
    host.go_live()
    viewer = ViewerPage(viewer_browser, server.url, room)
    viewer.until_playing()
    host.until_filter("on")
    viewer.wait(PACE_S)
    viewer.record()
    viewer.wait(PACE_S)
    pace_ms = longest_gap_ms(viewer.recorded())
    for _ in range(KILLS):
        viewer.wait(1.5)
        frames_before = viewer.statistics("video")["framesDecoded"]
        victim = server.workers()[0]
        os.kill(victim.pid, signal.SIGKILL)
        viewer.until_frames(frames_before + 15)
        host.until_filter("on")
    frames = viewer.recorded()
    viewer.close()
    assert len(frames) > 60
    assert [frame.at_ms for frame in frames if not _carries_marker(frame)] == []
    # What a busy machine adds is in the pace without a kill.
    assert longest_gap_ms(frames) < PICTURE_BACK_MS + STUTTERS * pace_ms


def test_a_host_that_goes_live_with_the_filter_on_is_never_seen_without_it(
    host: HostPage, viewer: ViewerPage
):
    host.toggle_beauty()
    viewer.until_state("waiting")
    viewer.record()
    host.go_live()
    viewer.until_playing()
    viewer.wait(2)
    frames = viewer.recorded()
    assert len(frames) > 10
    assert all(_carries_marker(frame) for frame in frames)


def _carries_marker(frame: RecordedFrame) -> bool:
    return is_marked(frame.corner.astype(np.float64).mean(axis=2))
