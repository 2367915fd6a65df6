"""Workers that crash, hang, grow or lie: another takes over, and nothing unfiltered gets out."""

import dataclasses
import random

import psutil
import pytest

from mediasrv.media import Codec
from mediasrv.processing import (
    BeautyStream,
    FilterState,
)
from tests.marker_stage import is_marked
from tests.scenarios.worker_show import STAND_IN
from tests.stand_in_pipeline import EXIT, GROW, GROWTH_BYTES, HANG, REFUSE, SEND_GARBAGE


async def test_however_often_the_worker_is_killed_nothing_unfiltered_gets_out(open_show, codec):
    random_numbers = random.Random(2)
    show = await open_show(codec, dataclasses.replace(STAND_IN, spares=2))
    kills = 50
    for kill in range(kills):
        # Also before the first picture: then nothing came out of that worker.
        if random_numbers.random() < 0.8:
            frames = len(show.frames_out)
            await show.play_until(lambda frames=frames: len(show.frames_out) > frames)
        await show.play_until(lambda: show.stream.worker_pid is not None)
        await show.play_for(random_numbers.uniform(0.0, 0.2))
        show.kill_worker()
        if random_numbers.random() < 0.5:  # before we could notice
            for _ in range(random_numbers.randrange(8)):
                show.play_one()
        lost = kill + 1
        await show.play_until(lambda lost=lost: show.stream.counters.workers_lost >= lost)
    count = len(show.frames_out)
    await show.play_until(lambda: len(show.frames_out) > count)
    pictures = show.pictures_out()
    assert len(pictures) == len(show.frames_out) > kills
    assert all(is_marked(image.y) for image in pictures)
    assert not {frame.payload for frame in show.frames_in} & {
        frame.payload for frame in show.frames_out
    }
    assert show.stream.counters.workers_lost == kills


class FailingOpen(BeautyStream):
    """The leaky mutant: better the host's own picture than none."""

    def feed(self, frame):
        taken = super().feed(frame)
        if not taken:
            self._on_frame(frame)
        return taken


async def test_a_stream_that_fails_open_is_caught(open_show, codec):
    show = await open_show(codec, stream_class=FailingOpen)
    await show.play_until(lambda: show.has_had(FilterState.ON))
    show.kill_worker()
    await show.play_until(lambda: show.has_had(FilterState.ON, 2))
    assert {frame.payload for frame in show.frames_in} & {
        frame.payload for frame in show.frames_out
    }


async def test_after_a_crash_the_host_is_told_a_keyframe_is_asked_for_and_the_picture_returns(
    open_show, codec
):
    show = await open_show(codec)
    await show.play_until(lambda: len(show.frames_out) >= 5)
    asked = show.keyframes_asked
    first_pid = show.kill_worker()
    await show.play_until(lambda: show.has_had(FilterState.ON, 2))
    assert [*show.states[2:]] == [
        (FilterState.RECOVERING, "worker_crashed"),
        (FilterState.ON, None),
    ]
    assert show.keyframes_asked > asked
    assert show.stream.worker_pid != first_pid
    assert not psutil.pid_exists(first_pid)
    assert len(show.runs_out()) == 2


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (EXIT, "worker_crashed"),
        (HANG, "worker_hung"),
        (SEND_GARBAGE, "worker_broke_protocol"),
        (REFUSE, "worker_crashed"),
    ],
)
async def test_whatever_is_wrong_with_a_worker_another_one_takes_over(open_show, trouble, reason):
    show = await open_show(
        Codec.VP8, dataclasses.replace(STAND_IN, hang_timeout_s=2.0 if trouble == HANG else 10.0)
    )
    await show.play_until(lambda: show.has_had(FilterState.ON))
    show.stream.configure({"smooth": trouble})
    await show.play_until(lambda: show.has_had(FilterState.RECOVERING))
    show.stream.configure({"smooth": 50})
    await show.play_until(lambda: show.has_had(FilterState.ON, 2))
    assert show.states[2] == (FilterState.RECOVERING, reason)
    assert all(is_marked(image.y) for image in show.pictures_out())


async def test_a_worker_that_grows_too_much_is_replaced(open_show):
    show = await open_show(
        Codec.VP8, dataclasses.replace(STAND_IN, growth_limit_bytes=GROWTH_BYTES // 2)
    )
    await show.play_until(lambda: show.has_had(FilterState.ON))
    await show.play_for(0.3)
    assert show.stream.counters.workers_lost == 0
    show.stream.configure({"smooth": GROW})
    await show.play_until(lambda: show.has_had(FilterState.RECOVERING))
    show.stream.configure({"smooth": 50})
    await show.play_until(lambda: show.has_had(FilterState.ON, 2))
    assert show.states[2] == (FilterState.RECOVERING, "worker_grew")
    assert all(is_marked(image.y) for image in show.pictures_out())


async def test_a_filter_that_crashes_every_worker_becomes_unavailable_and_recovers(open_show):
    show = await open_show(
        Codec.VP8,
        dataclasses.replace(STAND_IN, crash_limit=3, crash_window_s=60.0, retry_interval_s=0.3),
        parameters={"smooth": EXIT},
    )
    await show.play_until(lambda: show.has_had(FilterState.UNAVAILABLE))
    assert show.states[-1] == (FilterState.UNAVAILABLE, "worker_crashed")
    assert show.frames_out == []
    lost = show.stream.counters.workers_lost
    await show.play_until(lambda: show.stream.counters.workers_lost > lost)
    assert show.stream.state is FilterState.UNAVAILABLE
    show.stream.configure({})
    await show.play_until(lambda: show.has_had(FilterState.ON))
