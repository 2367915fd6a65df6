"""What the filter costs: time that it adds to a frame, CPU time per frame, rooms per core, quality.

Real locked workers behind a real relay, fed with 720p as a host sends it, on an absolute schedule.
``latency`` is from the first packet of a frame coming in to the last packet of the filtered frame
going out, SRTP and sockets left out.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import psutil

from benchmarks.beauty.encoders import QUALITY_BPS, measure_quality
from benchmarks.beauty.room import FPS, HEIGHT_PX, WIDTH_PX, Room, encode_loop, read_images
from benchmarks.rig.interruption import run_async
from benchmarks.rig.lists import count_list, name_list
from benchmarks.rig.machine import percentile
from filters.presets import PRESETS
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import ProcessingConfig, SpareWorkers
from mediasrv.processing.planes import LAYOUT

SETTLE_S = 3.0
LAST_FRAMES_S = 0.2  # they are on their way when the last has gone in
READY_TIMEOUT_S = 30.0
QUALITY_IMAGES = 90
STAGES = ("decode", "landmarks", "filter", "encode")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark can be told."""
    parser.add_argument("--clip", type=Path, required=True, help="a clip with a face")
    parser.add_argument("--preset", default="natural", choices=sorted(PRESETS))
    parser.add_argument(
        "--rooms", type=count_list, default=[1, 3], help="how many on one core, one by one"
    )
    parser.add_argument("--codecs", type=name_list(Codec), default=list(Codec))
    parser.add_argument(
        "--without-browser", action="store_true", help="do not compare with Chromium's encoders"
    )
    parser.add_argument("--core", type=int, default=0, help="where the workers run")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure and print."""
    images = read_images(options.clip)
    codecs = [Codec(name) for name in options.codecs]
    parameters = PRESETS[options.preset].as_dict()
    starts = run_async(measure_life())
    print(f"life: {starts}")
    rows: list[dict[str, object]] = []
    for codec in codecs:
        frames = encode_loop(codec, images)
        for rooms in options.rooms:
            row = run_async(measure(frames, rooms, parameters, options))
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
    fed = sum(len(room.came_in) for room in rooms)
    return {
        "codec": str(rooms[0].codec),
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
            room.send()


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
        room.send()
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
