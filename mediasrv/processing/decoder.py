"""Turns the host's encoded frames into images, or says that they cannot be trusted."""

from fractions import Fraction
from typing import cast

import av
from av.codec.context import Flags

from mediasrv.media import Codec
from mediasrv.processing.errors import UndecodableFrame, UnsupportedImage
from mediasrv.processing.planes import ACCEPTED_LAYOUTS

# libvpx, not FFmpeg's own "vp8": equally fast (1.7 and 1.7-2.5 ms of CPU per 720p frame, measured,
# one core), and it refuses a keyframe that was cut short, which the other one shows half grey.
DECODERS = {Codec.VP8: "libvpx", Codec.H264: "h264"}
# FFmpeg copies what foreign libraries have decoded; its own decoders hand out their references.
COPYING = frozenset({Codec.VP8})

# Damage that the decoder notices is an error: a broken image is worse than a late one. What it
# would paint over (a missing slice) it marks, and _check refuses it. Error concealment stays on
# all the same: without it FFmpeg marks every image of more than one slice, whole ones too.
STRICT_OPTIONS = {"err_detect": "crccheck+bitstream+buffer+explode"}

# 2560x1440. The largest picture for which memory and time are spent; a hostile header may claim
# 16383x16383, which is 400 MB per image. FFmpeg checks before it allocates, libvpx does not ask.
MAX_PIXELS = 2560 * 1440
# x264 needs whole macroblocks to work with, and no camera sends less.
MIN_SIDE_PX = 16

TICKS = Fraction(1, 90_000)

_VP8_KEYFRAME_HEADER_BYTES = 10


class VideoDecoder:
    """Decodes one stream, frame by frame, without delay.

    Starts at a keyframe, and after any error starts again at the next one with a fresh codec, so
    no image is ever predicted from a damaged one. It cannot see that a whole frame is missing:
    VP8 has no frame numbers. Whoever feeds it must not leave one out except up to a keyframe.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._context = self._open()
        self._has_started = False

    @property
    def gives_copies(self) -> bool:
        """Whether images may be written to: the next ones are not predicted from them."""
        return self._codec in COPYING

    @property
    def awaits_keyframe(self) -> bool:
        """Whether only a keyframe is of any use now."""
        return not self._has_started

    def decode(
        self, payload: bytes, timestamp_ticks: int, *, keyframe: bool
    ) -> av.VideoFrame | None:
        """Decode one encoded frame.

        Args:
            payload: As in :class:`mediasrv.media.EncodedFrame`.
            timestamp_ticks: Comes back as ``pts`` of the image.
            keyframe: Whether decoding may start here.

        Returns:
            The image, or None for a frame that is not meant to be shown. Its planes belong to
            the decoder, unless :attr:`gives_copies`: read them, do not write.

        Raises:
            UndecodableFrame: No trustworthy image; frames are refused until the next keyframe.
            UnsupportedImage: It decodes, but to something that we do not process.
        """
        if not (self._has_started or keyframe):
            raise UndecodableFrame("not a keyframe")
        packet = av.Packet(payload)
        packet.pts = packet.dts = timestamp_ticks
        packet.time_base = TICKS
        try:
            if self._codec is Codec.VP8:
                _check_vp8_header(payload)
            images = self._context.decode(packet)
            for image in images:
                _check(image)
        except UndecodableFrame:
            self._restart()
            raise
        except (av.FFmpegError, ValueError, MemoryError) as exc:
            self._restart()
            raise UndecodableFrame("the decoder refused it") from exc
        self._has_started = True
        return images[-1] if images else None

    def _restart(self) -> None:
        self._context = self._open()
        self._has_started = False

    def _open(self) -> av.VideoCodecContext:
        context = cast(av.VideoCodecContext, av.CodecContext.create(DECODERS[self._codec], "r"))
        context.thread_count = 1
        context.flags |= Flags.low_delay
        context.options = {**STRICT_OPTIONS, "max_pixels": str(MAX_PIXELS)}
        context.open()
        return context


def _check_vp8_header(payload: bytes) -> None:
    """Refuse a keyframe that claims a size beyond our limit (RFC 6386 section 9.1)."""
    if len(payload) < _VP8_KEYFRAME_HEADER_BYTES or payload[0] & 1:
        return
    width = int.from_bytes(payload[6:8], "little") & 0x3FFF
    height = int.from_bytes(payload[8:10], "little") & 0x3FFF
    if width * height > MAX_PIXELS:
        raise UnsupportedImage("too large")


def _check(image: av.VideoFrame) -> None:
    if image.is_corrupt:
        raise UndecodableFrame("the decoder marked the image as damaged")
    if image.format.name not in ACCEPTED_LAYOUTS:
        raise UnsupportedImage("not 8-bit 4:2:0")
    if min(image.width, image.height) < MIN_SIDE_PX:
        raise UnsupportedImage("too small")
    if image.width * image.height > MAX_PIXELS:
        raise UnsupportedImage("too large")
