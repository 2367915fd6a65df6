"""What an encoder is to :class:`mediasrv.processing.encoder.VideoEncoder`, whoever wrote it."""

from typing import NamedTuple, Protocol

import av

from mediasrv.processing.bitrate import NOMINAL_FPS

TICKS_HZ = 90_000
NOMINAL_INTERVAL_TICKS = TICKS_HZ // NOMINAL_FPS


class EncodedImage(NamedTuple):
    """One encoded image; layers as in :class:`mediasrv.media.EncodedFrame`."""

    payload: bytes
    keyframe: bool
    layer: int | None = None
    layer_sync: bool = False


class OpenEncoder(Protocol):
    """An encoder that is open for pictures of one size and colour description.

    Its errors are those of PyAV, ``ValueError`` and ``MemoryError``; it is of no use afterwards.
    """

    def encode(self, frame: av.VideoFrame, *, step_ticks: int, keyframe: bool) -> EncodedImage:
        """Encode one image, one out for one in.

        Args:
            frame: 8-bit 4:2:0, its ``pts`` on the 90 kHz clock, greater than the last. It may be
                reused when this returns.
            step_ticks: From the image before to this one.
            keyframe: Whether it must be a keyframe; it may be one without being asked for.
        """

    def aim_at(self, bitrate_bps: int, interval_ticks: float) -> bool:
        """Take a new target without a keyframe.

        Args:
            bitrate_bps: Of the images to come.
            interval_ticks: From one image to the next, smoothed.

        Returns:
            False if only a new encoder could.
        """

    def hurry(self, wanted: bool) -> None:
        """Spend less time on the images to come, at the price of some quality, if it can."""
