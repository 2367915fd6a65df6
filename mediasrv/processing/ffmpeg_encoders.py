"""The encoders that FFmpeg opens for us: x264, and VP8 where libvpx cannot be had directly."""

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
from av.video.frame import PictureType

from mediasrv.processing.bitrate import CEILING_BPS, NOMINAL_FPS, bitrate_for_size
from mediasrv.processing.decoder import TICKS
from mediasrv.processing.encoding import NOMINAL_INTERVAL_TICKS, EncodedImage

# "Never by itself": keyframes cost bits and come only when somebody needs one.
NO_PERIODIC_KEYFRAMES = str(2**30)
# An encoder hears of a new rate when it has moved this far; each time costs a little.
RATE_STEP = 0.05

# Measured on the filtered 1280x720 clip at 1.5 Mb/s, one core (time per frame, PSNR and SSIM of
# luma):
#   ultrafast 3.9 ms 43.1 dB 0.975     with deblocking 4.3 ms 45.3 dB 0.988     superfast 5.9 ms
#   46.3 dB 0.988     ultrafast with deblocking and half-pixel refinement 3.9 ms 46.7 dB 0.989
# What superfast adds to the last is adaptive quantisation, which spends bits on walls, and 4x4
# prediction, which deblocking makes up for. Chromium's own encoder (OpenH264) makes 46.8 dB 0.989
# of pictures of which ours makes 47.8 dB 0.990 (`python -m benchmarks filtered`).
H264_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "profile": "baseline",  # what WebRTC agrees on; x264 marks it as constrained baseline
    "g": NO_PERIODIC_KEYFRAMES,
    "x264-params": "no-deblock=0:subme=1:scenecut=0:threads=1:sliced-threads=0",
}
# Bits that may pile up, as time at the ceiling rate: no frame takes longer than this to send.
H264_BUFFER_S = 0.25
# x264 takes a new bitrate without a keyframe, in both directions, if it was opened in constant
# bitrate mode at a ceiling that is never exceeded (measured: it settles within a second).
H264_CEILING_FACTOR = 2.5

# As libvpx.SETTINGS where FFmpeg can say it. The wrapper cannot say which pictures to predict from.
VP8_OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "-12",
    "lag-in-frames": "0",
    "static-thresh": "500",
    "noise-sensitivity": "0",
    "qmin": "2",
    "qmax": "56",
    "undershoot-pct": "100",
    "overshoot-pct": "15",
    # Equal minimum and maximum turn off keyframes on scene changes.
    "g": NO_PERIODIC_KEYFRAMES,
    "keyint_min": NO_PERIODIC_KEYFRAMES,
}
VP8_BUFFER_S = 1.0
# This one takes a new rate only when it is opened again, which gives a keyframe: from here on the
# change is visible anyway.
VP8_REOPENING_STEP = 0.25

_START_CODE = b"\x00\x00\x01"
_SEI = 6


class X264Encoder:
    """One H.264 encoder (an ``OpenEncoder``)."""

    def __init__(self, frame: av.VideoFrame, bitrate_bps: int) -> None:
        """Open it for pictures like ``frame``."""
        usual_bps = bitrate_for_size(frame.width, frame.height)
        wanted_bps = max(usual_bps, round(bitrate_bps * H264_CEILING_FACTOR))
        self._ceiling_bps = min(wanted_bps, CEILING_BPS)
        buffer_bits = round(self._ceiling_bps * H264_BUFFER_S)
        rate = {"maxrate": str(self._ceiling_bps), "bufsize": str(buffer_bits)}
        self._context = _open("libx264", frame, self._ceiling_bps, {**H264_OPTIONS, **rate})
        self._applied_bps = self._ceiling_bps

    def encode(self, frame: av.VideoFrame, *, step_ticks: int, keyframe: bool) -> EncodedImage:
        """See ``OpenEncoder``."""
        del step_ticks
        payload, is_keyframe = _encode(self._context, frame, keyframe=keyframe)
        return EncodedImage(without_sei(payload), is_keyframe)

    def aim_at(self, bitrate_bps: int, interval_ticks: float) -> bool:
        """See ``OpenEncoder``.

        Its low-latency mode counts every frame as 1/30 s, whatever the timestamps say. So it gets
        the bitrate that makes each frame as large as the real interval allows.
        """
        if bitrate_bps > self._ceiling_bps:
            return False
        scaled_bps = round(bitrate_bps * interval_ticks / NOMINAL_INTERVAL_TICKS)
        scaled_bps = min(scaled_bps, self._ceiling_bps)
        if abs(scaled_bps - self._applied_bps) > RATE_STEP * self._applied_bps:
            self._context.bit_rate = self._applied_bps = scaled_bps
        return True

    def hurry(self, wanted: bool) -> None:
        """See ``OpenEncoder``; x264 is at its quickest already."""


class FfmpegVp8Encoder:
    """One VP8 encoder (an ``OpenEncoder``), with a keyframe for every large change of its rate."""

    def __init__(self, frame: av.VideoFrame, bitrate_bps: int) -> None:
        """Open it for pictures like ``frame``."""
        rate = {"minrate": str(bitrate_bps), "maxrate": str(bitrate_bps)}
        buffer = {"bufsize": str(round(bitrate_bps * VP8_BUFFER_S))}
        self._context = _open("libvpx", frame, bitrate_bps, {**VP8_OPTIONS, **rate, **buffer})
        self._bitrate_bps = bitrate_bps

    def encode(self, frame: av.VideoFrame, *, step_ticks: int, keyframe: bool) -> EncodedImage:
        """See ``OpenEncoder``."""
        del step_ticks
        return EncodedImage(*_encode(self._context, frame, keyframe=keyframe))

    def aim_at(self, bitrate_bps: int, interval_ticks: float) -> bool:
        """See ``OpenEncoder``."""
        del interval_ticks
        return abs(bitrate_bps - self._bitrate_bps) < VP8_REOPENING_STEP * self._bitrate_bps

    def hurry(self, wanted: bool) -> None:
        """See ``OpenEncoder``; the wrapper passes nothing on once it is open."""


def _open(
    name: str, frame: av.VideoFrame, bitrate_bps: int, options: dict[str, str]
) -> av.VideoCodecContext:
    context = cast(av.VideoCodecContext, av.CodecContext.create(name, "w"))
    context.width, context.height = frame.width, frame.height
    context.pix_fmt = "yuv420p"
    context.time_base = TICKS
    context.framerate = Fraction(NOMINAL_FPS)
    context.thread_count = 1
    context.color_range = frame.color_range
    context.colorspace = frame.colorspace
    context.color_primaries = frame.color_primaries
    context.color_trc = frame.color_trc
    context.bit_rate = bitrate_bps
    context.options = options
    context.open()
    return context


def _encode(
    context: av.VideoCodecContext, frame: av.VideoFrame, *, keyframe: bool
) -> tuple[bytes, bool]:
    frame.pict_type = PictureType.I if keyframe else PictureType.NONE
    packets = context.encode(frame)
    if len(packets) != 1:
        raise ValueError(f"{len(packets)} packets for one image")
    return bytes(packets[0]), packets[0].is_keyframe


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
