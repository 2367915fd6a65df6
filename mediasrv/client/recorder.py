"""Saves what a viewer decodes to a file: encodes it anew, off the event loop.

Image sizes may change on the way; the file keeps the first and later images are scaled to it.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from mediasrv.client.errors import ClientError
from mediasrv.client.sources.base import AUDIO_RATE_HZ

# Four seconds of video and sound; a disk or an encoder slower than that loses images.
QUEUE_MAX = 400
NOMINAL_FPS = 30
CLOCK = Fraction(1, 1000)

# Codecs by file name suffix: what players expect in each container.
_Video: TypeAlias = Literal["libx264", "libvpx"]
_Audio: TypeAlias = Literal["aac", "libopus"]
CODECS: Mapping[str, tuple[_Video, _Audio]] = {
    ".mp4": ("libx264", "aac"),
    ".mkv": ("libx264", "libopus"),
    ".webm": ("libvpx", "libopus"),
}
_OPTIONS = {
    "libx264": {"preset": "superfast", "crf": "20"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "4M"},
}


class Recorder:
    """A media sink that writes a file.

    Attributes:
        path: The file.
        dropped: Images and sounds that came faster than they could be written.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            ClientError: The suffix is unknown or the file cannot be written.
        """
        if path.suffix.lower() not in CODECS:
            raise ClientError(f"cannot save as {path.name}: use {', '.join(CODECS)}")
        self.path = path
        self.dropped = 0
        self._failure: Exception | None = None
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue(QUEUE_MAX)
        self._file = _File(path)
        self._thread = threading.Thread(target=self._write, name="recorder")
        self._thread.start()

    def take_image(self, image: av.VideoFrame, now_s: float) -> None:
        """Write one image that arrived now."""
        self._put(lambda: self._file.write_image(image, now_s))

    def take_sound(self, sound: av.AudioFrame, now_s: float) -> None:
        """Write one piece of sound that arrived now."""
        self._put(lambda: self._file.write_sound(sound, now_s))

    async def close(self) -> None:
        """Write what is waiting and finish the file.

        Raises:
            ClientError: Writing failed.
        """
        await asyncio.to_thread(self._finish)
        if self._failure is not None:
            raise ClientError(f"cannot write {self.path}: {self._failure}") from self._failure

    def _put(self, work: Callable[[], None]) -> None:
        try:
            self._work.put_nowait(work)
        except queue.Full:
            self.dropped += 1

    def _finish(self) -> None:
        self._work.put(None)
        self._thread.join()

    def _write(self) -> None:
        try:
            while (work := self._work.get()) is not None:
                if self._failure is None:
                    self._try(work)
        finally:
            self._try(self._file.close)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (av.FFmpegError, OSError, ValueError) as exc:
            self._failure = self._failure or exc


class _File:
    """The container and its streams; used by the recorder's thread only."""

    def __init__(self, path: Path) -> None:
        video, audio = CODECS[path.suffix.lower()]
        try:
            # PyAV opens the file with its first packet; a wrong path should be known before.
            path.open("wb").close()
            self._container: OutputContainer = av.open(str(path), "w")
        except (av.FFmpegError, OSError) as exc:
            raise ClientError(f"cannot write {path}: {exc.strerror}") from exc
        self._video: VideoStream = self._container.add_stream(
            video, rate=NOMINAL_FPS, options=_OPTIONS[video]
        )
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = CLOCK
        self._audio: AudioStream = self._container.add_stream(audio, rate=AUDIO_RATE_HZ)
        self._resampler = av.AudioResampler(
            format=self._audio.format.name, layout="stereo", rate=AUDIO_RATE_HZ
        )
        self._began_s: float | None = None
        self._latest_ms = -1
        self._samples = 0

    def write_image(self, image: av.VideoFrame, now_s: float) -> None:
        if self._began_s is None:
            self._began_s = now_s
            self._video.width, self._video.height = image.width & ~1, image.height & ~1
        milliseconds = round((now_s - self._began_s) / CLOCK)
        scaled = image.reformat(self._video.width, self._video.height, "yuv420p")
        scaled.pts = self._latest_ms = max(milliseconds, self._latest_ms + 1)
        scaled.time_base = CLOCK
        self._container.mux(self._video.encode(scaled))

    def write_sound(self, sound: av.AudioFrame, now_s: float) -> None:
        if self._began_s is None:
            return  # the file begins with its first image
        if self._samples == 0:
            self._samples = round((now_s - self._began_s) * AUDIO_RATE_HZ)
        sound.pts = self._samples
        sound.time_base = Fraction(1, AUDIO_RATE_HZ)
        self._samples += sound.samples
        for piece in self._resampler.resample(sound):
            self._container.mux(self._audio.encode(piece))

    def close(self) -> None:
        try:
            if self._began_s is not None:
                self._container.mux(self._video.encode(None))
                self._container.mux(self._audio.encode(None))
        finally:
            self._container.close()
