import asyncio
import dataclasses
import logging
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from filters.parameters import Parameters
from mediasrv.media import Codec
from mediasrv.processing.confinement import Guard, SandboxLevel, usual_level
from mediasrv.processing.errors import WorkerStartFailed
from mediasrv.processing.messages import Configure, InputFrame, OutputFrame
from mediasrv.processing.supervision import WorkerLoss
from mediasrv.processing.trial import try_confinement
from mediasrv.processing.worker_process import WorkerProcess
from tests.encoded_clips import draw_images, encode
from tests.stand_in_pipeline import COMPLAIN, EXIT, HANG, RAISE, SECRET, SEGFAULT, SEND_GARBAGE

TIMEOUT_S = 10.0
PROMPT_S = 3.0  # promised is one; the machine that tests may be busy


class Stream:
    """A worker with a stream attached; collects what comes out."""

    def __init__(self, worker, parameters=None):
        self.worker = worker
        self.outputs: asyncio.Queue[OutputFrame] = asyncio.Queue()
        self.frames = encode(Codec.VP8, draw_images(160, 96, 10))
        self.configure = Configure(Codec.VP8, parameters or Parameters())
        worker.attach(self.configure, self._take)

    def _take(self, message):
        if isinstance(message, OutputFrame):
            self.outputs.put_nowait(message)

    def feed(self, number):
        frame = self.frames[number]
        return self.worker.send_frame(
            InputFrame(frame.timestamp_ticks, frame.keyframe, frame.payload)
        )

    async def output(self):
        return await asyncio.wait_for(self.outputs.get(), TIMEOUT_S)


@pytest.fixture
async def start(config):
    started = []

    async def start(**changes):
        worker = WorkerProcess(dataclasses.replace(config, **changes))
        started.append(worker)
        await worker.wait_ready()
        return worker

    yield start
    for worker in started:
        await worker.close()
        assert not psutil.pid_exists(worker.pid)


