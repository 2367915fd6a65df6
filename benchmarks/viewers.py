"""Many viewers in one room: what is lost, and what the server's process costs.

Viewers are Python clients in processes of their own that do ICE, DTLS and SRTP but decode nothing;
the host sends a 720p stream that was encoded beforehand. CPU time is the server's own, read from
the kernel, so the clients' share of the machine does not count.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import signal
import time
from dataclasses import asdict, dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from queue import Empty
from typing import TypeVar

from benchmarks.rig.interruption import run_async
from benchmarks.rig.live_server import RunningServer, running_server
from mediasrv.client import EncodedSource, Encoding, HostClient, ViewerClient
from mediasrv.client.sources.encoded import encode_frames
from mediasrv.client.sources.pattern import PatternImages
from mediasrv.media import Codec

SECONDS = 60.0
SETTLE_S = 1.0
# One Python process receives, decrypts and counts this many streams without falling behind.
VIEWERS_PER_PROCESS = 15
JOIN_TIMEOUT_S = 60.0
RESULT_TIMEOUT_S = 30.0
ROOM = "viewers"

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """What one viewer counted."""

    video_packets: int
    audio_packets: int
    lost: int
    fps: float
    freezes: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--viewers", type=int, default=30)
    parser.add_argument("--codec", choices=["vp8", "h264"], default="vp8")
    parser.add_argument("--bitrate", type=int, default=1_500_000, help="video, bits per second")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print a table, return it."""
    with running_server() as server:
        return run_async(_measure(server, options))


async def _measure(server: RunningServer, options: argparse.Namespace) -> dict[str, object]:
    codec = Codec(options.codec)
    frames = encode_frames(
        PatternImages(1280, 720, 30),
        codec,
        count=300,
        keyframe_every=300,
        bitrate_bps=options.bitrate,
    )
    context = multiprocessing.get_context("spawn")
    counts = [
        min(VIEWERS_PER_PROCESS, options.viewers - i)
        for i in range(0, options.viewers, VIEWERS_PER_PROCESS)
    ]
    ready: Queue[int] = context.Queue()
    results: Queue[list[Seen]] = context.Queue()
    go = context.Event()
    crowds = [
        context.Process(target=_watch, args=(server.url, n, options.seconds, ready, go, results))
        for n in counts
    ]
    async with HostClient(server.url, ROOM, EncodedSource(frames), encoding=Encoding(codec)):
        for crowd in crowds:
            crowd.start()
        try:
            for _ in crowds:
                await _taken(ready, JOIN_TIMEOUT_S)
            print(f"{options.viewers} viewers see the host; measuring {options.seconds:.0f} s ...")
            go.set()
            used_s, elapsed_s = await _cpu_share(server, options.seconds)
            seen = [s for _ in crowds for s in await _taken(results, RESULT_TIMEOUT_S)]
        finally:
            for crowd in crowds:
                crowd.terminate()
                crowd.join()
    return _report(seen, used_s, elapsed_s, server)


async def _taken(queue: "Queue[T]", timeout_s: float) -> T:
    """Take from a process's queue; who cancels this waits for a second at most."""
    ends = time.monotonic() + timeout_s
    while True:
        try:
            return await asyncio.to_thread(queue.get, timeout=1.0)
        except Empty:
            if time.monotonic() >= ends:
                raise TimeoutError("the viewers have not answered") from None


async def _cpu_share(server: RunningServer, seconds: float) -> tuple[float, float]:
    before_s, started = server.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    return server.cpu_s() - before_s, time.monotonic() - started


def _report(
    seen: list[Seen], used_s: float, elapsed_s: float, server: RunningServer
) -> dict[str, object]:
    packets = sum(s.video_packets + s.audio_packets for s in seen)
    share = used_s / elapsed_s
    result = {
        "viewers": len(seen),
        "seconds": elapsed_s,
        "server_cpu_share": share,
        "server_cpu_us_per_packet": 1e6 * used_s / packets,
        "packets_per_s": packets / elapsed_s,
        "lost": sum(s.lost for s in seen),
        "freezes": sum(s.freezes for s in seen),
        "fps_min": min(s.fps for s in seen),
        "server_rss_mib": server.rss_bytes() / 2**20,
        "each": [asdict(s) for s in seen],
    }
    for name in ("viewers", "lost", "freezes"):
        print(f"{name:26} {result[name]}")
    print(f"{'frames per second, lowest':26} {result['fps_min']:.1f}")
    print(f"{'packets per second':26} {result['packets_per_s']:.0f}")
    print(f"{'server, share of a core':26} {100 * share:.1f} %")
    print(f"{'server, us per packet':26} {result['server_cpu_us_per_packet']:.2f}")
    return result


def _watch(
    url: str,
    count: int,
    seconds: float,
    ready: "Queue[int]",
    go: Event,
    results: "Queue[list[Seen]]",
) -> None:
    """Be ``count`` viewers: say when all see the host, wait for the start, count, report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C: we are ended with the rest
    asyncio.run(_watch_all(url, count, seconds, ready, go, results))


async def _watch_all(
    url: str,
    count: int,
    seconds: float,
    ready: "Queue[int]",
    go: Event,
    results: "Queue[list[Seen]]",
) -> None:
    viewers = [ViewerClient(url, ROOM, decode=False) for _ in range(count)]
    async with contextlib.AsyncExitStack() as stack:
        for viewer in viewers:
            await stack.enter_async_context(viewer)
            await viewer.first_frame(JOIN_TIMEOUT_S)
        await asyncio.sleep(SETTLE_S)  # the last one sees the host before it hears it
        ready.put(count)
        await asyncio.to_thread(go.wait)
        before = [_seen(viewer) for viewer in viewers]
        await asyncio.sleep(seconds)
        after = [_seen(viewer) for viewer in viewers]
        results.put([_between(b, a, seconds) for b, a in zip(before, after, strict=True)])


def _seen(viewer: ViewerClient) -> Seen:
    streams, images = viewer.received.streams, viewer.measurement.images
    video, audio = streams["video"], streams["audio"]
    return Seen(
        video.packets, audio.packets, video.lost + audio.lost, float(images.frames), images.freezes
    )


def _between(before: Seen, after: Seen, seconds: float) -> Seen:
    return Seen(
        after.video_packets - before.video_packets,
        after.audio_packets - before.audio_packets,
        after.lost - before.lost,
        (after.fps - before.fps) / seconds,
        after.freezes - before.freezes,
    )
