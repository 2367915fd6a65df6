"""Filtered streams on real worker processes: real video, crashes, hangs, and nothing leaked."""

import asyncio
import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import uvloop

from filters.image import YuvImage
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import (
    BeautyStream,
    FilterState,
    ProcessingConfig,
    SpareWorkers,
    WorkersExhausted,
)
from mediasrv.processing.encoder import VideoEncoder
from tests.encoded_clips import decode, draw_images, encode, from_image, psnr_db, read_clip
from tests.marker_stage import is_marked, paint
from tests.stand_in_pipeline import EXIT, GROW, GROWTH_BYTES, HANG, REFUSE, SEND_GARBAGE

TESTS = str(Path(__file__).resolve().parents[1])
REPOSITORY = str(Path(__file__).resolve().parents[2])
TIMEOUT_S = 20.0
FPS = 60

STAND_IN = ProcessingConfig(
    pipeline="stand_in_pipeline:open_stand_in",
    extra_stages=("marker_stage:open_marker",),
    python_path=(TESTS,),
    spare_delay_s=0.0,
    crash_limit=1000,
    # The machine that tests may be busy; where a hang is meant, the test says how soon.
    hang_timeout_s=10.0,
)
FACES = dataclasses.replace(
    STAND_IN, pipeline=ProcessingConfig().pipeline, extra_stages=(), spares=0
)


@pytest.fixture(params=Codec, ids=str)
def codec(request):
    return request.param


@pytest.fixture(scope="module")
def clip(media):
    return read_clip(media / "clip_man_glasses_512x480.mp4", 120, size=(320, 300))


class Show:
    """A host who plays images for ever and answers keyframe requests, and all that comes back."""

    def __init__(self, config, spares, codec, images, parameters=None, stream_class=BeautyStream):
        self.codec = codec
        self.frames_in: list[EncodedFrame] = []
        self.frames_out: list[EncodedFrame] = []
        self.states: list[tuple[FilterState, str | None]] = []
        self.keyframes_asked = 0
        self.step_ticks = 3000
        self._images = images
        self._encoder = VideoEncoder(codec)
        self._wants_keyframe = False
        self.stream = stream_class(
            config,
            spares,
            codec,
            parameters or {},
            on_frame=self.frames_out.append,
            on_state=lambda state, reason: self.states.append((state, reason)),
            on_keyframe_needed=self._take_keyframe_wish,
        )

    def _take_keyframe_wish(self):
        self.keyframes_asked += 1
        self._wants_keyframe = True

    def play_one(self):
        number = len(self.frames_in)
        ticks = number * self.step_ticks
        image = self._images[number % len(self._images)]
        encoded = self._encoder.encode(from_image(image), ticks, keyframe=self._wants_keyframe)
        self._wants_keyframe = False
        frame = EncodedFrame(self.codec, ticks, encoded.keyframe, encoded.payload)
        self.frames_in.append(frame)
        self.stream.feed(frame)

    async def play_until(self, condition: Callable[[], object], timeout_s: float = TIMEOUT_S):
        give_up_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < give_up_s, f"never happened; states were {self.states}"
            self.play_one()
            await asyncio.sleep(1 / FPS)

    async def play_for(self, seconds: float):
        end_s = time.monotonic() + seconds
        await self.play_until(lambda: time.monotonic() >= end_s)

    def kill_worker(self) -> int:
        pid = self.stream.worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return pid

    def has_had(self, state: FilterState, count: int = 1) -> bool:
        return [each for each, _ in self.states].count(state) >= count

    def runs_out(self) -> list[list[EncodedFrame]]:
        """The output in pieces that each start with a keyframe."""
        runs: list[list[EncodedFrame]] = []
        for frame in self.frames_out:
            if frame.keyframe or not runs:
                runs.append([])
            runs[-1].append(frame)
        return runs

    def pictures_out(self) -> list[YuvImage]:
        """Everything that came out, decoded; every piece by itself."""
        return [image for run in self.runs_out() for image in decode(self.codec, run)]


@pytest.fixture
async def open_show(clip):
    shows, all_spares = [], []

    async def open_show(
        codec,
        config=STAND_IN,
        images=clip,
        parameters=None,
        spares=None,
        stream_class=BeautyStream,
    ):
        if spares is None:
            spares = SpareWorkers(config)
            all_spares.append(spares)
        show = Show(config, spares, codec, images, parameters, stream_class)
        shows.append(show)
        await show.stream.open()
        return show

    yield open_show
    for show in shows:
        await show.stream.close()
    for spares in all_spares:
        await spares.close()
    assert not [child for child in psutil.Process().children() if is_worker(child)]


def is_worker(process):
    try:
        return "mediasrv.processing.worker" in " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return True  # not reaped yet
    except psutil.NoSuchProcess:
        return False


async def test_frames_come_back_marked_in_order_and_with_their_timestamps(open_show, codec):
    show = await open_show(codec)
    await show.play_until(lambda: len(show.frames_out) >= 30)
    sent = {frame.timestamp_ticks for frame in show.frames_in}
    ticks = [frame.timestamp_ticks for frame in show.frames_out]
    assert ticks == sorted(set(ticks))
    assert set(ticks) <= sent
    assert [frame.keyframe for frame in show.frames_out].count(True) == 1
    assert all(is_marked(image.y) for image in show.pictures_out())
    assert [state for state, _ in show.states] == [FilterState.STARTING, FilterState.ON]


def test_the_hosts_own_pictures_do_not_carry_the_marker(clip):
    assert not any(is_marked(image.y) for image in clip)
    frames = encode(Codec.VP8, clip[:10])
    assert not any(is_marked(image.y) for image in decode(Codec.VP8, frames))


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