def statuses(pid):
    """What the kernel says about every thread of a process."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        yield dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@pytest.mark.skipif(sys.platform != "linux", reason="the guards are Linux's")
async def test_a_worker_is_locked_in_before_it_is_ready_and_the_kernel_says_so_too(start):
    worker = await start()
    assert worker.confinement.reached is SandboxLevel.STRICT
    for status in statuses(worker.pid):
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    limits = psutil.Process(worker.pid)
    assert limits.rlimit(psutil.RLIMIT_FSIZE) == limits.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert limits.rlimit(psutil.RLIMIT_NOFILE) == (4, 4)
    assert {int(fd) for fd in os.listdir(f"/proc/{worker.pid}/fd")} == {0, 1, 2, 3}


async def test_a_worker_that_is_less_locked_in_than_demanded_is_refused(start, caplog):
    with pytest.raises(WorkerStartFailed):
        await start(pipeline="stand_in_pipeline:open_with_a_file_left_open")
    assert "no filtering" in caplog.text
    assert "descriptors: Device or resource busy" in caplog.text


async def test_with_best_effort_the_same_worker_filters_and_says_what_is_missing(start):
    worker = await start(
        pipeline="stand_in_pipeline:open_with_a_file_left_open", sandbox=SandboxLevel.BEST_EFFORT
    )
    assert Guard.DESCRIPTORS in worker.confinement.missing
    assert worker.confinement.reached is SandboxLevel.BEST_EFFORT
    stream = Stream(worker)
    assert stream.feed(0)
    assert (await stream.output()).keyframe


async def test_switched_off_nothing_is_claimed(start):
    worker = await start(sandbox=SandboxLevel.OFF)
    assert worker.confinement.reached is SandboxLevel.OFF
    assert [status["Seccomp"] for status in statuses(worker.pid)] == ["0"]


async def test_what_a_trial_finds_is_what_a_worker_has(config):
    confinement = await try_confinement(config)
    assert confinement.reached is usual_level()


async def test_frames_go_through(start):
    stream = Stream(await start())
    for number in range(5):
        assert stream.feed(number)
        assert (await stream.output()).timestamp_ticks == number * 3000


async def test_closing_ends_the_process_quickly_and_leaves_no_zombie(start):
    worker = await start()
    began_s = time.monotonic()
    await worker.close()
    assert time.monotonic() - began_s < PROMPT_S
    assert not psutil.pid_exists(worker.pid)
    await worker.close()


async def test_closing_ends_a_hanging_process_too(start):
    worker = await start()
    os.kill(worker.pid, signal.SIGSTOP)
    began_s = time.monotonic()
    await worker.close()
    assert time.monotonic() - began_s < PROMPT_S
    assert not psutil.pid_exists(worker.pid)


@pytest.mark.parametrize(
    ("trouble", "loss"),
    [
        (EXIT, WorkerLoss.CRASHED),
        (SEGFAULT, WorkerLoss.CRASHED),
        (RAISE, WorkerLoss.CRASHED),
        (SEND_GARBAGE, WorkerLoss.BROKE_PROTOCOL),
    ],
)
async def test_a_lost_worker_says_why_and_nothing_comes_out_of_it_any_more(start, trouble, loss):
    stream = Stream(await start(), Parameters(smooth=trouble))
    stream.feed(0)
    assert await asyncio.wait_for(stream.worker.wait_lost(), TIMEOUT_S) is loss
    assert stream.outputs.empty()
    assert stream.worker.loss is loss


async def test_a_killed_worker_is_noticed_at_once(start):
    worker = await start()
    os.kill(worker.pid, signal.SIGKILL)
    assert await asyncio.wait_for(worker.wait_lost(), PROMPT_S) is WorkerLoss.CRASHED


async def test_sending_to_a_worker_that_is_gone_is_no_error(start):
    stream = Stream(await start())
    os.kill(stream.worker.pid, signal.SIGKILL)
    for number in range(10):
        stream.feed(number)
    await stream.worker.wait_lost()
    stream.worker.pump()


async def test_a_worker_that_takes_nothing_blocks_nobody(start):
    stream = Stream(await start(), Parameters(smooth=HANG))
    stream.feed(0)
    large = bytes(200_000)
    began_s = time.monotonic()
    accepted = [stream.worker.send_frame(InputFrame(n, False, large)) for n in range(100)]
    assert time.monotonic() - began_s < PROMPT_S
    assert 5 < sum(accepted) < 20  # 2 MiB of outbox and what the socket takes
    stream.worker.lose(WorkerLoss.HUNG)
    assert await stream.worker.wait_lost() is WorkerLoss.HUNG


@pytest.mark.parametrize("factory", ["open_missing", "open_broken", "open_silent_exit"])
async def test_a_worker_that_cannot_start_says_so(start, factory):
    with pytest.raises(WorkerStartFailed):
        await start(pipeline=f"stand_in_pipeline:{factory}")


async def test_a_worker_that_takes_too_long_to_start_is_killed(start):
    with pytest.raises(WorkerStartFailed):
        await start(pipeline="stand_in_pipeline:open_slowly", start_timeout_s=0.3)


async def test_a_system_without_processes_left_is_a_failed_start(config, monkeypatch):
    def refuse(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refuse)
    with pytest.raises(WorkerStartFailed, match="temporarily unavailable"):
        WorkerProcess(config)


async def test_a_crash_is_reported_by_type_and_place_only(start, caplog):
    caplog.set_level(logging.DEBUG)
    stream = Stream(await start(), Parameters(smooth=RAISE))
    stream.feed(0)
    await asyncio.wait_for(stream.worker.wait_lost(), TIMEOUT_S)
    await stream.worker.close()
    reports = [record for record in caplog.records if "crashed" in record.getMessage()]
    assert [record.levelname for record in reports] == ["INFO"]
    assert "kind=RuntimeError file=stand_in_pipeline.py line=" in reports[0].getMessage()
    assert str(SECRET) not in caplog.text


async def test_what_libraries_print_goes_to_debug_without_its_numbers(start, caplog):
    caplog.set_level(logging.DEBUG)
    stream = Stream(await start(), Parameters(smooth=COMPLAIN))
    for number in range(3):
        stream.feed(number)
        await stream.output()
    await stream.worker.close()
    said = [record for record in caplog.records if "landmark at" in record.getMessage()]
    assert {record.levelname for record in said} == {"DEBUG"}
    assert all("#.#########" in record.getMessage() for record in said)
    assert str(SECRET) not in caplog.text


async def test_a_worker_that_prints_without_end_is_cut_off_in_the_log(start, caplog, config):
    caplog.set_level(logging.DEBUG)
    stream = Stream(await start(), Parameters(smooth=COMPLAIN))
    for _ in range(15):
        for number in range(10):
            stream.feed(number)
            await stream.output()
    await stream.worker.close()
    assert caplog.text.count("landmark at") == 100
    assert caplog.text.count("says too much") == 1
