"""Tracing in a real server: rows of frames that really went through it, with and without filter."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.latency.tracing import count_tasks, frame_rows
from benchmarks.latency.waterfall import server_stages
from benchmarks.rig.live_server import running_server
from benchmarks.rig.memory_probe import OPEN, read_memory
from mediasrv.client import EncodedSource, Encoding, HostClient, ViewerClient
from mediasrv.client.sources.encoded import encode_frames
from mediasrv.client.sources.pattern import PatternImages
from mediasrv.media import Codec

FRAMES_WANTED = 20
TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def frames():
    return encode_frames(
        PatternImages(320, 180, 30), Codec.VP8, count=60, keyframe_every=30, bitrate_bps=300_000
    )


async def rows_of(path: Path, wanted: str) -> list[dict]:
    """Trace until enough frames have the moment that is wanted."""
    found: list[dict] = []
    with frame_rows(path, "traced") as rows:
        async with asyncio.timeout(TIMEOUT_S):
            while len(found) < FRAMES_WANTED:
                await asyncio.sleep(0.1)
                found += [row for row in rows.take() if wanted in row]
    return found


@pytest.mark.parametrize("parameters", [None, {"smooth": 45}])
async def test_every_moment_of_a_frame_lies_behind_the_one_before(tmp_path, frames, parameters):
    channel, probe = tmp_path / "trace", tmp_path / "memory"
    with running_server(f"{OPEN}={probe}", trace=str(channel)) as server:
        host = HostClient(
            server.url,
            "traced",
            EncodedSource(frames),
            encoding=Encoding(Codec.VP8),
            parameters=parameters,
        )
        async with host, ViewerClient(server.url, "traced", decode=False) as viewer:
            await viewer.first_frame(TIMEOUT_S)
            rows = await rows_of(channel, "sent_ms" if parameters is None else "encoded_ms")
        assert count_tasks(channel) > 0
        assert read_memory(probe)["blocks"] > 0
    for row in rows:
        stages = server_stages(row)
        assert stages is not None
        assert min(stages.values()) >= 0, stages
        assert row["viewers"] == 1
        assert ("landmarks" in row["steps_us"]) == (parameters is not None)
