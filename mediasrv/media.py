"""The currency between relay and processing: one encoded frame."""

from dataclasses import dataclass
from enum import StrEnum


class Codec(StrEnum):
    """Video codecs that the whole path, beauty worker included, can carry."""

    VP8 = "vp8"
    H264 = "h264"


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One complete encoded video frame.

    Attributes:
        codec: The codec of ``payload``.
        timestamp_ticks: RTP timestamp on the 90 kHz clock, unwrapped to a growing integer.
        keyframe: True when a decoder can start here.
        payload: VP8: the frame's bitstream; H264: the access unit in Annex-B form.
        layer: Temporal layer, 0 for the base; None in a stream without layers.
        layer_sync: True when a frame of a higher layer builds on the base alone.
    """

    codec: Codec
    timestamp_ticks: int
    keyframe: bool
    payload: bytes
    layer: int | None = None
    layer_sync: bool = False
