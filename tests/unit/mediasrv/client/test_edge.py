"""The filter on the host's own machine, with real workers: what the server gets is filtered."""

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from filters.errors import ParameterError
from mediasrv.client import (
    EdgeFilter,
    EncodedSource,
    Encoding,
    HostClient,
    PatternSource,
    SourceUnavailable,
)
from mediasrv.client.filtered_track import WAITING_FRAMES, FilteredTrack
from mediasrv.client.sources.encoded import encode_frames
from mediasrv.client.sources.pattern import PatternImages
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import FilterState, ProcessingConfig
from mediasrv.relay import vp8
from tests.marker_stage import is_marked
from tests.unit.mediasrv.client.fake_server import PATIENCE_S

TESTS = str(Path(__file__).resolve().parents[3])
SOURCE = PatternSource(320, 240, 30.0)
CONFIG = ProcessingConfig(
    pipeline="stand_in_pipeline:open_stand_in",
    extra_stages=("marker_stage:open_marker",),
    python_path=(TESTS,),
    hang_timeout_s=10.0,
    crash_limit=1000,
)


@pytest.fixture
def lumas(server):
    """The luma of every image that the server got."""
    server.live = False
    server.keeps_images = True
    return server.lumas


def workers():
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE
        and "mediasrv.processing.worker" in " ".join(child.cmdline())
    ]


async def test_the_server_gets_filtered_pictures_only_and_hears_nothing_of_a_filter(server, lumas):
    edge = EdgeFilter({"smooth": 50}, CONFIG)
    async with HostClient(server.url, "demo", SOURCE, edge=edge) as host:
        await host.until(lambda: len(lumas) >= 20, PATIENCE_S)
        assert edge.state is FilterState.ON
        assert "set_filter" not in server.kinds()
    assert all(is_marked(luma) for luma in lumas)
    assert workers() == []
    assert edge.state is FilterState.OFF


async def test_a_worker_that_is_killed_leaves_the_server_with_the_last_picture(server, lumas):
    edge = EdgeFilter({"smooth": 50}, CONFIG)
    async with HostClient(server.url, "demo", SOURCE, edge=edge) as host:
        for _ in range(3):
            count = len(lumas)
            await host.until(lambda count=count: len(lumas) >= count + 5, PATIENCE_S)
            for worker in workers():
                os.kill(worker.pid, signal.SIGKILL)
            await host.until(lambda: edge.state is FilterState.RECOVERING, PATIENCE_S)
        count = len(lumas)
        await host.until(lambda: len(lumas) >= count + 5, PATIENCE_S)
    assert all(is_marked(luma) for luma in lumas)


async def test_a_keyframe_that_the_server_asks_for_is_made_by_the_worker(server, lumas):
    edge = EdgeFilter({}, CONFIG)
    async with HostClient(server.url, "demo", SOURCE, edge=edge, keep_packets=True) as host:
        await host.until(lambda: len(lumas) >= 5, PATIENCE_S)
        video = host.publication.tracks.video
        assert isinstance(video, FilteredTrack)
        asked_of_source = video._source.keyframe_requests
        before = keyframes_sent(host)
        video.request_keyframe()
        await host.until(lambda: keyframes_sent(host) > before, PATIENCE_S)
        assert video._source.keyframe_requests == asked_of_source


def keyframes_sent(host):
    """VP8 payloads that begin a keyframe (RFC 7741 section 4.2, RFC 6386 section 9.1)."""
    return sum(vp8.starts_keyframe(payload) for payload in host.sent.payloads("video"))


async def test_only_pictures_can_be_filtered(server):
    server.live = False
    frames = encode_frames(PatternImages(160, 96), Codec.VP8, count=5, keyframe_every=5)
    with pytest.raises(SourceUnavailable, match="only pictures"):
        async with HostClient(
            server.url, "demo", EncodedSource(frames), edge=EdgeFilter({}, CONFIG)
        ):
            pass


def test_what_stays_here_is_encoded_quickly_and_finely():
    asked = EdgeFilter({}).input_encoding(Encoding(Codec.H264, 1_000_000))
    assert asked == Encoding(Codec.H264, 4_000_000, quick=True)


def test_wrong_strengths_are_refused_before_anything_starts():
    with pytest.raises(ParameterError):
        EdgeFilter({"smooth": 101})


class StillSource:
    """A source that nobody reads."""

    skipped = 0
    failure = None

    def stop(self):
        pass


async def test_frames_that_nobody_fetches_do_not_pile_up_and_the_next_begins_with_a_keyframe():
    track = FilteredTrack(StillSource(), Codec.VP8)
    for number in range(3 * WAITING_FRAMES):
        track._take(EncodedFrame(Codec.VP8, number, number == 0, b"x"))
    assert len(track._frames) <= WAITING_FRAMES
    track._frames.clear()
    track._take(EncodedFrame(Codec.VP8, 1000, False, b"delta"))
    track._take(EncodedFrame(Codec.VP8, 1001, True, b"key"))
    assert (await asyncio.wait_for(track.recv(), 1)).pts == 1001
    track.stop()
    assert np.all([frame.keyframe for frame in track._frames])
