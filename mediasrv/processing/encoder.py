"""Encodes filtered images once, for all viewers, in the codec of the room."""

import av

from mediasrv.media import Codec
from mediasrv.processing.bitrate import bitrate_for_size, clamp_target
from mediasrv.processing.decoder import TICKS
from mediasrv.processing.encoding import NOMINAL_INTERVAL_TICKS, EncodedImage, OpenEncoder
from mediasrv.processing.errors import ProcessingError
from mediasrv.processing.ffmpeg_encoders import FfmpegVp8Encoder, X264Encoder
from mediasrv.processing.libvpx import LibvpxEncoder, LibvpxMissing

# Longest step between two pictures that rate control gets to see: a pause is not a reason to
# spend the saved-up bits in one burst.
LONGEST_INTERVAL_TICKS = 18_000
# Weight of the newest interval in the smoothed frame interval.
INTERVAL_WEIGHT = 0.1


class VideoEncoder:
    """Encodes the images of one stream, one in, one out, without delay.

    Opens its encoder anew, which gives a keyframe, when the picture's size or colour description
    changes, and when an encoder cannot follow the bitrate otherwise.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._encoder: OpenEncoder | None = None
        self._opened_for: tuple[int, ...] = ()
        self._target_bps = 0
        self._is_hurried = False
        self._current_bps = 0
        self._clock_ticks = 0
        self._last_timestamp: int | None = None
        self._interval_ticks = float(NOMINAL_INTERVAL_TICKS)
        self.opened = 0

    @property
    def bitrate_bps(self) -> int:
        """What the encoder aims at now; 0 before the first image."""
        return self._current_bps

    def aim_at(self, target_bps: int) -> None:
        """Set the target bitrate for the images to come; 0 means by picture size."""
        self._target_bps = target_bps

    def hurry(self, wanted: bool) -> None:
        """Spend less time on the images to come, or as much as usual again."""
        self._is_hurried = wanted

    def encode(self, frame: av.VideoFrame, timestamp_ticks: int, *, keyframe: bool) -> EncodedImage:
        """Encode one image in 8-bit 4:2:0.

        Args:
            frame: The image; its ``pts`` and ``pict_type`` are overwritten. It may be reused when
                this returns.
            timestamp_ticks: Drives rate control only; steps back and jumps are smoothed away.
            keyframe: Whether it must be a keyframe.

        Raises:
            ProcessingError: The encoder failed; the next image opens it anew.
        """
        step_ticks = self._tick(timestamp_ticks)
        frame.pts, frame.time_base = self._clock_ticks, TICKS
        try:
            encoder = self._encoder_for(frame)
            encoder.hurry(self._is_hurried)
            return encoder.encode(frame, step_ticks=step_ticks, keyframe=keyframe)
        except (av.FFmpegError, ValueError, MemoryError) as exc:
            self._encoder = None
            raise ProcessingError("the encoder failed") from exc

    def _tick(self, timestamp_ticks: int) -> int:
        """Advance the encoder's own strictly growing clock by a sane step."""
        step_ticks = NOMINAL_INTERVAL_TICKS
        if self._last_timestamp is not None:
            step_ticks = timestamp_ticks - self._last_timestamp
            step_ticks = min(max(step_ticks, 1), LONGEST_INTERVAL_TICKS)
        self._last_timestamp = timestamp_ticks
        self._interval_ticks += INTERVAL_WEIGHT * (step_ticks - self._interval_ticks)
        self._clock_ticks += step_ticks
        return step_ticks

    def _encoder_for(self, frame: av.VideoFrame) -> OpenEncoder:
        self._current_bps = bitrate_for_size(frame.width, frame.height)
        if self._target_bps:
            self._current_bps = clamp_target(self._target_bps)
        encoder = self._encoder
        if (
            encoder is None
            or _description(frame) != self._opened_for
            or not encoder.aim_at(self._current_bps, self._interval_ticks)
        ):
            encoder = self._encoder = open_encoder(self._codec, frame, self._current_bps)
            encoder.aim_at(self._current_bps, self._interval_ticks)
            self._opened_for = _description(frame)
            self.opened += 1
        return encoder


def open_encoder(codec: Codec, frame: av.VideoFrame, bitrate_bps: int) -> OpenEncoder:
    """Open the best encoder that there is for pictures like ``frame``."""
    if codec is Codec.H264:
        return X264Encoder(frame, bitrate_bps)
    try:
        return LibvpxEncoder(frame.width, frame.height, bitrate_bps)
    except LibvpxMissing:
        return FfmpegVp8Encoder(frame, bitrate_bps)


def _description(frame: av.VideoFrame) -> tuple[int, ...]:
    """Everything that an encoder cannot change while it is open."""
    colour = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
    return frame.width, frame.height, *colour
