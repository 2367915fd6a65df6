"""What grows while rooms live: memory, descriptors, threads and tasks over time, and exceptions.

So many rooms, each with a host in Python that sends frames encoded before; viewers come and go, the
filter is switched. The slopes should be nothing. Each is the median of the slopes between all pairs
of points (Theil and Sen), after a beginning in which caches may fill, and has an interval in which
it lies with 95 % confidence: what is not in it grows, or does not, and else the run was too short.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import psutil
import scipy

from benchmarks.latency.tracing import count_tasks
from benchmarks.rig import memory_probe
from benchmarks.rig.interruption import run_async
from benchmarks.rig.live_server import RunningServer, running_server
from benchmarks.rig.refusal import MeasurementRefused
from mediasrv.client import EncodedSource, Encoding, HostClient, ViewerClient
from mediasrv.client.sources.encoded import encode_frames
from mediasrv.client.sources.pattern import PatternImages
from mediasrv.media import Codec, EncodedFrame

SECONDS = 120.0
SAMPLE_S = 1.0
FIRST_FRAME_TIMEOUT_S = 20.0
STAY_S = (1.0, 6.0)
TOGGLE_EVERY_S = 5.0
# Points of a slope: medians of as many stretches of the run. What a second's sample owes to who
# is there just then is in the next one too; of stretches that is no longer so.
STRETCHES = 20
# Of the stretches, left out at the beginning.
WARM_UP_SHARE = 0.25
CONFIDENCE = 0.95
SAMPLES_MIN = 20
GROWS, UNSURE = "GROWS", "unsure: too short a run"
# What a minute may add before it counts as growth.
PER_MINUTE = {"rss_kib": 512.0, "descriptors": 0.5, "threads": 0.1, "tasks": 0.5}
# What a viewer who has come and gone may leave behind: half of the smallest leak worth finding, 1
# KiB or a handful of objects.
PER_JOIN = {"heap_kib": 0.5, "blocks": 5.0}
METHOD = (
    "the server's process, workers not counted: RSS, descriptors, threads and tasks every second; "
    "memory in use after a collection, every 20th part of the run; slope of the last three "
    "quarters by Theil and Sen with its interval of 95 % confidence; tracebacks in the log"
)

Samples = dict[str, list[tuple[float, float]]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--rooms", type=int, default=2)
    parser.add_argument("--viewers", type=int, default=3, help="at once in each room")
    parser.add_argument("--no-filter", dest="filter", action="store_false")
    parser.add_argument("--seed", type=int, default=1, help="of who comes and goes when")
    parser.add_argument(
        "--leak", type=int, default=0, metavar="BYTES", help="lose so much per viewer on purpose"
    )


def run(options: argparse.Namespace) -> dict[str, object]:
    """Soak, print slopes, return them."""
    with tempfile.TemporaryDirectory() as scratch:
        channel, probe = Path(scratch) / "trace", Path(scratch) / "memory"
        first = [f"{memory_probe.OPEN}={probe}"]
        if options.leak:
            first.append(f"{memory_probe.LEAK}={options.leak}")
        with running_server(*first, trace=str(channel)) as server:
            soak = _Soak(server, channel, probe, options)
            run_async(soak.run(options.seconds))
            faults = [line for line in server.log if "Traceback" in line or "ERROR" in line]
    return _report(soak, faults)


class _Soak:
    """Rooms that live, and what is sampled meanwhile."""

    def __init__(
        self, server: RunningServer, channel: Path, probe: Path, options: argparse.Namespace
    ) -> None:
        self.samples: Samples = {name: [] for name in PER_MINUTE}
        self.joins = self.toggles = self.failed_joins = 0
        self._server = server
        self._channel = channel
        self._probe = probe
        self._options = options
        self._chance = random.Random(options.seed)

    async def run(self, seconds: float) -> None:
        """Let all rooms live for some time."""
        frames = encode_frames(
            PatternImages(640, 360, 30),
            Codec.VP8,
            count=150,
            keyframe_every=150,
            bitrate_bps=500_000,
        )
        work = [self._room(f"soak-{n}", frames) for n in range(self._options.rooms)]
        tasks = [asyncio.create_task(one) for one in (*work, self._sample())]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _room(self, room: str, frames: list[EncodedFrame]) -> None:
        host = HostClient(
            self._server.url, room, EncodedSource(frames), encoding=Encoding(Codec.VP8)
        )
        async with host, asyncio.TaskGroup() as group:
            for _ in range(self._options.viewers):
                group.create_task(self._come_and_go(room))
            if self._options.filter:
                group.create_task(self._toggle(host))

    async def _come_and_go(self, room: str) -> None:
        while True:
            try:
                async with ViewerClient(self._server.url, room, decode=False) as viewer:
                    await viewer.first_frame(FIRST_FRAME_TIMEOUT_S)
                    self.joins += 1
                    await asyncio.sleep(self._chance.uniform(*STAY_S))
            except TimeoutError:
                self.failed_joins += 1

    async def _toggle(self, host: HostClient) -> None:
        enabled = False
        while True:
            await asyncio.sleep(TOGGLE_EVERY_S)
            enabled = not enabled
            await host.set_filter(enabled=enabled, parameters={"smooth": 45}, consent=True)
            self.toggles += 1

    async def _sample(self) -> None:
        process = psutil.Process(self._server.process.pid)
        began_s = counted_s = time.monotonic()
        while True:
            if time.monotonic() - counted_s >= self._options.seconds / STRETCHES:
                counted_s = time.monotonic()
                in_use = await asyncio.to_thread(memory_probe.read_memory, self._probe)
                for name, value in in_use.items():
                    points = self.samples.setdefault(name, [])
                    points.append((round((counted_s - began_s) / 60, 4), value))
            minutes = (time.monotonic() - began_s) / 60
            now = {
                "rss_kib": process.memory_info().rss / 1024,
                "descriptors": process.num_fds(),
                "threads": process.num_threads(),
                "tasks": await asyncio.to_thread(count_tasks, self._channel),
            }
            for name, value in now.items():
                self.samples[name].append((round(minutes, 4), float(value)))
            if len(self.samples["tasks"]) % 10 == 0:
                told = "  ".join(f"{name} {value:.0f}" for name, value in now.items())
                print(f"{60 * minutes:5.0f} s  {self.joins:4} joins  {told}", flush=True)
            await asyncio.sleep(SAMPLE_S)


def _report(soak: _Soak, faults: Sequence[str]) -> dict[str, object]:
    if len(soak.samples["tasks"]) < SAMPLES_MIN:
        raise MeasurementRefused("too few samples for a slope: --seconds 25 or more")
    minutes = soak.samples["tasks"][-1][0]
    rows = slopes_of(soak.samples, soak.joins / minutes)
    for row in rows:
        print(
            f"{row['what']:12} {row['first']:10} -> {row['last']:10}  {row['per_minute']:+9.2f}"
            f" a minute ({row['low']:+.2f} to {row['high']:+.2f}), {row['verdict']}"
        )
    print(f"{soak.joins} joins, {soak.toggles} toggles, {len(faults)} exceptions")
    broken = [f"{row['what']} grows" for row in rows if row["verdict"] == GROWS]
    if faults:
        broken.append(f"{len(faults)} exceptions")
    return {
        "broken": broken,
        "slopes": rows,
        "joins": soak.joins,
        "failed_joins": soak.failed_joins,
        "toggles": soak.toggles,
        "exceptions": list(faults),
        "samples": soak.samples,
    }


def slopes_of(
    samples: Mapping[str, Sequence[tuple[float, float]]], joins_per_minute: float
) -> list[dict[str, object]]:
    """Return how much of each thing a minute adds, and whether that is still nothing.

    Args:
        samples: Points (minutes, value) by name.
        joins_per_minute: How often viewers came.
    """
    limits = PER_MINUTE | {name: each * joins_per_minute for name, each in PER_JOIN.items()}
    rows: list[dict[str, object]] = []
    for name, points in samples.items():
        settled = stretches(points)
        per_minute, low, high = slope(settled)
        allowed = limits[name]
        verdict = GROWS if low > allowed else "kept" if high <= allowed else UNSURE
        rows.append(
            {
                "what": name,
                "first": round(settled[0][1], 1),
                "last": round(settled[-1][1], 1),
                "per_minute": round(per_minute, 3),
                "low": round(low, 3),
                "high": round(high, 3),
                "per_join": round(per_minute / joins_per_minute, 3) if joins_per_minute else None,
                "allowed": round(allowed, 3),
                "kept": verdict == "kept",
                "verdict": verdict,
            }
        )
    return rows


def stretches(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the medians of the stretches after the beginning, (minutes, value)."""
    count = min(STRETCHES, len(points))
    bounds = [len(points) * n // count for n in range(count + 1)]
    parts = [points[low:high] for low, high in pairwise(bounds)]
    return [
        (median(at for at, _ in part), median(value for _, value in part))
        for part in parts[int(WARM_UP_SHARE * count) :]
    ]


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Return the slope by Theil and Sen, and the ends of its interval of confidence."""
    minutes, values = zip(*points, strict=True)
    found = scipy.stats.theilslopes(values, minutes, CONFIDENCE)
    return float(found.slope), float(found.low_slope), float(found.high_slope)
