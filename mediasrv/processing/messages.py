"""What server and beauty worker say to each other: a closed set of messages.

Besides the two encoded video streams there are only enumerated integers, counters, durations and
what holds the worker in, so nothing that describes a face has a place here.
"""

import zlib
from dataclasses import dataclass, fields
from enum import IntEnum

from filters.parameters import Parameters
from mediasrv.media import Codec
from mediasrv.processing.confinement import UNCONFINED, Confinement

PROTOCOL_VERSION = 4
# The largest frame either way. A 1080p keyframe at the lowest quantiser stays below 2 MiB.
MAX_FRAME_BYTES = 4 * 1024 * 1024
# Unwrapped RTP ticks: at 90 kHz this lasts three million years, and it fits a signed 64-bit pts.
MAX_TIMESTAMP_TICKS = 2**62
MAX_BITRATE_BPS = 100_000_000
# Sides of a picture; VP8 itself can say no more (RFC 6386 section 9.1).
MAX_SIDE_PX = 16_383
MAX_LAYERS = 4  # RFC 7741 section 4.2: two bits

PARAMETER_NAMES = tuple(declared.name for declared in fields(Parameters))
# What a traced worker times on every image, in this order: extensions, finding faces, masks, and
# the stages by name (filters.stages, whose import would cost the server what only workers need).
STEP_NAMES = (
    *("front", "landmarks", "masks"),
    *("smooth", "skin", "brighten", "features", "sharpen", "makeup", "shape"),
    *("background", "low_light", "look"),
)
# Both ends must agree which integer is which parameter; they do when they run the same sources.
PARAMETERS_CHECKSUM = zlib.crc32(",".join(PARAMETER_NAMES).encode())


class KeyframeCause(IntEnum):
    """Why the worker asks the host for a keyframe."""

    STARTED_MIDWAY = 1
    UNDECODABLE = 2
    UNSUPPORTED = 3


@dataclass(frozen=True, slots=True)
class Configure:
    """Server to worker: codec and settings of the stream, from the next frame on.

    Attributes:
        codec: Of all frames, both ways; it never changes during a worker's life.
        parameters: Strength of every filter.
        target_bitrate_bps: What the encoder aims at; 0 means by picture size.
        traced: Whether to send FrameTimes before every frame.
    """

    codec: Codec
    parameters: Parameters
    target_bitrate_bps: int = 0
    traced: bool = False


@dataclass(frozen=True, slots=True)
class InputFrame:
    """Server to worker: one encoded frame of the host."""

    timestamp_ticks: int
    keyframe: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """Server to worker: make the next encoded frame a keyframe."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Server to worker: exit."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Worker to server: first message, before anything heavy is loaded."""

    version: int = PROTOCOL_VERSION
    parameters_checksum: int = PARAMETERS_CHECKSUM


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker to server: everything is loaded and has run once, and the worker is locked in.

    Attributes:
        confinement: What holds, as the worker has seen it; the server checks it against the level
            it demands.
    """

    confinement: Confinement = UNCONFINED


@dataclass(frozen=True, slots=True)
class OutputFrame:
    """Worker to server: one filtered and encoded frame.

    Attributes:
        timestamp_ticks: That of the input frame it was made from.
        keyframe: True when a decoder can start here.
        width_px: Of the picture.
        height_px: Of the picture.
        decode_us: Time spent decoding its input frame.
        landmarks_us: Time spent finding landmarks.
        filter_us: Time spent copying the image and in filters.
        encode_us: Time spent encoding.
        payload: As in :class:`mediasrv.media.EncodedFrame`, as are ``layer`` and ``layer_sync``.
    """

    timestamp_ticks: int
    keyframe: bool
    layer: int | None
    layer_sync: bool
    width_px: int
    height_px: int
    decode_us: int
    landmarks_us: int
    filter_us: int
    encode_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """Worker to server, while traced: where the time of the frame that follows went.

    One moment and then durations, one after the other, in microseconds; ``work_us`` is the copy of
    the image, the extensions (``front_us``), finding faces and every filter stage by name. As in
    OutputFrame, nothing here is derived from a face. Steps are rounded to 10 us on the wire.

    Attributes:
        timestamp_ticks: That of the frame.
        decoding_us: When its decoder began, on the monotonic clock.
        decode_us: Until it was decoded.
        wait_us: Until it was its turn.
        work_us: Until it was filtered.
        encode_us: Until it was encoded.
    """

    timestamp_ticks: int
    decoding_us: int
    decode_us: int
    wait_us: int
    work_us: int
    encode_us: int
    front_us: int = 0
    landmarks_us: int = 0
    masks_us: int = 0
    smooth_us: int = 0
    skin_us: int = 0
    brighten_us: int = 0
    features_us: int = 0
    sharpen_us: int = 0
    makeup_us: int = 0
    shape_us: int = 0
    background_us: int = 0
    low_light_us: int = 0
    look_us: int = 0

    def steps_us(self) -> tuple[int, ...]:
        """Return how long each of STEP_NAMES took."""
        return tuple(getattr(self, f"{name}_us") for name in STEP_NAMES)


@dataclass(frozen=True, slots=True)
class KeyframeNeeded:
    """Worker to server: nothing can be decoded until the host sends a keyframe."""

    cause: KeyframeCause


@dataclass(slots=True)
class Counters:
    """Worker to server: totals since the worker started; also its sign of life.

    The one message that changes: the worker counts in it and sends it now and then.

    Attributes:
        decoded: Images decoded.
        encoded: Images filtered, encoded and sent.
        skipped: Images decoded but not encoded because a newer one was there.
        dropped: Input frames not decoded while waiting for a keyframe.
        undecodable: Input frames that gave no trustworthy image.
        filter_failures: Images lost because a filter refused them.
        encoders_opened: How often an encoder was opened: start, size changes, bitrate changes.
    """

    decoded: int = 0
    encoded: int = 0
    skipped: int = 0
    dropped: int = 0
    undecodable: int = 0
    filter_failures: int = 0
    encoders_opened: int = 0


ToWorker = Configure | InputFrame | KeyframeRequest | Stop
ToServer = Hello | Ready | OutputFrame | KeyframeNeeded | Counters | FrameTimes
Message = ToWorker | ToServer
