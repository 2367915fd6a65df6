"""The words between server and beauty worker: a closed schema of length-prefixed binary messages.

Sans-IO. Every message is a header (kind, length of the body) and a body of a fixed layout; only
frames have a tail of bytes. Anything else is a :class:`ChannelError`: the server then kills and
replaces the worker, the worker exits. Besides the two encoded video streams there are only
enumerated integers, counters, durations and what holds the worker in, so nothing that describes a
face has a place here.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from enum import IntEnum

from filters.errors import ParameterError
from filters.parameters import Parameters
from mediasrv.media import Codec
from mediasrv.processing.confinement import CONFINEMENT_FIELDS, UNCONFINED, Confinement
from mediasrv.processing.errors import ChannelError

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

_U32_MAX, _U16_MAX = 2**32 - 1, 2**16 - 1


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
        wait_us: Until it was the newest image, and its turn.
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

_CODEC_IDS = {Codec.VP8: 1, Codec.H264: 2}
_CODECS = {number: codec for codec, number in _CODEC_IDS.items()}

_HEADER = struct.Struct("!BI")  # kind, bytes of the body
_CONFIGURE = struct.Struct(f"!BIB{len(PARAMETER_NAMES)}b")
_INPUT = struct.Struct("!QB")
_HELLO = struct.Struct("!HI")
_READY = struct.Struct(f"!BH{len(CONFINEMENT_FIELDS) - 2}B")  # versions, threads, guards
_OUTPUT = struct.Struct("!QBBBHH4I")
_NEEDED = struct.Struct("!B")
_COUNTERS = struct.Struct(f"!{len(fields(Counters))}I")
_TIMES = struct.Struct(f"!QQ4I{len(STEP_NAMES)}H")
_STEP_GRAIN_US = 10
_NO_LAYER = 255
_EMPTY = struct.Struct("!")


def pack(message: Message) -> bytes:
    """Lay out one message, header included.

    Raises:
        ChannelError: A value has no place in the schema (an oversize frame, for one).
    """
    try:
        kind, body = _pack_body(message)
    except struct.error as exc:
        raise ChannelError(f"{type(message).__name__} holds a value out of range") from exc
    layout = _LAYOUTS[kind]
    if not layout.allows(len(body)):
        raise ChannelError(f"{type(message).__name__} of {len(body)} bytes does not fit")
    return _HEADER.pack(kind, len(body)) + body


class MessageReader:
    """Cuts a byte stream into messages and checks every one.

    Feed what has arrived, then call :meth:`next_message` until it returns None. The buffer never
    holds more than one message plus what was fed last: a length is checked when its header is
    complete. After a :class:`ChannelError` the reader is of no further use.
    """

    def __init__(self, kinds: frozenset[int]) -> None:
        """Accept ``kinds`` only: :data:`TO_WORKER` or :data:`TO_SERVER`."""
        self._kinds = kinds
        self._buffer = bytearray()
        self._start = 0

    def feed(self, chunk: bytes | memoryview) -> None:
        """Append bytes as they came from the socket; they are copied."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += chunk

    def next_message(self) -> Message | None:
        """Take the next complete message, or None when more bytes are needed.

        Raises:
            ChannelError: The bytes are not a message that this end may receive.
        """
        if len(self._buffer) - self._start < _HEADER.size:
            return None
        kind, length = _HEADER.unpack_from(self._buffer, self._start)
        if kind not in self._kinds:
            raise ChannelError(f"message kind {kind} is not one of {sorted(self._kinds)}")
        layout = _LAYOUTS[kind]
        if not layout.allows(length):
            raise ChannelError(f"message kind {kind} with a body of {length} bytes")
        body_start = self._start + _HEADER.size
        if len(self._buffer) < body_start + length:
            return None
        self._start = body_start + length
        return layout.unpack(memoryview(self._buffer)[body_start : self._start].tobytes())


def _pack_body(message: Message) -> tuple[int, bytes]:
    match message:
        case Configure(codec, parameters, bitrate_bps, traced):
            strengths = (getattr(parameters, name) for name in PARAMETER_NAMES)
            return 1, _CONFIGURE.pack(_CODEC_IDS[codec], bitrate_bps, traced, *strengths)
        case InputFrame(timestamp, keyframe, payload):
            return 2, _INPUT.pack(_timestamp(timestamp), keyframe) + payload
        case KeyframeRequest():
            return 3, b""
        case Stop():
            return 4, b""
        case Hello(version, checksum):
            return 16, _HELLO.pack(version, checksum)
        case Ready(confinement):
            return 17, _READY.pack(*astuple(confinement))
        case OutputFrame():
            return 18, _pack_output(message)
        case KeyframeNeeded(cause):
            return 19, _NEEDED.pack(cause)
        case Counters():
            return 20, _COUNTERS.pack(*(min(total, _U32_MAX) for total in astuple(message)))
        case FrameTimes():
            return 21, _pack_times(message)


