"""The sources a host can name, each opened anew for every publication."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mediasrv.client.encoder import DEFAULT_BITRATE_BPS, VideoEncoder
from mediasrv.client.errors import SourceUnavailable
from mediasrv.client.filtered_track import FilteredTrack
from mediasrv.client.sources.base import ImageSource, SoundSource
from mediasrv.client.sources.camera import DEFAULT_DEVICE, CameraImages
from mediasrv.client.sources.clip import ClipImages, ClipSound, has_sound
from mediasrv.client.sources.encoded import EncodedTrack
from mediasrv.client.sources.pattern import (
    DEFAULT_FPS,
    DEFAULT_HEIGHT_PX,
    DEFAULT_WIDTH_PX,
    PatternImages,
    Tone,
)
from mediasrv.client.tracks import AudioTrack, MediaClock, VideoTrack
from mediasrv.media import Codec, EncodedFrame


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pictures are encoded.

    Attributes:
        codec: The video codec that is offered, and no other.
        bitrate_bps: Target bitrate of the video.
        quick: Spend bits rather than time: for what stays on this machine.
    """

    codec: Codec = Codec.VP8
    bitrate_bps: int = DEFAULT_BITRATE_BPS
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Tracks:
    """What one publication sends; whoever opened them stops them."""

    video: VideoTrack | EncodedTrack | FilteredTrack
    audio: AudioTrack | None

    def stop(self) -> None:
        """End the tracks and release their sources."""
        self.video.stop()
        if self.audio is not None:
            self.audio.stop()


class Source(Protocol):
    """Something a host can publish."""

    def open(self, encoding: Encoding) -> Tracks:
        """Open it from its beginning. May block for a moment.

        Raises:
            SourceUnavailable: It cannot be read; the text says what to do.
        """


@dataclass(frozen=True, slots=True)
class FileSource:
    """A media file, looped, in its own size and rate."""

    path: Path

    def open(self, encoding: Encoding) -> Tracks:
        """Open the file."""
        images = ClipImages(self.path)
        sound = ClipSound(self.path, images.loop_s) if has_sound(self.path) else None
        return _tracks(images, sound, encoding)


@dataclass(frozen=True, slots=True)
class CameraSource:
    """A local camera, without sound."""

    device: Path = DEFAULT_DEVICE

    def open(self, encoding: Encoding) -> Tracks:
        """Open the camera."""
        return _tracks(CameraImages(self.device), None, encoding)


@dataclass(frozen=True, slots=True)
class PatternSource:
    """The test pattern and the tone."""

    width: int = DEFAULT_WIDTH_PX
    height: int = DEFAULT_HEIGHT_PX
    fps: float = DEFAULT_FPS

    def open(self, encoding: Encoding) -> Tracks:
        """Begin at counter 0."""
        return _tracks(PatternImages(self.width, self.height, self.fps), Tone(), encoding)


@dataclass(frozen=True, slots=True)
class EncodedSource:
    """Frames encoded beforehand, looped, with the tone.

    Attributes:
        frames: All of one codec, beginning with a keyframe.
        fps: The rate at which they are sent.
    """

    frames: Sequence[EncodedFrame] = field(repr=False)
    fps: float = DEFAULT_FPS

    def open(self, encoding: Encoding) -> Tracks:
        """Begin at the first frame.

        Raises:
            SourceUnavailable: The frames are of another codec than the one offered.
        """
        if any(frame.codec is not encoding.codec for frame in self.frames):
            raise SourceUnavailable(f"not all of the encoded frames are {encoding.codec}")
        clock = MediaClock()
        return Tracks(EncodedTrack(self.frames, self.fps, clock), AudioTrack(Tone(), clock))


def parse_source(text: str) -> Source:
    """Understand ``--source``: ``pattern``, ``camera``, ``camera:/dev/video2`` or a file."""
    if text == "pattern":
        return PatternSource()
    if text == "camera" or text.startswith("camera:"):
        _, _, device = text.partition(":")
        return CameraSource(Path(device) if device else DEFAULT_DEVICE)
    path = Path(text)
    if not path.is_file():
        raise SourceUnavailable(f"there is no file {path} (other sources: camera, pattern)")
    return FileSource(path)


def _tracks(images: ImageSource, sound: SoundSource | None, encoding: Encoding) -> Tracks:
    clock = MediaClock()
    encoder = VideoEncoder(encoding.codec, encoding.bitrate_bps, images.fps, quick=encoding.quick)
    audio = AudioTrack(sound, clock) if sound is not None else None
    return Tracks(VideoTrack(images, encoder, clock), audio)
