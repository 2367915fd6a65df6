"""The wire between server and beauty worker: length-prefixed binary messages of a closed schema.

Sans-IO. Every message is a header (kind, length of the body) and a body of a fixed layout; only
frames have a tail of bytes. Anything else is a :class:`ChannelError`: the server then kills and
replaces the worker, the worker exits.
"""

import struct
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields

from filters.errors import ParameterError
from filters.parameters import Parameters
from mediasrv.media import Codec
from mediasrv.processing.confinement import CONFINEMENT_FIELDS, Confinement
from mediasrv.processing.errors import ChannelError
from mediasrv.processing.messages import (
    MAX_BITRATE_BPS,
    MAX_FRAME_BYTES,
    MAX_LAYERS,
    MAX_SIDE_PX,
    MAX_TIMESTAMP_TICKS,
    PARAMETER_NAMES,
    STEP_NAMES,
    Configure,
    Counters,
    FrameTimes,
    Hello,
    InputFrame,
    KeyframeCause,
    KeyframeNeeded,
    KeyframeRequest,
    Message,
    OutputFrame,
    Ready,
    Stop,
)

_U32_MAX, _U16_MAX = 2**32 - 1, 2**16 - 1


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
