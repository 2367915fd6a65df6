"""Glass to glass without browsers: the Python host in one process, the Python viewer in another."""

import asyncio
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection

import av

from benchmarks.latency.clocks import now_ms
from benchmarks.latency.feed import FPS, Clip
from benchmarks.latency.sightings import Observation, Sighting, captured_at
from benchmarks.latency.timecode import TICKS_PER_MS, read_code, write_code
from mediasrv.client import Encoding, HostClient, ViewerClient
from mediasrv.client.encoder import VideoEncoder
from mediasrv.client.sources.base import TimedImage
from mediasrv.client.sources.choice import Tracks
from mediasrv.client.sources.pattern import luma_of
from mediasrv.client.tracks import MediaClock, VideoTrack

ROOM = "glass-python"
SETTLE_S = 3.0
FIRST_FRAME_TIMEOUT_S = 20.0
LATE_MS = 5.0


class CodedCamera:
    """A camera that shows a clip with the time code in every picture."""

    fps = FPS
    paced = False  # it waits by itself, and stamps after that

    def __init__(self, clip: Clip) -> None:
        self.sent = 0
        self.late = 0
        self._clip = clip
        self._began_s = time.monotonic()

    def next_image(self) -> TimedImage:
        """Wait until the next picture is due, and stamp it."""
        due_s = self._began_s + self.sent / FPS
        wait_s = due_s - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        elif wait_s < -LATE_MS / 1000:
            self.late += 1
        planes = self._clip.at(self.sent)
        stamp_ms = now_ms()
        write_code(planes[: self._clip.size[1]], round(stamp_ms * TICKS_PER_MS))
        self.sent += 1
        image = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        return TimedImage(stamp_ms / 1000 - self._began_s, image)

    def close(self) -> None:
        """Nothing to release."""


class _CameraSource:
    """Publishes the camera and no sound."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self.camera = CodedCamera(clip)

    def open(self, encoding: Encoding) -> Tracks:
        self.camera = CodedCamera(self._clip)
        encoder = VideoEncoder(encoding.codec, encoding.bitrate_bps, FPS)
        return Tracks(VideoTrack(self.camera, encoder, MediaClock()), None)


class _Screen:
    """Reads the code of every picture."""

    def __init__(self) -> None:
        self.sightings: list[Sighting] = []
        self.unread = 0
        self.size = (0, 0)

    def take_image(self, image: av.VideoFrame, now_s: float) -> None:
        shown_ms = 1000 * now_s
        stamp = read_code(luma_of(image))
        self.size = image.width, image.height
        if stamp is None:
            self.unread += 1
        else:
            self.sightings.append(Sighting(captured_at(stamp, shown_ms), shown_ms))

    def take_sound(self, sound: av.AudioFrame, now_s: float) -> None:
        """The camera has none."""


@dataclass(frozen=True, slots=True)
class Hosting:
    """What the host's process needs to know.

    Attributes:
        url: Of the server.
        clip: What the camera shows.
        encoding: Codec and bitrate.
        parameters: Of the filter; None leaves it off.
    """

    url: str
    clip: Clip
    encoding: Encoding
    parameters: Mapping[str, int] | None


def observe(hosting: Hosting, seconds: float) -> Observation:
    """Publish, watch for some time, and return what was seen."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    host = context.Process(target=_host, args=(theirs, hosting), daemon=True)
    host.start()
    try:
        if not ours.poll(30) or ours.recv() != "live":
            raise AssertionError("the host in Python did not go live")
        # In a thread of its own: the one of the browsers has a loop that runs.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, _watch(hosting.url, ours, seconds)).result()
    finally:
        ours.send("end")
        host.join(10)
        host.terminate()


async def _watch(url: str, host: Connection, seconds: float) -> Observation:
    screen = _Screen()
    async with ViewerClient(url, ROOM, sinks=(screen,)) as viewer:
        await viewer.first_frame(FIRST_FRAME_TIMEOUT_S)
        await asyncio.sleep(SETTLE_S)
        before = await _ask(host)
        screen.sightings.clear()
        screen.unread = 0
        began_s = time.monotonic()
        await asyncio.sleep(seconds)
        elapsed_s = time.monotonic() - began_s
        sightings, unread = list(screen.sightings), screen.unread
        after = await _ask(host)
    return Observation(
        sightings, unread, after[0] - before[0], after[1] - before[1], elapsed_s, screen.size
    )


async def _ask(host: Connection) -> tuple[int, int]:
    host.send("count")
    sent, late = await asyncio.to_thread(host.recv)
    return sent, late


def _host(pipe: Connection, hosting: Hosting) -> None:
    asyncio.run(_publish(pipe, hosting))


async def _publish(pipe: Connection, hosting: Hosting) -> None:
    source = _CameraSource(hosting.clip)
    async with HostClient(
        hosting.url,
        ROOM,
        source,
        encoding=hosting.encoding,
        parameters=hosting.parameters,
    ):
        pipe.send("live")
        while await asyncio.to_thread(pipe.recv) == "count":
            pipe.send((source.camera.sent, source.camera.late))
