"""Encodes images once, with a bitrate per stream, into packets that aiortc only has to wrap.

aiortc's own encoders clamp the bitrate by module constants; these are ours to set per sender.
"""

from fractions import Fraction
from typing import Any, TypeAlias

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from mediasrv.media import Codec

EncodedPacket: TypeAlias = "av.Packet[Any]"

VIDEO_CLOCK = Fraction(1, 90_000)
DEFAULT_BITRATE_BPS = 1_500_000

# Keyframes come on request; this only bounds how long a broken picture could live.
KEYFRAME_INTERVAL_FRAMES = 3000

_NAMES = {Codec.VP8: "libvpx", Codec.H264: "libx264"}


class VideoEncoder:
    """One stream of images in, one stream of packets out; follows changes of the image size.

    Args:
        codec: What the packets are.
        bitrate_bps: Target.
        fps: Of the images, for rate control.
        quick: Spend bits rather than time: for packets that stay on this machine.
    """

    def __init__(self, codec: Codec, bitrate_bps: int, fps: float, *, quick: bool = False) -> None:
        self._codec = codec
        self._quick = quick
        self._bitrate_bps = bitrate_bps
        self._fps = fps
        self._context: VideoCodecContext | None = None

    def encode(self, image: av.VideoFrame, time_s: float, *, keyframe: bool) -> list[EncodedPacket]:
        """Encode one image.

        Args:
            image: Any pixel format; converted to I420. Not modified.
            time_s: Presentation time; the packets carry it on the 90 kHz clock.
            keyframe: True to make this one a keyframe.

        Returns:
            The packets, nearly always one.
        """
        planar = self._planar(image)
        planar.pts = round(time_s / VIDEO_CLOCK)
        planar.time_base = VIDEO_CLOCK
        planar.pict_type = PictureType.I if keyframe else PictureType.NONE
        return list(self._fitting_context(planar).encode(planar))

    def _planar(self, image: av.VideoFrame) -> av.VideoFrame:
        width, height = image.width, image.height
        if self._codec is Codec.H264:
            # 4:2:0 in H264 needs even sizes; VP8 pads by itself.
            width, height = width & ~1, height & ~1
        return image.reformat(width=width, height=height, format="yuv420p")

    def _fitting_context(self, image: av.VideoFrame) -> VideoCodecContext:
        context = self._context
        if context is None or (context.width, context.height) != (image.width, image.height):
            context = self._open(image.width, image.height)
            self._context = context
        return context

    def _open(self, width: int, height: int) -> VideoCodecContext:
        context = av.CodecContext.create(_NAMES[self._codec], "w")
        if not isinstance(context, VideoCodecContext):
            raise TypeError(f"{_NAMES[self._codec]} is no video encoder")
        context.width, context.height = width, height
        context.pix_fmt = "yuv420p"
        context.time_base = VIDEO_CLOCK
        context.framerate = Fraction(self._fps).limit_denominator(1001)
        context.bit_rate = self._bitrate_bps
        context.gop_size = KEYFRAME_INTERVAL_FRAMES
        context.options = self._options()
        context.thread_count = 1
        return context

    def _options(self) -> dict[str, str]:
        rate = str(self._bitrate_bps)
        if self._codec is Codec.VP8:
            return {
                "deadline": "realtime",
                "cpu-used": "-12" if self._quick else "8",
                "lag-in-frames": "0",
                "auto-alt-ref": "0",
                "error-resilient": "1",
                "minrate": rate,
                "maxrate": rate,
                "bufsize": rate,
                "undershoot-pct": "100",
                "qmin": "2",
                "qmax": "56",
            }
        return {
            "preset": "ultrafast" if self._quick else "superfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "maxrate": rate,
            "bufsize": rate,
        }
