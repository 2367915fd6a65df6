"""With the filter off the server is a mirror: what viewers get is what the host sent."""

import asyncio
import contextlib

import pytest

from benchmarks.rig.live_server import RunningServer
from mediasrv.client import EncodedSource, Encoding, HostClient, PatternSource, ViewerClient
from mediasrv.client.sources.encoded import encode_frames
from mediasrv.client.sources.pattern import PatternImages
from mediasrv.media import Codec


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
async def test_payloads_arrive_byte_for_byte_as_the_host_sent_them(
    server: RunningServer, room: str, codec: Codec
):
    frames = encode_frames(PatternImages(640, 360, 30), codec, count=60, keyframe_every=30)
    host = HostClient(
        server.url, room, EncodedSource(frames), encoding=Encoding(codec), keep_packets=True
    )
    viewers = [ViewerClient(server.url, room, decode=False, keep_packets=True) for _ in range(2)]
    async with host, contextlib.AsyncExitStack() as watching:
        for viewer in viewers:
            await watching.enter_async_context(viewer)
            await viewer.first_frame(10)
        await asyncio.sleep(3)
        received = [
            {kind: viewer.received.payloads(kind) for kind in ("video", "audio")}
            for viewer in viewers
        ]
        sent = {kind: host.sent.payloads(kind) for kind in ("video", "audio")}
        losses = [s.lost for v in viewers for s in v.received.streams.values()]
    assert losses == [0, 0, 0, 0]
    for got in received:
        for kind, least in (("video", 60), ("audio", 100)):
            assert len(got[kind]) >= least
            assert _is_run_of(got[kind], sent[kind]), f"{kind} differs from what was sent"


async def test_a_viewer_of_the_python_client_sees_and_hears_the_host(
    server: RunningServer, room: str
):
    host = HostClient(server.url, room, PatternSource(640, 360, 30))
    viewer = ViewerClient(server.url, room)
    async with viewer, host:
        await viewer.first_frame(10)
        report = await viewer.watch(3)
    assert (report.width, report.height) == (640, 360)
    assert report.fps > 10
    assert report.audio_frames > 50


def _is_run_of(part: list[bytes], whole: list[bytes]) -> bool:
    """Tell whether ``part`` stands in ``whole`` without a gap."""
    return any(
        whole[start : start + len(part)] == part
        for start, payload in enumerate(whole)
        if payload == part[0]
    )
