"""What the filter costs: time that it adds to a frame, CPU time per frame, rooms per core, quality.

Real locked workers behind real streams, fed with 720p as a host sends it, on an absolute schedule.
``latency`` is from the frame going in to the filtered frame coming out; the packets' way before
and after is the same with the filter off (``fanout`` measures it).
"""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
from av.codec.context import Flags
from skimage.metrics import structural_similarity

from benchmarks.browser_encoder import encode_in_browser
from benchmarks.machine import percentile
from filters.presets import PRESETS
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import BeautyStream, FilterState, ProcessingConfig, SpareWorkers
from mediasrv.processing.encoder import VideoEncoder
from mediasrv.processing.planes import LAYOUT, view_planes
from mediasrv.processing.stream import StreamCounters

FPS = 30
TICKS_PER_FRAME = 90_000 // FPS
WIDTH_PX, HEIGHT_PX = 1280, 720
HOST_BPS, QUALITY_BPS = 2_000_000, 1_500_000
SETTLE_S = 3.0
LAST_FRAMES_S = 0.2  # they are on their way when the last has gone in
READY_TIMEOUT_S = 30.0
QUALITY_IMAGES = 90
SSIM_EVERY = 10  # it takes a third of a second
STAGES = ("decode", "landmarks", "filter", "encode")
DECODERS = {Codec.VP8: "vp8", Codec.H264: "h264"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark can be told."""
    parser.add_argument("--clip", type=Path, required=True, help="a clip with a face")
    parser.add_argument("--preset", default="natural", choices=sorted(PRESETS))
    parser.add_argument("--rooms", default="1,3", help="how many rooms on one core, one by one")
    parser.add_argument("--codecs", default="vp8,h264")
    parser.add_argument(
        "--without-browser", action="store_true", help="do not compare with Chromium's encoders"
    )
    parser.add_argument("--core", type=int, default=0, help="where the workers run")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure and print."""
    images = read_images(options.clip)
    codecs = [Codec(name) for name in options.codecs.split(",")]
    parameters = PRESETS[options.preset].as_dict()
    starts = asyncio.run(measure_life())
    print(f"life: {starts}")
    rows: list[dict[str, object]] = []
    for codec in codecs:
        frames = encode_loop(codec, images)
        for rooms in map(int, options.rooms.split(",")):
            row = asyncio.run(measure(frames, rooms, parameters, options))
            rows.append(row)
            print(row)
    quality = []
    for codec in codecs:
        for row in measure_quality(
            codec, images[:QUALITY_IMAGES], browser=not options.without_browser
        ):
            quality.append(row)
            print(row)
    return {"preset": options.preset, "life": starts, "rooms": rows, "quality": quality}


def read_images(clip: Path) -> list[av.VideoFrame]:
    """The clip's first five seconds at 720p."""
    images = []
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            images.append(frame.reformat(WIDTH_PX, HEIGHT_PX, LAYOUT))
            if len(images) == 5 * FPS:
                break
    return images


def encode_loop(codec: Codec, images: Sequence[av.VideoFrame]) -> list[EncodedFrame]:
    """Frames of a host, a keyframe first."""
    encoder = VideoEncoder(codec)
    encoder.aim_at(HOST_BPS)
    frames = []
    for number, image in enumerate(images):
        encoded = encoder.encode(image, number * TICKS_PER_FRAME, keyframe=number == 0)
        frames.append(EncodedFrame(codec, 0, encoded.keyframe, encoded.payload))
    return frames


@dataclass
class Room:
    """One host's stream, and when each frame went in and came out."""

    frames: Sequence[EncodedFrame]
    state: FilterState = FilterState.OFF
    fed: dict[int, float] = field(default_factory=dict)
    delays_ms: list[float] = field(default_factory=list)
    stream: BeautyStream | None = None
    _number: int = 0
    _wants_keyframe: bool = True

    async def open(
        self, config: ProcessingConfig, spares: SpareWorkers, parameters: dict[str, int]
    ) -> None:
        """Start its worker."""
        self.stream = BeautyStream(
            config,
            spares,
            self.frames[0].codec,
            parameters,
            on_frame=self._came_out,
            on_state=self._changed,
            on_keyframe_needed=self._begin_again,
        )
        await self.stream.open()

    @property
    def pid(self) -> int | None:
        """Its worker, once there is one."""
        return None if self.stream is None else self.stream.worker_pid

    def feed(self) -> None:
        """Give it the next frame."""
        assert self.stream is not None
        frame = self.frames[self._number % len(self.frames)]
        ticks = self._number * TICKS_PER_FRAME
        self._number += 1
        self.fed[ticks] = time.perf_counter()
        self.stream.feed(replace(frame, timestamp_ticks=ticks))

    def begin(self) -> None:
        """Count from now on."""
        assert self.stream is not None
        self.fed.clear()
        self.delays_ms.clear()
        self.stream.counters = StreamCounters()

    async def close(self) -> None:
        """End its worker."""
        if self.stream is not None:
            await self.stream.close()

    def _begin_again(self) -> None:
        self._number += -self._number % len(self.frames)

    def _changed(self, state: FilterState, reason: str | None) -> None:
        del reason
        self.state = state

    def _came_out(self, frame: EncodedFrame) -> None:
        began_s = self.fed.get(frame.timestamp_ticks)
        if began_s is not None:
            self.delays_ms.append((time.perf_counter() - began_s) * 1000)


async def measure(
    frames: Sequence[EncodedFrame],
    rooms: int,
    parameters: dict[str, int],
    options: argparse.Namespace,
) -> dict[str, object]:
    """Filter so many rooms at full rate, all their workers on one core."""
    config = ProcessingConfig(max_workers=rooms, spares=0, target_bitrate_bps=QUALITY_BPS)
    spares = SpareWorkers(config)
    shown = [Room(frames) for _ in range(rooms)]
    try:
        for room in shown:
            await room.open(config, spares, parameters)
        await until(lambda: all(room.pid for room in shown))
        workers = [psutil.Process(room.pid) for room in shown]
        for worker in workers:
            os.sched_setaffinity(worker.pid, {options.core})
        await play(shown, SETTLE_S)
        for room in shown:
            room.begin()
        before_s = sum(sum(worker.cpu_times()[:2]) for worker in workers)
        began_s = time.perf_counter()
        await play(shown, options.seconds)
        took_s = time.perf_counter() - began_s
        await asyncio.sleep(LAST_FRAMES_S)
        cpu_s = sum(sum(worker.cpu_times()[:2]) for worker in workers) - before_s
    finally:
        for room in shown:
            await room.close()
        await spares.close()
    return describe(shown, cpu_s, took_s)


def describe(rooms: Sequence[Room], cpu_s: float, took_s: float) -> dict[str, object]:
    """One row of the result."""
    delays_ms = [delay for room in rooms for delay in room.delays_ms]
    fed = sum(len(room.fed) for room in rooms)
    return {
        "codec": str(rooms[0].frames[0].codec),
        "rooms": len(rooms),
        "fps": round(len(delays_ms) / took_s / len(rooms), 1),
        "frames_missing": round(1 - len(delays_ms) / fed, 4),
        "latency_p50_ms": round(percentile(delays_ms, 0.5), 1),
        "latency_p95_ms": round(percentile(delays_ms, 0.95), 1),
        "cpu_ms_per_frame": round(cpu_s * 1000 / len(delays_ms), 2),
        "core_share": round(cpu_s / took_s, 2),
        **{f"{stage}_ms": _stage_ms(rooms, stage) for stage in STAGES},
    }


def _stage_ms(rooms: Sequence[Room], stage: str) -> float:
    """What the workers measured of one stage, per frame; on a full core with its waiting."""
    counters = [room.stream.counters for room in rooms if room.stream is not None]
    spent_us: int = sum(getattr(each, f"{stage}_us") for each in counters)
    return round(spent_us / 1000 / max(1, sum(each.frames_out for each in counters)), 2)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(READY_TIMEOUT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def play(rooms: Sequence[Room], seconds: float) -> None:
    """Feed all rooms at full rate, each at its own moment within the frame interval."""
    began_s = time.perf_counter()
    steps = round(seconds * FPS)
    for step in range(steps):
        for number, room in enumerate(rooms):
            due_s = began_s + (step + number / len(rooms)) / FPS
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            room.feed()


async def measure_life() -> dict[str, float]:
    """How soon a warm spare gives its first frame, and how soon it is gone."""
    config = ProcessingConfig()
    spares = SpareWorkers(config)
    image = av.VideoFrame(WIDTH_PX, HEIGHT_PX, LAYOUT)
    for plane in image.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    room = Room(encode_loop(Codec.VP8, [image]))
    try:
        spares.warm()
        await until(lambda: spares.ready)
        began_s = time.perf_counter()
        await room.open(config, spares, PRESETS["natural"].as_dict())
        await until(lambda: room.pid)
        room.feed()
        await until(lambda: room.delays_ms)
        started_ms = (time.perf_counter() - began_s) * 1000
        pid = room.pid
        began_s = time.perf_counter()
        await room.close()
        ended_ms = (time.perf_counter() - began_s) * 1000
        assert pid is not None
        assert not psutil.pid_exists(pid)
    finally:
        await spares.close()
    return {"warm_start_ms": round(started_ms, 1), "end_ms": round(ended_ms, 1)}


def measure_quality(
    codec: Codec, images: Sequence[av.VideoFrame], *, browser: bool
) -> list[dict[str, Any]]:
    """Our encoder at 1.5 Mb/s, and what Chromium makes of the same pictures."""
    encoder = VideoEncoder(codec)
    encoder.aim_at(QUALITY_BPS)
    payloads, spent_s = [], 0.0
    for number, image in enumerate(images):
        began_s = time.perf_counter()
        encoded = encoder.encode(image, number * TICKS_PER_FRAME, keyframe=number == 0)
        spent_s += time.perf_counter() - began_s
        payloads.append(encoded.payload)
    spent_ms = round(spent_s * 1000 / len(images), 2)
    rows = [{"encoder": "ours", "encode_ms": spent_ms, **judge(codec, images, payloads)}]
    theirs = None
    if browser:
        theirs = encode_in_browser(codec, images, bitrate_bps=QUALITY_BPS, fps=FPS)
    if theirs is not None:
        rows.append({"encoder": "chromium", **judge(codec, images, theirs)})
    return rows


def judge(
    codec: Codec, images: Sequence[av.VideoFrame], payloads: Sequence[bytes]
) -> dict[str, Any]:
    """Bitrate, and PSNR and SSIM of luma after the first second."""
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    decoder.flags |= Flags.low_delay
    assert isinstance(decoder, av.VideoCodecContext)
    psnr, ssim = [], []
    for number, (image, payload) in enumerate(zip(images, payloads, strict=True)):
        (seen,) = decoder.decode(av.Packet(payload))
        if number < FPS:
            continue
        original, shown = view_planes(image).y, view_planes(seen).y
        error = np.square(original.astype(np.float32) - shown).mean()
        psnr.append(10 * np.log10(255**2 / max(error, 1e-9)))
        if number % SSIM_EVERY == 0:
            ssim.append(structural_similarity(original, shown))  # type: ignore[no-untyped-call]
    return {
        "codec": str(codec),
        "bitrate_bps": round(sum(map(len, payloads)) * 8 * FPS / len(payloads)),
        "psnr_db": round(float(np.mean(psnr)), 2),
        "ssim": round(float(np.mean(ssim)), 4),
    }