async def test_settings_change_while_live_without_a_keyframe(open_show, codec, clip):
    show = await open_show(codec, images=clip[:1])
    await show.play_until(lambda: len(show.frames_out) >= 5)
    before = show.pictures_out()[-1].y[150:200, 150:200].mean()
    show.stream.configure({"smooth": 50})
    await show.play_until(lambda: len(show.frames_out) >= 25)
    after = show.pictures_out()[-1].y[150:200, 150:200].mean()
    assert after - before == pytest.approx(20, abs=5)
    assert len(show.runs_out()) == 1


async def test_a_keyframe_is_made_on_request(open_show, codec):
    show = await open_show(codec)
    await show.play_until(lambda: len(show.frames_out) >= 5)
    show.stream.request_keyframe()
    await show.play_until(lambda: len(show.runs_out()) == 2)
    list(decode(codec, show.runs_out()[1]))


SIZES = {
    "landscape, portrait, small": ((320, 240), (240, 320), (160, 96), (640, 360)),
    "a phone is turned": ((640, 360), (360, 640), (640, 360)),
    "4:3 and square": ((640, 480), (480, 640), (400, 400)),
    "the smallest and the largest": ((160, 90), (1920, 1080), (160, 90)),
}
ODD_SIZES = ((161, 91), (333, 251), (251, 333), (640, 361))
STEPS_PER_SIZE = 6


@pytest.mark.parametrize("sizes", SIZES.values(), ids=list(SIZES))
async def test_the_picture_may_change_its_size_and_shape(open_show, codec, sizes):
    await show_sizes(open_show, codec, sizes)


async def test_vp8_may_have_odd_sizes(open_show):
    """H.264 as WebRTC has it cannot: cameras and browsers send even sizes there."""
    await show_sizes(open_show, Codec.VP8, ODD_SIZES)


async def show_sizes(open_show, codec, sizes):
    images = [image for size in sizes for image in draw_images(*size, STEPS_PER_SIZE)]
    show = await open_show(codec, images=images)
    await show.play_until(lambda: len(show.runs_out()) > len(sizes))
    seen = {(image.width_px, image.height_px) for image in show.pictures_out()}
    assert seen == set(sizes)
    assert show.stream.counters.workers_lost == 0
    assert all(is_marked(image.y) for image in show.pictures_out())


@pytest.mark.parametrize("fps", [5, 15, 60])
async def test_any_frame_rate_passes_and_its_bitrate_is_that_of_the_target(
    open_show, codec, fps, clip
):
    show = await open_show(codec)
    show.stream.aim_at(300_000)
    show.step_ticks = 90_000 // fps
    await show.play_until(lambda: len(show.frames_out) >= 90)
    settled = show.frames_out[40:]
    rate_bps = sum(len(frame.payload) for frame in settled) * 8 * fps / len(settled)
    assert rate_bps < 1.4 * 300_000
    assert show.runs_out()[0] == show.frames_out  # no keyframe but the first


async def test_a_still_camera_costs_next_to_nothing_and_stays_sharp(open_show, codec, clip):
    show = await open_show(codec, images=clip[:1])
    await show.play_until(lambda: len(show.frames_out) >= 60)
    late = show.frames_out[40:]
    assert sum(len(frame.payload) for frame in late) / len(late) < 2000
    expected = clip[0].copy()
    paint(expected)
    assert psnr_db(show.pictures_out()[-1], expected) > 36


async def test_the_bitrate_follows_down_and_up_without_a_keyframe(open_show, codec, clip):
    """In the locked worker, where no library can be loaded any more."""
    show = await open_show(codec)
    rates = []
    for target_bps in (600_000, 250_000, 600_000):
        show.stream.aim_at(target_bps)
        count = len(show.frames_out)
        await show.play_until(lambda count=count: len(show.frames_out) >= count + 75)
        settled = show.frames_out[count + 30 :]
        rates.append(sum(len(frame.payload) for frame in settled) * 8 * 30 / len(settled))
    assert rates[1] < 1.3 * 250_000
    assert rates[0] > 1.3 * rates[1] < rates[2]
    assert len(show.runs_out()) == 1
    assert show.stream.worker_counters.encoders_opened == 1


async def test_damaged_input_gives_no_picture_but_a_wish_for_a_keyframe(open_show, codec):
    show = await open_show(codec)
    await show.play_until(lambda: len(show.frames_out) >= 5)
    asked = show.keyframes_asked
    last = show.frames_in[-1].timestamp_ticks
    assert show.stream.feed(EncodedFrame(codec, last + 1, False, b"\xff\xff\xff"))
    await show.play_until(lambda: show.keyframes_asked > asked)
    count = len(show.frames_out)
    await show.play_until(lambda: len(show.frames_out) > count + 5)
    assert show.stream.worker_counters.undecodable == 1
    assert show.stream.counters.workers_lost == 0
    assert all(is_marked(image.y) for image in show.pictures_out())


async def test_real_faces_are_filtered_and_0_leaves_the_picture_alone(open_show, codec, media):
    images = read_clip(media / "clip_woman_talking_700x700.mp4", 1)
    show = await open_show(codec, FACES, images)
    await show.play_until(lambda: len(show.frames_out) >= 20)
    plain = show.pictures_out()[-1]
    assert psnr_db(plain, images[0]) > 34
    show.stream.configure({"smooth": 100, "brighten": 100})
    count = len(show.frames_out)
    await show.play_until(lambda: len(show.frames_out) >= count + 40)
    changed = np.abs(show.pictures_out()[-1].y.astype(int) - plain.y)
    assert changed[200:500, 250:450].mean() > 5  # the face
    assert changed[:60, :].mean() < 2  # the wall
    assert show.stream.counters.landmarks_us > 0


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
