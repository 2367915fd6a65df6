"""Filters one clip: every frame through the pipeline, the sound copied as it is."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer

from filters.landmarks import FaceDetector
from filters.parameters import Parameters
from filters.pipeline import USUAL_INTERVAL_S, Pipeline
from filters.stages import Stage
from mediasrv.errors import MediaError
from mediasrv.offline.frames import quarter_turns, side_by_side, to_frame, to_yuv, turned

CLIP_CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
# Visually lossless: the file is a result and not a stream.
CODEC_OPTIONS = {
    "libx264": {"crf": "16", "preset": "faster"},
    "libvpx-vp9": {"crf": "20", "b": "0", "row-mt": "1", "cpu-used": "4"},
}
UNKNOWN_RATE_HZ = 30


def filter_clip(
    source: InputContainer,
    path: Path,
    detector: FaceDetector,
    parameters: Parameters,
    stages: Sequence[Stage],
    *,
    compare: bool,
    on_progress: Callable[[int, int | None], None],
) -> None:
    """Filter all frames of the first video stream into ``path``, whose suffix is one of ours.

    Raises:
        MediaError: Nothing can be decoded, or the target cannot hold the sound.
    """
    video = source.streams.video[0]
    sounds = source.streams.audio[:1]
    total = _frame_count(video)
    done = 0
    frames = _FilteredFrames(detector, parameters, stages, compare=compare)
    with av.open(str(path), "w") as container:
        target = _Target(container, path, video, list(sounds))
        for packet in source.demux([video, *sounds]):
            if packet.stream is not video:
                target.copy_sound(packet)
                continue
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    target.write(frames.filtered(frame))
                    done += 1
                    on_progress(done, total)
        target.finish()


class _FilteredFrames:
    """The pipeline of one clip, from frame to frame."""

    def __init__(
        self,
        detector: FaceDetector,
        parameters: Parameters,
        stages: Sequence[Stage],
        *,
        compare: bool,
    ) -> None:
        self._pipeline = Pipeline(detector, stages, look_every=1)
        self._parameters = parameters
        self._compare = compare
        self._last_s: float | None = None

    def filtered(self, frame: av.VideoFrame) -> av.VideoFrame:
        """A new, upright frame with the same timing and colour description."""
        image = turned(to_yuv(frame), quarter_turns(frame))
        original = image.copy() if self._compare else None
        self._pipeline.apply(image, self._parameters, elapsed_s=self._elapsed_s(frame.time))
        result = to_frame(image if original is None else side_by_side(original, image))
        result.pts, result.time_base = frame.pts, frame.time_base
        result.colorspace, result.color_range = frame.colorspace, frame.color_range
        return result

    def _elapsed_s(self, time_s: float | None) -> float:
        last_s, self._last_s = self._last_s, time_s
        if last_s is None or time_s is None or time_s <= last_s:
            return USUAL_INTERVAL_S
        return time_s - last_s


class _Target:
    """The file being written: one video stream, at most one copied audio stream."""

    def __init__(
        self,
        container: OutputContainer,
        path: Path,
        video: av.VideoStream,
        sounds: list[av.AudioStream],
    ) -> None:
        self._container = container
        self._codec = CLIP_CODECS[path.suffix.lower()]
        self._source = video
        self._sound = _add_sound(container, sounds[0], path.suffix) if sounds else None
        self._picture: av.VideoStream | None = None
        self._waiting: list[av.Packet[Any]] = []

    def copy_sound(self, packet: "av.Packet[Any]") -> None:
        """Pass a packet of sound on, once the file knows its picture."""
        if self._sound is None or packet.dts is None:  # the demuxer's end mark has no time
            return
        packet.stream = self._sound
        self._waiting.append(packet)
        self._release()

    def write(self, frame: av.VideoFrame) -> None:
        """Encode one frame; the first one decides size and layout."""
        if self._picture is None:
            self._picture = self._add_picture(frame)
        picture = self._picture
        frame = frame.reformat(picture.width, picture.height, picture.pix_fmt)
        self._container.mux(picture.encode(frame))
        self._release()

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._picture is None:
            raise MediaError("the source holds no picture that can be decoded")
        self._container.mux(self._picture.encode(None))

    def _release(self) -> None:
        if self._picture is not None:
            self._container.mux(self._waiting)
            self._waiting.clear()

    def _add_picture(self, first: av.VideoFrame) -> av.VideoStream:
        rate = self._source.average_rate or self._source.guessed_rate or UNKNOWN_RATE_HZ
        options = CODEC_OPTIONS[self._codec]
        stream: Any = self._container.add_stream(self._codec, rate=rate, options=options)
        picture: av.VideoStream = stream
        picture.width, picture.height = first.width, first.height
        # H.264 in 4:2:0 has even sides only; an odd picture keeps its size with full chroma.
        is_odd = first.width % 2 or first.height % 2
        picture.pix_fmt = "yuv444p" if is_odd and self._codec == "libx264" else "yuv420p"
        picture.codec_context.time_base = self._source.time_base or Fraction(1, 1000)
        return picture


def _add_sound(container: OutputContainer, sound: av.AudioStream, suffix: str) -> av.AudioStream:
    try:
        return container.add_stream_from_template(sound)
    except ValueError as exc:
        name = sound.codec_context.name
        raise MediaError(
            f"{suffix} cannot hold the sound ({name}) of the source; .mkv can"
        ) from exc


def _frame_count(video: av.VideoStream) -> int | None:
    if video.frames:
        return video.frames
    if not video.average_rate or not video.duration or video.time_base is None:
        return None
    return max(1, round(video.duration * video.time_base * video.average_rate))
