"""What grows while rooms live: memory, descriptors, threads and tasks over time, and exceptions.

So many rooms, each with a host in Python that sends frames encoded before; viewers come and go, the
filter is switched. The slopes should be nothing: each is the median of the slopes between all pairs
of samples (Theil and Sen), after a beginning in which caches may fill.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

import psutil

from benchmarks.latency.tracing import count_tasks
from benchmarks.live_server import RunningServer, running_server
from benchmarks.refusal import MeasurementRefused
from mediasrv.client import EncodedSource, Encoding, HostClient, ViewerClient
from mediasrv.client.sources.encoded import encode_frames
from mediasrv.client.sources.pattern import PatternImages
from mediasrv.media import Codec, EncodedFrame

SECONDS = 120.0
SAMPLE_S = 1.0
FIRST_FRAME_TIMEOUT_S = 20.0
STAY_S = (1.0, 6.0)
TOGGLE_EVERY_S = 5.0
# Of the samples, left out at the beginning.
WARM_UP_SHARE = 0.25
SAMPLES_MIN = 20
# What a minute may add before it counts as growth.
ALLOWED_PER_MINUTE = {"rss_kib": 512.0, "descriptors": 0.5, "threads": 0.1, "tasks": 0.5}
METHOD = (
    "a sample every second of the server's process, workers not counted; slope per minute by "
    "Theil and Sen over the last three quarters; tracebacks in the server's log"
)

Samples = dict[str, list[tuple[float, float]]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--rooms", type=int, default=2)
    parser.add_argument("--viewers", type=int, default=3, help="at once in each room")
    parser.add_argument("--no-filter", dest="filter", action="store_false")
    parser.add_argument("--seed", type=int, default=1, help="of who comes and goes when")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Soak, print slopes, return them."""
    print(METHOD)
    with tempfile.TemporaryDirectory() as scratch:
        channel = Path(scratch) / "trace"
        with running_server(trace=str(channel)) as server:
            soak = _Soak(server, channel, options)
            asyncio.run(soak.run(options.seconds))
            faults = [line for line in server.log if "Traceback" in line or "ERROR" in line]
    return _report(soak, faults)


class _Soak:
    """Rooms that live, and what is sampled meanwhile."""

    def __init__(self, server: RunningServer, channel: Path, options: argparse.Namespace) -> None:
        self.samples: Samples = {name: [] for name in ALLOWED_PER_MINUTE}
        self.joins = self.toggles = self.failed_joins = 0
        self._server = server
        self._channel = channel
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
        began_s = time.monotonic()
        while True:
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
        raise MeasurementRefused("too few samples for a slope: --seconds 60 or more")
    rows = slopes_of(soak.samples)
    for row in rows:
        verdict = "kept" if row["kept"] else "GROWS"
        print(
            f"{row['what']:12} {row['first']:9} -> {row['last']:9}"
            f"  {row['per_minute']:+9.2f} a minute, {verdict}"
        )
    print(f"{soak.joins} joins, {soak.toggles} toggles, {len(faults)} exceptions")
    return {
        "method": METHOD,
        "slopes": rows,
        "joins": soak.joins,
        "failed_joins": soak.failed_joins,
        "toggles": soak.toggles,
        "exceptions": list(faults),
        "samples": soak.samples,
    }


def slopes_of(samples: Mapping[str, Sequence[tuple[float, float]]]) -> list[dict[str, object]]:
    """Return how much of each thing a minute adds, and whether that is still nothing."""
    rows: list[dict[str, object]] = []
    for name, points in samples.items():
        settled = points[int(WARM_UP_SHARE * len(points)) :]
        per_minute = slope(settled)
        rows.append(
            {
                "what": name,
                "first": round(settled[0][1], 1),
                "last": round(settled[-1][1], 1),
                "per_minute": round(per_minute, 3),
                "allowed": ALLOWED_PER_MINUTE[name],
                "kept": per_minute <= ALLOWED_PER_MINUTE[name],
            }
        )
    return rows


def slope(points: Sequence[tuple[float, float]], most: int = 300) -> float:
    """Return the median slope between all pairs of points, of at most ``most`` of them."""
    step = max(1, len(points) // most)
    pairs = combinations(points[::step], 2)
    return median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairs if x2 > x1)
