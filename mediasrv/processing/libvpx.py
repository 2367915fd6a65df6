"""libvpx's VP8 encoder, called directly: FFmpeg's wrapper passes on neither of what we need.

A new bitrate without a keyframe, because viewers' networks change and keyframes are what they can
afford least; and which pictures a picture may be predicted from.

The library is the one that PyAV brings along. The layouts below belong to one version of its binary
interface, and the library itself refuses to work with any other.
"""

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import av

from mediasrv.processing.encoding import TICKS_HZ, EncodedImage

# vpx/vpx_encoder.h, VPX_ENCODER_ABI_VERSION of libvpx 1.16.
_ENCODER_ABI = 39
_I420 = 0x102  # vpx/vpx_image.h
_CONSTANT_BITRATE = 1
_REALTIME = 1  # the deadline: as fast as cpu-used says
_FRAME_PACKET, _PACKET_IS_KEYFRAME = 0, 1

# vpx/vp8cx.h: controls, and flags of a picture.
_CPU_USED, _NOISE_SENSITIVITY, _STATIC_THRESHOLD = 13, 15, 17
_FORCE_KEYFRAME = 1 << 0
_NOT_FROM_LAST, _NOT_FROM_GOLDEN, _NOT_FROM_ALTERNATE = 1 << 16, 1 << 17, 1 << 21
_KEEPS_LAST, _KEEPS_GOLDEN, _KEEPS_ALTERNATE = 1 << 18, 1 << 22, 1 << 23
_KEEPS_ENTROPY = 1 << 20

# Measured at 1.5 Mb/s on three filtered clips with faces: ms per 1280x720 frame on one core, and
# PSNR of luma. Sensor noise (sigma 2) is what costs encoders time.
#                                      clean             with noise
#   as Chromium by itself *    4.8-6.1  46.5-47.1     5.8-7.5  40.4-40.6
#   -10, last picture, 500     2.9-3.6  46.0-46.9     4.4-6.0  40.4-40.5
#   -12, last picture, 500     2.8-3.8  45.6-46.8     4.0-4.8  40.4-40.5
#   -12, three layers, 500     3.0-3.5  44.6-46.4     3.6-4.7  40.1-40.4    usual
#   -14, three layers, 1000    2.5-3.0  44.2-45.5     3.3-4.4  40.0-40.4
#   -16, three layers, 1000    2.3-3.0  43.3-45.4     3.2-3.7  39.5-40.4    in a hurry
#   * cpu-used -6, all references, threshold 1, one layer
# Chromium's encoder in three layers makes 46.4 dB of the first clip, with a fifth fewer bits, where
# ours makes 45.8; SSIM is 0.985 of both (`python -m benchmarks filtered`).
# The threshold skips blocks whose error is below what 45 dB leaves anyway. Negative speeds are
# fixed; positive ones let libvpx take half of the frame interval. Noise reduction costs 3 ms and
# 3 dB, and the filter smooths already.
USUAL = {_CPU_USED: -12, _STATIC_THRESHOLD: 500, _NOISE_SENSITIVITY: 0}
HURRIED = {_CPU_USED: -16, _STATIC_THRESHOLD: 1000}
MIN_QUANTIZER, MAX_QUANTIZER = 2, 56
UNDERSHOOT_PERCENT, OVERSHOOT_PERCENT = 100, 15
# A fuller start gives the first keyframe another decibel.
BUFFER_MS, BUFFER_INITIAL_MS, BUFFER_OPTIMAL_MS = 1000, 750, 833
# Told to the encoder from this change on.
RATE_STEP = 0.02

_uint = ctypes.c_uint


class _Step(NamedTuple):
    """One picture of the layers' pattern."""

    layer: int
    layer_sync: bool
    flags: int


# Three temporal layers, as browsers send them: 7.5, 15 and 30 pictures of 30, in 0.4, 0.65 and all
# of the bits. Each is predicted from one picture only, which saves two thirds of the motion search.
# What may be left out must not change how the rest is read, so it keeps the entropy tables as they
# are. libvpx's own layers, with a rate control for each, leave a third of the bitrate unused.
_FROM_LAST = _NOT_FROM_GOLDEN | _NOT_FROM_ALTERNATE
_FROM_GOLDEN = _NOT_FROM_LAST | _NOT_FROM_ALTERNATE
_KEEPS_ALL = _KEEPS_LAST | _KEEPS_GOLDEN | _KEEPS_ALTERNATE | _KEEPS_ENTROPY
PATTERN = (
    _Step(0, False, _FROM_LAST | _KEEPS_GOLDEN | _KEEPS_ALTERNATE),
    _Step(2, True, _FROM_LAST | _KEEPS_ALL),
    _Step(1, True, _FROM_LAST | _KEEPS_ALL & ~_KEEPS_GOLDEN),
    _Step(2, False, _FROM_GOLDEN | _KEEPS_ALL),
)


