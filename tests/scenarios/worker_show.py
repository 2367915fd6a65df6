"""A host who plays for ever to a filtered stream on real workers, and all that comes back."""

import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from filters.image import YuvImage
from mediasrv.media import EncodedFrame
from mediasrv.processing import (
    BeautyStream,
    FilterState,
    ProcessingConfig,
)
from mediasrv.processing.encoder import VideoEncoder
from tests.encoded_clips import decode, from_image

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


def is_worker(process):
    try:
        return "mediasrv.processing.worker" in " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return True  # not reaped yet
    except psutil.NoSuchProcess:
        return False
