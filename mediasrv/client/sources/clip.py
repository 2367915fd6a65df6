"""A media file as a source: looped without a gap, sound in step with the pictures."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from mediasrv.client.errors import SourceUnavailable
from mediasrv.client.sources.base import AUDIO_FRAME_SAMPLES, AUDIO_RATE_HZ, TimedImage

# For stills and for files that do not say.
DEFAULT_FPS = 25.0


class ClipImages:
    """The first video stream of a file, in its own size, over and over.

    Attributes:
        fps: The stream's average rate.
        loop_s: How long one round takes; sound is cut or padded to it.
    """

    paced = True

    def __init__(self, path: Path) -> None:
        self._path = path
        with _opened(path) as container:
            if not container.streams.video:
                raise SourceUnavailable(f"{path} has no video")
            stream = container.streams.video[0]
            self.fps = float(stream.average_rate or DEFAULT_FPS)
            duration_s = 0.0
            if stream.duration and stream.time_base:
                duration_s = float(stream.duration * stream.time_base)
            elif container.duration:
                duration_s = container.duration / av.time_base
        self.loop_s = max(duration_s, 1.0 / self.fps)
        self._images = self._endless()

    def next_image(self) -> TimedImage:
        """Produce the next image of the endless loop."""
        return next(self._images)

    def close(self) -> None:
        """Close the file."""
        self._images.close()

    def _endless(self) -> Generator[TimedImage, None, None]:
        begin_s = 0.0
        while True:
            shown = 0
            for timed in self._one_round():
                shown += 1
                yield TimedImage(begin_s + timed.time_s, timed.image)
            if shown == 0:
                raise SourceUnavailable(f"{self._path} has no picture that can be decoded")
            begin_s += self.loop_s

    def _one_round(self) -> Iterator[TimedImage]:
        with _opened(self._path) as container:
            stream = container.streams.video[0]
            # Frame threads would delay and pile up images that nobody is waiting for yet.
            stream.thread_type = "NONE"
            first_s: float | None = None
            for position, image in enumerate(container.decode(stream)):
                time_s = position / self.fps if image.pts is None else image.time
                first_s = time_s if first_s is None else first_s
                # An image past the stated end must not overtake the next round's first.
                yield TimedImage(min(max(time_s - first_s, 0.0), self.loop_s), image)


class ClipSound:
    """The first audio stream of a file, over and over, each round exactly ``loop_s`` long."""

    def __init__(self, path: Path, loop_s: float) -> None:
        self._path = path
        self._loop_s = loop_s
        self._sounds = self._endless()

    def next_sound(self) -> av.AudioFrame:
        """Produce the next 20 ms of the endless loop."""
        return next(self._sounds)

    def close(self) -> None:
        """Close the file."""
        self._sounds.close()

    def _endless(self) -> Generator[av.AudioFrame, None, None]:
        sample = 0
        ends_s = 0.0
        while True:
            ends_s += self._loop_s
            end_sample = round(ends_s * AUDIO_RATE_HZ)
            for sound in self._one_round():
                if sample >= end_sample:
                    break
                yield sound
                sample += AUDIO_FRAME_SAMPLES
            while sample < end_sample:
                yield silence()
                sample += AUDIO_FRAME_SAMPLES

    def _one_round(self) -> Iterator[av.AudioFrame]:
        resampler = av.AudioResampler(
            format="s16", layout="stereo", rate=AUDIO_RATE_HZ, frame_size=AUDIO_FRAME_SAMPLES
        )
        with _opened(self._path) as container:
            for decoded in container.decode(container.streams.audio[0]):
                for sound in resampler.resample(decoded):
                    if sound.samples == AUDIO_FRAME_SAMPLES:
                        yield sound


def has_sound(path: Path) -> bool:
    """Say whether the file has an audio stream."""
    with _opened(path) as container:
        return bool(container.streams.audio)


def silence() -> av.AudioFrame:
    """Make 20 ms of nothing."""
    return sound_of(np.zeros((AUDIO_FRAME_SAMPLES, 2), np.int16))


def sound_of(samples: np.ndarray[tuple[int, int], np.dtype[np.int16]]) -> av.AudioFrame:
    """Wrap samples of shape (960, 2), int16, left and right, as an audio frame."""
    sound = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
    sound.sample_rate = AUDIO_RATE_HZ
    return sound


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """Open a file; what PyAV says of a bad one becomes one clear line."""
    try:
        with av.open(str(path)) as container:
            yield container
    except (av.FFmpegError, OSError) as exc:
        reason = exc.strerror or type(exc).__name__
        raise SourceUnavailable(f"cannot read {path}: {reason}") from exc
