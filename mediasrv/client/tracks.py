"""Sources as aiortc tracks: paced on one clock, encoded off the event loop, newest image wins."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from time import monotonic
from typing import TypeVar

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from mediasrv.client.encoder import EncodedPacket, VideoEncoder
from mediasrv.client.sources.base import (
    AUDIO_FRAME_SAMPLES,
    AUDIO_RATE_HZ,
    ImageSource,
    SoundSource,
    TimedImage,
)

_T = TypeVar("_T")

# An image that is later than this is not worth encoding any more.
LATE_S = 0.1


class MediaClock:
    """The common time of a publication's tracks; begins when the first of them is read."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._began_s: float | None = None

    def until(self, time_s: float) -> float:
        """Seconds from now until ``time_s`` on this clock; negative when it has passed."""
        now_s = self._now()
        if self._began_s is None:
            self._began_s = now_s - time_s
        return self._began_s + time_s - now_s


class _Worker:
    """One thread that does a track's blocking work in order."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def stop(self, finish: Callable[[], None]) -> None:
        """Run ``finish`` after the work under way, then end the thread."""
        self._executor.submit(finish)
        self._executor.shutdown(wait=False)


class VideoTrack(MediaStreamTrack):
    """A video source as encoded packets.

    Attributes:
        keyframe_requests: How often the other side asked for a keyframe.
        skipped: Images that came too late to be encoded.
        failure: What ended the source, or None.
    """

    kind = "video"

    def __init__(self, source: ImageSource, encoder: VideoEncoder, clock: MediaClock) -> None:
        super().__init__()
        self._source = source
        self._encoder = encoder
        self._clock = clock
        self._worker = _Worker("video-source")
        self._keyframe_wanted = True
        self._ready: list[EncodedPacket] = []
        self.keyframe_requests = 0
        self.skipped = 0
        self.failure: Exception | None = None

    def request_keyframe(self) -> None:
        """Make the next image a keyframe."""
        self.keyframe_requests += 1
        self._keyframe_wanted = True

    async def recv(self) -> EncodedPacket:
        """Wait for the next encoded image."""
        while not self._ready:
            self._ready = await self._encoded(await self._due_image())
        return self._ready.pop(0)

    def stop(self) -> None:
        """End the track and release its source."""
        if self.readyState == "live":
            super().stop()
            self._worker.stop(self._source.close)

    async def _due_image(self) -> TimedImage:
        while True:
            timed = await self._work(self._source.next_image)
            wait_s = self._clock.until(timed.time_s)
            if self._source.paced and wait_s > 0:
                await asyncio.sleep(wait_s)
            if wait_s > -LATE_S:
                return timed
            self.skipped += 1

    async def _encoded(self, timed: TimedImage) -> list[EncodedPacket]:
        keyframe, self._keyframe_wanted = self._keyframe_wanted, False
        return await self._work(
            lambda: self._encoder.encode(timed.image, timed.time_s, keyframe=keyframe)
        )

    async def _work(self, work: Callable[[], _T]) -> _T:
        if self.readyState != "live":
            raise MediaStreamError
        try:
            return await self._worker.run(work)
        except Exception as exc:
            # The sender would only log it; whoever listens for "ended" finds the reason here.
            self.failure = exc
            self.stop()
            raise MediaStreamError from exc


class AudioTrack(MediaStreamTrack):
    """A sound source as audio frames, which aiortc encodes.

    Attributes:
        failure: What ended the source, or None.
    """

    kind = "audio"

    def __init__(self, source: SoundSource, clock: MediaClock) -> None:
        super().__init__()
        self._source = source
        self._clock = clock
        self._worker = _Worker("audio-source")
        self._samples = 0
        self.failure: Exception | None = None

    async def recv(self) -> av.AudioFrame:
        """Wait for the next 20 ms of sound."""
        if self.readyState != "live":
            raise MediaStreamError
        try:
            sound = await self._worker.run(self._source.next_sound)
        except Exception as exc:
            self.failure = exc
            self.stop()
            raise MediaStreamError from exc
        wait_s = self._clock.until(self._samples / AUDIO_RATE_HZ)
        sound.pts = self._samples
        sound.time_base = Fraction(1, AUDIO_RATE_HZ)
        self._samples += AUDIO_FRAME_SAMPLES
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        return sound

    def stop(self) -> None:
        """End the track and release its source."""
        if self.readyState == "live":
            super().stop()
            self._worker.stop(self._source.close)