class _Context(ctypes.Structure):
    """vpx_codec_ctx_t; only libvpx reads it."""

    _fields_ = (("opaque", ctypes.c_void_p * 16),)


class _Config(ctypes.Structure):
    """vpx_codec_enc_cfg_t up to what we set; the rest stays as the library fills it."""

    _fields_ = (
        *((name, _uint) for name in ("usage", "threads", "profile", "width_px", "height_px")),
        ("bit_depth", ctypes.c_int),
        ("input_bit_depth", _uint),
        *((name, ctypes.c_int) for name in ("timebase_num", "timebase_den")),
        ("error_resilient", ctypes.c_uint32),
        ("encoding_pass", ctypes.c_int),
        *((name, _uint) for name in ("lag_in_frames", "drop_threshold", "resize_allowed")),
        *((name, _uint) for name in ("scaled_width", "scaled_height", "resize_up", "resize_down")),
        ("rate_control", ctypes.c_int),
        ("statistics", ctypes.c_size_t * 4),
        *((name, _uint) for name in ("target_kbps", "min_quantizer", "max_quantizer")),
        *((name, _uint) for name in ("undershoot_percent", "overshoot_percent")),
        *((name, _uint) for name in ("buffer_ms", "buffer_initial_ms", "buffer_optimal_ms")),
        ("two_passes", _uint * 4),
        ("keyframe_mode", ctypes.c_int),
        *((name, _uint) for name in ("keyframe_min", "keyframe_max")),
        ("rest", ctypes.c_uint8 * 2048),
    )


class _Image(ctypes.Structure):
    """vpx_image_t."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("format", "colour_space", "colour_range")),
        *((name, _uint) for name in ("width_px", "height_px", "bit_depth")),
        *((name, _uint) for name in ("shown_width_px", "shown_height_px")),
        *((name, _uint) for name in ("render_width_px", "render_height_px")),
        *((name, _uint) for name in ("chroma_shift_x", "chroma_shift_y")),
        ("planes", ctypes.c_void_p * 4),
        ("strides", ctypes.c_int * 4),
        ("rest", ctypes.c_uint8 * 256),
    )


class _Packet(ctypes.Structure):
    """vpx_codec_cx_pkt_t, of the kind that holds a frame."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("payload", ctypes.c_void_p),
        ("payload_bytes", ctypes.c_size_t),
        ("pts", ctypes.c_int64),
        ("duration", ctypes.c_ulong),
        ("flags", ctypes.c_uint32),
    )


class LibvpxMissing(ValueError):
    """PyAV does not bring the library along, or another version of it."""


def find_library() -> Path:
    """Where the wheel of PyAV keeps libvpx; loaded already, so opening it again gives the same.

    Raises:
        LibvpxMissing: PyAV was built otherwise.
    """
    package = Path(av.__file__).parent
    for directory in (package.parent / "av.libs", package / ".dylibs"):
        for path in sorted(directory.glob("libvpx*")):
            return path
    raise LibvpxMissing("no libvpx beside PyAV")


