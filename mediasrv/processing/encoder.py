"""Encodes filtered images once, for all viewers, in the codec of the room."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple, cast

import av
from av.video.frame import PictureType

from mediasrv.media import Codec
from mediasrv.processing.bitrate import (
    CEILING_BPS,
    NOMINAL_FPS,
    bitrate_for_size,
    clamp_target,
    is_worth_changing,
)
from mediasrv.processing.decoder import TICKS
from mediasrv.processing.errors import ProcessingError

ENCODERS = {Codec.VP8: "libvpx", Codec.H264: "libx264"}
NOMINAL_INTERVAL_TICKS = 90_000 // NOMINAL_FPS
# Longest step between two pictures that rate control gets to see: a pause is not a reason to
# spend the saved-up bits in one burst.
LONGEST_INTERVAL_TICKS = 18_000
# "Never by itself": keyframes cost bits and come only when somebody needs one.
NO_PERIODIC_KEYFRAMES = str(2**30)
# Weight of the newest interval in the smoothed frame interval.
INTERVAL_WEIGHT = 0.1
# x264 hears of a new rate when the frame rate has moved it this far; each time costs a little.
RATE_STEP = 0.05

# Measured on the 1280x720 clip at 1.5 Mb/s, one core (CPU per frame, PSNR of luma):
#   cpu-used -6: 8.5 ms 46.1 dB   -8: 8.1 ms 46.1 dB   -10: 5.9 ms 45.8 dB
#           -12: 5.2 ms 45.7 dB  -14: 5.0 ms 45.4 dB   -16: 4.8 ms 43 dB (and 41.8 at 1 Mb/s)
# Beyond -12 quality falls faster than time. Negative numbers are fixed speeds; positive ones let
# libvpx slow down until half the frame interval is used (16 ms at 4 and at 8), which is not ours
# to spend. Noise reduction (noise-sensitivity) costs 3 ms and 3 dB; the filter smooths already.
VP8_OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "-12",
    "lag-in-frames": "0",
    "static-thresh": "1",  # up to 100 changes nothing; 500 saves 1-3 ms and costs 0.2-0.9 dB
    "noise-sensitivity": "0",
    "qmin": "2",
    "qmax": "56",
    # Constant bitrate as WebRTC runs it: undershoot freely, overshoot 15 %.
    "undershoot-pct": "100",
    "overshoot-pct": "15",
    # Equal minimum and maximum turn off keyframes on scene changes (at speeds below 12).
    "g": NO_PERIODIC_KEYFRAMES,
    "keyint_min": NO_PERIODIC_KEYFRAMES,
}
VP8_BUFFER_S = 1.0  # 0.6 s costs 2 dB in the first frames and gains nothing

# Measured in the same run: ultrafast 3.9 ms 43.2 dB, superfast 5.8 ms 46.6 dB, veryfast 8.3 ms
# 46.9 dB. ultrafast has neither deblocking nor adaptive quantisation: skin shows blocks.
H264_OPTIONS = {
    "preset": "superfast",
    "tune": "zerolatency",
    "profile": "baseline",  # what WebRTC agrees on; x264 marks it as constrained baseline
    "g": NO_PERIODIC_KEYFRAMES,
    "x264-params": "scenecut=0:threads=1:sliced-threads=0",
}
# Bits that may pile up, as time at the ceiling rate: no frame takes longer than this to send.
H264_BUFFER_S = 0.25
# x264 takes a new bitrate without a keyframe, in both directions, if it was opened in constant
# bitrate mode at a ceiling that is never exceeded (measured: it settles within a second).
H264_CEILING_FACTOR = 2.5

_START_CODE = b"\x00\x00\x01"
_SEI = 6


class EncodedImage(NamedTuple):
    """One encoded image."""

    payload: bytes
    keyframe: bool


class VideoEncoder:
    """Encodes the images of one stream, one in, one out, without delay.

    Reopens itself, which gives a keyframe, when the picture's size or colour description changes,
    and for VP8 when the bitrate changes by a quarter or more.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._context: av.VideoCodecContext | None = None
        self._opened_for: tuple[int, ...] = ()
        self._target_bps = 0
        self._current_bps = 0
        self._ceiling_bps = 0
        self._applied_bps = 0
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
        frame.pts = self._tick(timestamp_ticks)
        frame.time_base = TICKS
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        try:
            context = self._context_for(frame)
            packets = context.encode(frame)
        except (av.FFmpegError, ValueError, MemoryError) as exc:
            self._context = None
            raise ProcessingError("the encoder failed") from exc
        if len(packets) != 1:
            self._context = None
            raise ProcessingError(f"the encoder gave {len(packets)} packets for one image")
        payload = bytes(packets[0])
        if self._codec is Codec.H264:
            payload = without_sei(payload)
        return EncodedImage(payload, packets[0].is_keyframe)

    def _tick(self, timestamp_ticks: int) -> int:
        """Advance the encoder's own strictly growing clock by a sane step."""
        step = NOMINAL_INTERVAL_TICKS
        if self._last_timestamp is not None:
            step = timestamp_ticks - self._last_timestamp
            step = min(max(step, 1), LONGEST_INTERVAL_TICKS)
        self._last_timestamp = timestamp_ticks
        self._interval_ticks += INTERVAL_WEIGHT * (step - self._interval_ticks)
        self._clock_ticks += step
        return self._clock_ticks

    def _context_for(self, frame: av.VideoFrame) -> av.VideoCodecContext:
        wanted_bps = bitrate_for_size(frame.width, frame.height)
        if self._target_bps:
            wanted_bps = clamp_target(self._target_bps)
        context = self._context
        if context is None or _description(frame) != self._opened_for:
            context = self._open(frame, wanted_bps)
        elif is_worth_changing(self._current_bps, wanted_bps):
            if self._codec is Codec.VP8 or wanted_bps > self._ceiling_bps:
                context = self._open(frame, wanted_bps)
            self._current_bps = wanted_bps
        if self._codec is Codec.H264:
            self._follow_frame_rate(context)
        return context

    def _follow_frame_rate(self, context: av.VideoCodecContext) -> None:
        """Give x264 the bitrate that makes each frame as large as the real frame rate allows.

        Its low-latency mode counts every frame as 1/30 s, whatever the timestamps say.
        """
        scale = self._interval_ticks / NOMINAL_INTERVAL_TICKS
        scaled_bps = min(round(self._current_bps * scale), self._ceiling_bps)
        if abs(scaled_bps - self._applied_bps) > RATE_STEP * self._applied_bps:
            context.bit_rate = self._applied_bps = scaled_bps

    def _open(self, frame: av.VideoFrame, bitrate_bps: int) -> av.VideoCodecContext:
        context = cast(av.VideoCodecContext, av.CodecContext.create(ENCODERS[self._codec], "w"))
        context.width, context.height = frame.width, frame.height
        context.pix_fmt = "yuv420p"
        context.time_base = TICKS
        context.framerate = Fraction(NOMINAL_FPS)
        context.thread_count = 1
        context.color_range = frame.color_range
        context.colorspace = frame.colorspace
        context.color_primaries = frame.color_primaries
        context.color_trc = frame.color_trc
        limit_bps, options = self._settings(bitrate_bps)
        context.bit_rate = limit_bps
        context.options = options
        context.open()
        self._context = context
        self._opened_for = _description(frame)
        self._current_bps = bitrate_bps
        self._ceiling_bps = self._applied_bps = limit_bps
        self.opened += 1
        return context

    def _settings(self, bitrate_bps: int) -> tuple[int, dict[str, str]]:
        """The bitrate to open with and the codec's options."""
        if self._codec is Codec.VP8:
            rate = {"minrate": str(bitrate_bps), "maxrate": str(bitrate_bps)}
            buffer_bits = round(bitrate_bps * VP8_BUFFER_S)
            return bitrate_bps, {**VP8_OPTIONS, **rate, "bufsize": str(buffer_bits)}
        limit_bps = min(round(bitrate_bps * H264_CEILING_FACTOR), CEILING_BPS)
        buffer_bits = round(limit_bps * H264_BUFFER_S)
        rate = {"maxrate": str(limit_bps), "bufsize": str(buffer_bits)}
        return limit_bps, {**H264_OPTIONS, **rate}


def _description(frame: av.VideoFrame) -> tuple[int, ...]:
    """Everything that an encoder cannot change while it is open."""
    colour = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
    return frame.width, frame.height, *colour


def without_sei(access_unit: bytes) -> bytes:
    """Leave out the messages that x264 puts into its first frame (its version and settings)."""
    if b"\x00\x00\x01\x06" not in access_unit:
        return access_unit
    return b"".join(unit for kind, unit in split_annex_b(access_unit) if kind != _SEI)


def split_annex_b(access_unit: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut an Annex-B access unit into NAL units: type (H.264 table 7-1), bytes with start code."""
    start = access_unit.find(_START_CODE)
    while 0 <= start < len(access_unit) - 3:
        following = access_unit.find(_START_CODE, start + 3)
        end = len(access_unit) if following < 0 else following
        if following > 0 and access_unit[following - 1] == 0:
            end -= 1  # the zero belongs to the next unit's four-byte start code
        begin = start - 1 if start > 0 and access_unit[start - 1] == 0 else start
        yield access_unit[start + 3] & 0x1F, access_unit[begin:end]
        start = following
