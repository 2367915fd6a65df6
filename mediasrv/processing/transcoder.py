"""One stream inside the worker: decode everything, filter and encode what there is time for.

No I/O and no clock but the processor's stopwatch: the worker's loop moves bytes, this moves
pictures.
"""

import time
from collections.abc import Mapping, Sequence

import av

from filters.errors import FilterError
from mediasrv.processing.decoder import VideoDecoder
from mediasrv.processing.encoder import VideoEncoder
from mediasrv.processing.encoding import EncodedImage
from mediasrv.processing.errors import ProcessingError, UndecodableFrame, UnsupportedImage
from mediasrv.processing.messages import (
    MAX_FRAME_BYTES,
    STEP_NAMES,
    Configure,
    Counters,
    FrameTimes,
    InputFrame,
    KeyframeCause,
    OutputFrame,
)
from mediasrv.processing.pace import Pace
from mediasrv.processing.pipeline import USUAL_INTERVAL_S, FrontStage, PacedPipeline, Pipeline
from mediasrv.processing.planes import OwnPicture
from mediasrv.processing.waiting import DecodedImage, WaitingImages

# The one copy of the image, 0.2 ms at 720p, is the price of not spoiling the decoder's references.
# What the rest costs is printed by `python -m benchmarks filtered`.

# A filter that refuses this many images in a row (a third of a second) will not recover by
# itself: the worker gives up and a fresh one takes over.
MAX_FAILURES_IN_A_ROW = 10
LANDMARKS, FRONT = "landmarks", "front"
SHORTEST_ELAPSED_S, LONGEST_ELAPSED_S = 0.001, 1.0