class LibvpxEncoder:
    """One VP8 encoder (an ``OpenEncoder``)."""

    def __init__(self, width_px: int, height_px: int, bitrate_bps: int) -> None:
        """Open it.

        Raises:
            LibvpxMissing: The library is not there, or of another version.
        """
        self._context = _Context()
        self._is_open = False
        self._library = load_library()
        interface = self._library.vpx_codec_vp8_cx()
        self._config = _Config()
        _check(self._library.vpx_codec_enc_config_default(interface, ctypes.byref(self._config), 0))
        self._configure(width_px, height_px, bitrate_bps)
        context = ctypes.byref(self._context)
        refused = self._library.vpx_codec_enc_init_ver(
            context, interface, ctypes.byref(self._config), 0, _ENCODER_ABI
        )
        if refused:
            raise LibvpxMissing(f"libvpx refuses to open (error {refused})")
        self._is_open = True
        self._is_hurried = False
        self._control(USUAL)
        self._image = _Image()
        self._turn = 0

    def __del__(self) -> None:
        if self._is_open:
            self._library.vpx_codec_destroy(ctypes.byref(self._context))

    def encode(self, frame: av.VideoFrame, *, step_ticks: int, keyframe: bool) -> EncodedImage:
        """See ``OpenEncoder``; the planes are read where they are."""
        if (frame.width, frame.height) != (self._config.width_px, self._config.height_px):
            raise ValueError("a picture of another size")
        self._point_at(frame)
        step = PATTERN[0 if keyframe else self._turn]
        flags = _FORCE_KEYFRAME if keyframe else step.flags
        context = ctypes.byref(self._context)
        _check(
            self._library.vpx_codec_encode(
                context, ctypes.byref(self._image), frame.pts, step_ticks, flags, _REALTIME
            )
        )
        iterator = ctypes.c_void_p()
        packet = self._library.vpx_codec_get_cx_data(context, ctypes.byref(iterator))
        if not packet or packet.contents.kind != _FRAME_PACKET:
            raise ValueError("libvpx gave no picture")
        found = packet.contents
        payload = ctypes.string_at(found.payload, found.payload_bytes)
        is_keyframe = bool(found.flags & _PACKET_IS_KEYFRAME)
        if is_keyframe:
            step = PATTERN[0]  # also its own first one, which nobody asked for
        self._turn = (PATTERN.index(step) + 1) % len(PATTERN)
        return EncodedImage(payload, is_keyframe, step.layer, step.layer_sync)

    def aim_at(self, bitrate_bps: int, interval_ticks: float) -> bool:
        """See ``OpenEncoder``; rate control sees the intervals by itself."""
        del interval_ticks
        kbps = bitrate_bps // 1000
        if abs(kbps - self._config.target_kbps) > RATE_STEP * self._config.target_kbps:
            self._config.target_kbps = kbps
            _check(
                self._library.vpx_codec_enc_config_set(
                    ctypes.byref(self._context), ctypes.byref(self._config)
                )
            )
        return True

    def hurry(self, wanted: bool) -> None:
        """See ``OpenEncoder``."""
        if wanted != self._is_hurried:
            self._is_hurried = wanted
            self._control(HURRIED if wanted else USUAL)

    def _control(self, settings: Mapping[int, int]) -> None:
        context = ctypes.byref(self._context)
        for control, value in settings.items():
            _check(self._library.vpx_codec_control_(context, control, ctypes.c_int(value)))

    def _configure(self, width_px: int, height_px: int, bitrate_bps: int) -> None:
        config = self._config
        config.width_px, config.height_px, config.threads = width_px, height_px, 1
        config.timebase_num, config.timebase_den = 1, TICKS_HZ
        config.lag_in_frames = config.drop_threshold = config.resize_allowed = 0
        config.rate_control, config.target_kbps = _CONSTANT_BITRATE, bitrate_bps // 1000
        config.min_quantizer, config.max_quantizer = MIN_QUANTIZER, MAX_QUANTIZER
        config.undershoot_percent = UNDERSHOOT_PERCENT
        config.overshoot_percent = OVERSHOOT_PERCENT
        config.buffer_ms = BUFFER_MS
        config.buffer_initial_ms = BUFFER_INITIAL_MS
        config.buffer_optimal_ms = BUFFER_OPTIMAL_MS
        config.keyframe_mode = 0  # only on demand

    def _point_at(self, frame: av.VideoFrame) -> None:
        """Describe the planes of ``frame``; it outlives the call that reads them."""
        image = self._image
        self._library.vpx_img_wrap(
            ctypes.byref(image), _I420, frame.width, frame.height, 1, frame.planes[0].buffer_ptr
        )
        for number, plane in enumerate(frame.planes):
            image.planes[number] = plane.buffer_ptr
            image.strides[number] = plane.line_size


@cache
def load_library() -> ctypes.CDLL:
    """The library with the types of what we call; loaded once, for a locked worker opens no file.

    Raises:
        LibvpxMissing: See :func:`find_library`.
    """
    library = ctypes.CDLL(str(find_library()))
    pointer, integer, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
    calls: dict[str, tuple[Any, list[Any]]] = {
        "vpx_codec_vp8_cx": (pointer, []),
        "vpx_codec_enc_config_default": (integer, [pointer, pointer, _uint]),
        "vpx_codec_enc_init_ver": (integer, [pointer, pointer, pointer, long, integer]),
        "vpx_codec_enc_config_set": (integer, [pointer, pointer]),
        # Variadic: ctypes must hear of the fixed arguments only.
        "vpx_codec_control_": (integer, [pointer, integer]),
        "vpx_codec_encode": (
            integer,
            [pointer, pointer, ctypes.c_int64, ctypes.c_ulong, long, ctypes.c_ulong],
        ),
        "vpx_codec_get_cx_data": (ctypes.POINTER(_Packet), [pointer, pointer]),
        "vpx_img_wrap": (pointer, [pointer, integer, _uint, _uint, _uint, pointer]),
        "vpx_codec_destroy": (integer, [pointer]),
    }
    for name, (result, arguments) in calls.items():
        function: Callable[..., Any] = getattr(library, name)
        function.restype, function.argtypes = result, arguments  # type: ignore[attr-defined]
    return library


def _check(error: int) -> None:
    if error:
        raise ValueError(f"libvpx error {error}")
