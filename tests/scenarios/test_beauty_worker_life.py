"""When workers begin and end, and how many there may be."""

import asyncio
import dataclasses
import subprocess
import sys

import psutil
import pytest
import uvloop

from mediasrv.media import Codec
from mediasrv.processing import (
    FilterState,
    SpareWorkers,
    WorkersExhausted,
)
from tests.marker_stage import is_marked
from tests.scenarios.worker_show import REPOSITORY, STAND_IN, TESTS, Show, is_worker
from tests.stand_in_pipeline import HANG


async def test_no_more_streams_than_allowed(open_show):
    config = dataclasses.replace(STAND_IN, max_workers=1)
    spares = SpareWorkers(config)
    first = await open_show(Codec.VP8, config, spares=spares)
    with pytest.raises(WorkersExhausted):
        await open_show(Codec.VP8, config, spares=spares)
    await first.stream.close()
    second = await open_show(Codec.VP8, config, spares=spares)
    await second.play_until(lambda: second.has_had(FilterState.ON))
    await second.stream.close()
    await spares.close()


async def test_two_streams_do_not_disturb_each_other(open_show):
    spares = SpareWorkers(STAND_IN)
    shows = [await open_show(codec, spares=spares) for codec in Codec]
    async with asyncio.TaskGroup() as group:
        for show in shows:
            group.create_task(show.play_until(lambda show=show: len(show.frames_out) >= 5))
    shows[0].kill_worker()
    async with asyncio.TaskGroup() as group:
        group.create_task(shows[0].play_until(lambda: shows[0].has_had(FilterState.ON, 2)))
        group.create_task(shows[1].play_for(0.5))
    assert [state for state, _ in shows[1].states] == [FilterState.STARTING, FilterState.ON]
    for show in shows:
        await show.stream.close()
    await spares.close()


async def test_after_closing_the_process_is_gone_and_nothing_more_comes_out(open_show):
    show = await open_show(Codec.VP8)
    await show.play_until(lambda: len(show.frames_out) >= 5)
    pid = show.stream.worker_pid
    await show.stream.close("test")
    assert not psutil.pid_exists(pid)
    count = len(show.frames_out)
    await show.play_for(0.1)
    assert len(show.frames_out) == count
    assert show.states[-1] == (FilterState.OFF, None)


async def test_closing_while_the_first_worker_is_still_starting(open_show):
    show = await open_show(Codec.VP8, dataclasses.replace(STAND_IN, spares=0))
    await asyncio.sleep(0.05)
    await show.stream.close()
    assert show.states == [(FilterState.STARTING, None), (FilterState.OFF, None)]


def test_it_runs_on_uvloop(clip):
    async def run():
        spares = SpareWorkers(STAND_IN)
        show = Show(STAND_IN, spares, Codec.VP8, clip)
        try:
            await show.stream.open()
            await show.play_until(lambda: len(show.frames_out) >= 5)
            show.kill_worker()
            await show.play_until(lambda: show.has_had(FilterState.ON, 2))
            assert all(is_marked(image.y) for image in show.pictures_out())
        finally:
            await show.stream.close()
            await spares.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


SERVER = """
import asyncio, sys
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import BeautyStream, ProcessingConfig, SpareWorkers
from tests.encoded_clips import draw_images, encode

async def main():
    config = ProcessingConfig(
        pipeline="stand_in_pipeline:open_stand_in", python_path=(sys.argv[1],),
        spare_delay_s=0.0, hang_timeout_s=60.0,
    )
    spares = SpareWorkers(config)
    stream = BeautyStream(
        config, spares, Codec.VP8, {"smooth": int(sys.argv[2])},
        on_frame=lambda _: None, on_state=lambda *_: None, on_keyframe_needed=lambda: None,
    )
    await stream.open()
    while stream.worker_pid is None or spares.ready == 0:
        await asyncio.sleep(0.01)
    for frame in encode(Codec.VP8, draw_images(160, 96, 3)):
        stream.feed(frame)
    await asyncio.sleep(0.3)
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("strength", [50, HANG], ids=["working", "hanging"])
def test_no_worker_outlives_a_server_that_is_killed(strength):
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, TESTS, str(strength)],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    with server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        workers = [each for each in psutil.Process(server.pid).children() if is_worker(each)]
        assert len(workers) == 2
        server.kill()
    gone, alive = psutil.wait_procs(workers, timeout=5.0)
    assert alive == []
    assert len(gone) == 2