class Transcoder:
    """Decodes, filters and encodes one stream in the thread that calls it.

    Attributes:
        counters: What it has done.
        times: Where the time of the latest frame went, while traced.
    """

    def __init__(
        self, configure: Configure, pipeline: Pipeline, front_stages: Sequence[FrontStage] = ()
    ) -> None:
        self._pipeline = pipeline
        self._front_stages = tuple(front_stages)
        self._codec = configure.codec
        self._decoder = VideoDecoder(configure.codec)
        self._encoder = VideoEncoder(configure.codec)
        self._picture: OwnPicture | None = None
        self.counters = Counters()
        self._waiting = WaitingImages(self.counters)
        self._last_ticks: int | None = None
        self._interval_s = USUAL_INTERVAL_S
        self._wants_keyframe = False
        self._failures_in_a_row = 0
        self._pace = Pace()
        # Since the image before that was encoded; also for those that were not.
        self._decoding_us = 0
        self._cpu_ns = time.thread_time_ns()
        self.times: FrameTimes | None = None
        self.configure(configure)

    @property
    def has_image(self) -> bool:
        """Whether an image waits to be filtered."""
        return len(self._waiting) > 0

    def configure(self, configure: Configure) -> None:
        """Take new settings for the images to come.

        Raises:
            ProcessingError: Another codec than before; a worker serves one stream.
        """
        if configure.codec is not self._codec:
            raise ProcessingError("the codec changed in mid-stream")
        self._parameters = configure.parameters
        self._is_traced = configure.traced
        self._encoder.aim_at(configure.target_bitrate_bps)

    def request_keyframe(self) -> None:
        """Make the next encoded image a keyframe."""
        self._wants_keyframe = True

    def decode(self, frame: InputFrame) -> KeyframeCause | None:
        """Decode the next frame; its image waits for its turn (:class:`WaitingImages`).

        Returns:
            Why a keyframe is needed from the host, or None when all is well.
        """
        if self._decoder.awaits_keyframe and not frame.keyframe:
            self.counters.dropped += 1
            return KeyframeCause.STARTED_MIDWAY
        began_ns = time.perf_counter_ns()
        try:
            image = self._decoder.decode(
                frame.payload, frame.timestamp_ticks, keyframe=frame.keyframe
            )
        except UnsupportedImage:
            self.counters.undecodable += 1
            return KeyframeCause.UNSUPPORTED
        except UndecodableFrame:
            self.counters.undecodable += 1
            return KeyframeCause.UNDECODABLE
        if image is not None:
            spent_us = _microseconds_since(began_ns)
            self._decoding_us += spent_us
            self._waiting.add(DecodedImage(image, frame.timestamp_ticks, began_ns, spent_us))
            self.counters.decoded += 1
        return None

    def encode_next(self) -> OutputFrame | None:
        """Filter and encode the image whose turn it is, if there is one.

        Returns:
            The frame to send; None when there was no image or it was lost to a failure.

        Raises:
            ProcessingError: Too many failures in a row.
        """
        image = self._waiting.take(time.perf_counter_ns(), self._interval_s)
        if image is None:
            return None
        try:
            output = self._beautify(image)
        except (FilterError, ProcessingError) as exc:
            self.counters.filter_failures += 1
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                raise ProcessingError("no image could be filtered any more") from exc
            return None
        self._failures_in_a_row = 0
        self.counters.encoded += 1
        return output

    def _beautify(self, decoded: DecodedImage) -> OutputFrame:
        copied_ns = time.perf_counter_ns()
        picture = self._own_copy(decoded.frame)
        elapsed_s = self._interval_s = self._elapsed_s(decoded.timestamp_ticks)
        steps_us = self._filter(picture, elapsed_s)
        landmarks_us = steps_us.get(LANDMARKS, 0)
        work_us = _microseconds_since(copied_ns)
        encoded_ns = time.perf_counter_ns()
        encoded = self._encode(picture, decoded.timestamp_ticks)
        encode_us = _microseconds_since(encoded_ns)
        if self._is_traced:
            self._note_times(decoded, copied_ns, encoded_ns, steps_us)
        filters_us = sum(steps_us.values()) - steps_us[FRONT]
        self._keep_pace(elapsed_s, work_us + encode_us, filters_us)
        return OutputFrame(
            timestamp_ticks=decoded.timestamp_ticks,
            keyframe=encoded.keyframe,
            layer=encoded.layer,
            layer_sync=encoded.layer_sync,
            width_px=picture.frame.width,
            height_px=picture.frame.height,
            decode_us=decoded.decode_us,
            landmarks_us=landmarks_us,
            filter_us=max(0, work_us - landmarks_us),
            encode_us=encode_us,
            payload=encoded.payload,
        )

    def _filter(self, picture: OwnPicture, elapsed_s: float) -> dict[str, int]:
        """Run everything on the image; returns microseconds by step."""
        front_us = _run_all(self._front_stages, picture)
        applied = self._pipeline.apply(picture.image, self._parameters, elapsed_s=elapsed_s)
        return {**applied.durations_us, FRONT: front_us}

    def _encode(self, picture: OwnPicture, timestamp_ticks: int) -> EncodedImage:
        encoded = self._encoder.encode(
            picture.frame, timestamp_ticks, keyframe=self._wants_keyframe
        )
        self.counters.encoders_opened = self._encoder.opened
        if len(encoded.payload) > MAX_FRAME_BYTES:
            self._wants_keyframe = True  # the next image may not be predicted from a lost one
            raise ProcessingError("the encoded frame is too large for the channel")
        if encoded.keyframe:
            self._wants_keyframe = False
        return encoded

    def _keep_pace(self, elapsed_s: float, spent_us: int, filter_us: int) -> None:
        """Let encoder and filters be quicker when they must."""
        busy_us, self._decoding_us = self._decoding_us + spent_us, 0
        cpu_before_ns, self._cpu_ns = self._cpu_ns, time.thread_time_ns()
        self._pace.note(
            interval_us=elapsed_s * 1e6,
            busy_us=busy_us,
            cpu_us=(self._cpu_ns - cpu_before_ns) / 1000,
            filter_us=filter_us,
        )
        self._encoder.hurry(self._pace.is_hurried)
        if isinstance(self._pipeline, PacedPipeline):
            self._pipeline.allow(self._pace.filter_budget_us)

    def _note_times(
        self, decoded: DecodedImage, copied_ns: int, encoded_ns: int, steps_us: Mapping[str, int]
    ) -> None:
        """Keep where the time of the frame went, for who traces it."""
        began_us = decoded.began_ns // 1000
        self.times = FrameTimes(
            decoded.timestamp_ticks,
            began_us,
            decoded.decode_us,
            max(0, copied_ns // 1000 - began_us - decoded.decode_us),
            (encoded_ns - copied_ns) // 1000,
            _microseconds_since(encoded_ns),
            *(steps_us.get(name, 0) for name in STEP_NAMES),
        )

    def _elapsed_s(self, timestamp_ticks: int) -> float:
        """Time since the image before, kept within what a filter can make sense of."""
        last, self._last_ticks = self._last_ticks, timestamp_ticks
        if last is None:
            return USUAL_INTERVAL_S
        return min(max((timestamp_ticks - last) / 90_000, SHORTEST_ELAPSED_S), LONGEST_ELAPSED_S)

    def _own_copy(self, decoded: av.VideoFrame) -> OwnPicture:
        if self._decoder.gives_copies:
            return OwnPicture(decoded)
        picture = self._picture
        if picture is None or not picture.fits(decoded):
            picture = self._picture = OwnPicture.blank(decoded.width, decoded.height)
        picture.take(decoded)
        return picture


def _run_all(stages: Sequence[FrontStage], picture: OwnPicture) -> int:
    """Run the extensions; returns how long they took, in microseconds."""
    began_ns = time.perf_counter_ns()
    for stage in stages:
        stage(picture.image)
    return _microseconds_since(began_ns)


def _microseconds_since(began_ns: int) -> int:
    return (time.perf_counter_ns() - began_ns) // 1000