def _pack_output(frame: OutputFrame) -> bytes:
    durations = (frame.decode_us, frame.landmarks_us, frame.filter_us, frame.encode_us)
    fixed = _OUTPUT.pack(
        _timestamp(frame.timestamp_ticks),
        frame.keyframe,
        _NO_LAYER if frame.layer is None else frame.layer,
        frame.layer_sync,
        frame.width_px,
        frame.height_px,
        *(min(duration, _U32_MAX) for duration in durations),
    )
    return fixed + frame.payload


def _pack_times(times: FrameTimes) -> bytes:
    durations = (times.decode_us, times.wait_us, times.work_us, times.encode_us)
    return _TIMES.pack(
        _timestamp(times.timestamp_ticks),
        times.decoding_us,
        *(min(duration, _U32_MAX) for duration in durations),
        *(min(step // _STEP_GRAIN_US, _U16_MAX) for step in times.steps_us()),
    )


def _unpack_configure(body: bytes) -> Configure:
    codec_id, bitrate_bps, traced, *strengths = _CONFIGURE.unpack(body)
    codec = _CODECS.get(codec_id)
    if codec is None:
        raise ChannelError(f"codec number {codec_id} is unknown")
    if bitrate_bps > MAX_BITRATE_BPS:
        raise ChannelError(f"a bitrate of {bitrate_bps} bit/s")
    try:
        parameters = Parameters(**dict(zip(PARAMETER_NAMES, strengths, strict=True)))
    except ParameterError as exc:
        raise ChannelError("a filter parameter is out of range") from exc
    return Configure(codec, parameters, bitrate_bps, _flag(traced))


def _unpack_input(body: bytes) -> InputFrame:
    timestamp, flag = _INPUT.unpack_from(body)
    return InputFrame(_timestamp(timestamp), _flag(flag), body[_INPUT.size :])


def _unpack_output(body: bytes) -> OutputFrame:
    timestamp, flag, layer, sync, width_px, height_px, *durations = _OUTPUT.unpack_from(body)
    if not (1 <= width_px <= MAX_SIDE_PX and 1 <= height_px <= MAX_SIDE_PX):
        raise ChannelError(f"a picture of {width_px}x{height_px} px")
    if layer != _NO_LAYER and layer >= MAX_LAYERS:
        raise ChannelError(f"temporal layer {layer}")
    decode_us, landmarks_us, filter_us, encode_us = durations
    return OutputFrame(
        timestamp_ticks=_timestamp(timestamp),
        keyframe=_flag(flag),
        layer=None if layer == _NO_LAYER else layer,
        layer_sync=_flag(sync),
        width_px=width_px,
        height_px=height_px,
        decode_us=decode_us,
        landmarks_us=landmarks_us,
        filter_us=filter_us,
        encode_us=encode_us,
        payload=body[_OUTPUT.size :],
    )


def _unpack_needed(body: bytes) -> KeyframeNeeded:
    (number,) = _NEEDED.unpack(body)
    try:
        return KeyframeNeeded(KeyframeCause(number))
    except ValueError as exc:
        raise ChannelError(f"keyframe cause {number} is unknown") from exc


def _unpack_times(body: bytes) -> FrameTimes:
    timestamp, decoding, decode, wait, work, encode, *steps = _TIMES.unpack(body)
    steps_us = (step * _STEP_GRAIN_US for step in steps)
    return FrameTimes(_timestamp(timestamp), decoding, decode, wait, work, encode, *steps_us)


def _timestamp(ticks: int) -> int:
    if ticks > MAX_TIMESTAMP_TICKS:
        raise ChannelError("a timestamp beyond any clock")
    return ticks


def _flag(value: int) -> bool:
    if value > 1:
        raise ChannelError(f"a flag with the value {value}")
    return value == 1


@dataclass(frozen=True, slots=True)
class _Layout:
    """How long the body of one kind may be, and how to read it."""

    fixed: struct.Struct
    carries_frame: bool
    unpack: Callable[[bytes], Message]

    def allows(self, length: int) -> bool:
        if self.carries_frame:
            return self.fixed.size < length <= self.fixed.size + MAX_FRAME_BYTES
        return length == self.fixed.size


_LAYOUTS = {
    1: _Layout(_CONFIGURE, False, _unpack_configure),
    2: _Layout(_INPUT, True, _unpack_input),
    3: _Layout(_EMPTY, False, lambda _: KeyframeRequest()),
    4: _Layout(_EMPTY, False, lambda _: Stop()),
    16: _Layout(_HELLO, False, lambda body: Hello(*_HELLO.unpack(body))),
    17: _Layout(_READY, False, lambda body: Ready(Confinement(*_READY.unpack(body)))),
    18: _Layout(_OUTPUT, True, _unpack_output),
    19: _Layout(_NEEDED, False, _unpack_needed),
    20: _Layout(_COUNTERS, False, lambda body: Counters(*_COUNTERS.unpack(body))),
    21: _Layout(_TIMES, False, _unpack_times),
}

TO_WORKER = frozenset({1, 2, 3, 4})
TO_SERVER = frozenset({16, 17, 18, 19, 20, 21})
