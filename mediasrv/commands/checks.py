"""What ``mediasrv doctor`` looks at: one function per question, each answered in one line."""

import asyncio
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

import av
import numpy as np

from filters.errors import FilterError
from filters.mediapipe_mesh import MediaPipeFaceMesh
from mediasrv.client.encoder import DEFAULT_BITRATE_BPS, VideoEncoder
from mediasrv.client.sources.base import AUDIO_RATE_HZ
from mediasrv.client.sources.pattern import PatternImages, Tone, luma_of, read_counter
from mediasrv.commands.ports import PortTaken, try_udp_port
from mediasrv.media import Codec
from mediasrv.processing.config import ProcessingConfig
from mediasrv.processing.confinement import Confinement, SandboxLevel
from mediasrv.processing.errors import WorkerStartFailed
from mediasrv.processing.trial import try_confinement
from mediasrv.transport.addresses import usable_local_addresses
from mediasrv.transport.udp_port import SOCKET_BUFFER_BYTES, gso_available

BROWSERS = ("chromium", "google-chrome", "firefox-esr", "firefox")
REINSTALL = "install the locked packages: make clean serve"
_DECODERS = {Codec.VP8: "vp8", Codec.H264: "h264"}


class Level(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question.

    Attributes:
        check: What was looked at.
        level: ``fail`` when the server cannot work, ``warn`` when it works less well.
        text: What was found.
        advice: What to do about it; empty when all is well.
    """

    check: str
    level: Level
    text: str
    advice: str = ""


def check_python() -> Finding:
    """The interpreter's version."""
    version = platform.python_version()
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return Finding("python", Level.OK, version)
    return Finding("python", Level.FAIL, version, "use Python 3.11 or 3.12")


def check_kernel() -> Finding:
    """The operating system and how many processors it may use."""
    processors = len(os.sched_getaffinity(0))
    text = f"{platform.system()} {platform.release()}, {processors} processors"
    if processors < 2:
        return Finding(
            "system", Level.WARN, text, "one filtered stream needs a processor of its own"
        )
    return Finding("system", Level.OK, text)


def check_model() -> Finding:
    """Whether the face model loads."""
    try:
        MediaPipeFaceMesh().close()
    except FilterError as exc:
        return Finding("face model", Level.FAIL, str(exc), REINSTALL)
    return Finding("face model", Level.OK, "loads from the mediapipe wheel")


def check_sandbox() -> Finding:
    """How far a real worker locks itself in here."""
    try:
        return judge_confinement(asyncio.run(try_confinement(ProcessingConfig())))
    except WorkerStartFailed as exc:
        return Finding("sandbox", Level.FAIL, str(exc), REINSTALL)


def judge_confinement(confinement: Confinement) -> Finding:
    """Say what a worker's confinement means for whoever runs the server."""
    if confinement.reached is SandboxLevel.STRICT:
        return Finding("sandbox", Level.OK, str(confinement))
    return Finding(
        "sandbox",
        Level.WARN,
        str(confinement),
        "use Linux 5.13 or later with Landlock and seccomp (in a container: allow both); without "
        "them nothing is filtered unless you serve with --sandbox best-effort",
    )


def check_video_codec(codec: Codec) -> Finding:
    """Whether a picture survives encoding and decoding."""
    name = f"codec {codec}"
    try:
        counters = list(_round_trip(codec))
    except (av.FFmpegError, ValueError) as exc:
        return Finding(
            name, Level.FAIL, str(exc), "install the locked av wheel: make serve does it"
        )
    if not counters or None in counters:
        return Finding(name, Level.FAIL, "pictures come back broken", "install the locked av wheel")
    return Finding(name, Level.OK, "encodes and decodes")


def _round_trip(codec: Codec) -> Iterator[int | None]:
    images = PatternImages(320, 192)
    encoder = VideoEncoder(codec, DEFAULT_BITRATE_BPS, images.fps)
    decoder = av.CodecContext.create(_DECODERS[codec], "r")
    if not isinstance(decoder, av.VideoCodecContext):
        raise ValueError(f"{_DECODERS[codec]} is no video decoder")
    for position in range(3):
        timed = images.next_image()
        for packet in encoder.encode(timed.image, timed.time_s, keyframe=position == 0):
            for image in decoder.decode(packet):
                yield read_counter(luma_of(image))


def check_audio_codec() -> Finding:
    """Whether sound survives encoding and decoding."""
    try:
        encoder = av.CodecContext.create("libopus", "w")
        encoder.sample_rate = AUDIO_RATE_HZ
        encoder.layout = "stereo"
        encoder.format = "s16"
        decoder = av.CodecContext.create("libopus", "r")
        tone = Tone()
        loudest = 0.0
        for position in range(5):
            sound = tone.next_sound()
            sound.pts = position * sound.samples
            for packet in encoder.encode(sound):
                for decoded in decoder.decode(packet):
                    loudest = max(loudest, float(np.abs(decoded.to_ndarray()).max()))
    except (av.FFmpegError, ValueError) as exc:
        return Finding(
            "codec opus", Level.FAIL, str(exc), "install the locked av wheel: make serve does it"
        )
    if loudest == 0:
        return Finding(
            "codec opus", Level.FAIL, "sound comes back silent", "install the locked av wheel"
        )
    return Finding("codec opus", Level.OK, "encodes and decodes")


def check_addresses() -> Finding:
    """The addresses that peers can be told."""
    found = usable_local_addresses()
    text = ", ".join(found)
    if not found:
        return Finding("addresses", Level.FAIL, "none", "bring up a network interface")
    if all(ip_address(address).is_loopback for address in found):
        return Finding(
            "addresses",
            Level.WARN,
            f"only {text}",
            "Firefox and other machines need a network interface, or serve with --public-ip",
        )
    return Finding("addresses", Level.OK, text)


def check_udp_port(port: int) -> Finding:
    """Whether the media port can be bound on every address."""
    name = f"udp port {port}"

    try:
        try_udp_port(port)
    except PortTaken as exc:
        advice = "a server may be running there; serve with another --udp-port"
        return Finding(name, Level.WARN, str(exc), advice)
    return Finding(name, Level.OK, "free")


def check_gso() -> Finding:
    """Whether the kernel takes many packets in one call."""
    if gso_available():
        return Finding("udp segmentation", Level.OK, "the kernel has it")
    return Finding(
        "udp segmentation",
        Level.WARN,
        "missing; every packet costs a system call",
        "use Linux 4.18 or later for more viewers per processor",
    )


def check_buffers() -> Finding:
    """How much of a burst the kernel holds for us."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        # Linux doubles what was asked for its own bookkeeping (socket(7)).
        granted_bytes = probe.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2
    text = f"{granted_bytes // 1024} KiB"
    if granted_bytes >= SOCKET_BUFFER_BYTES:
        return Finding("udp buffers", Level.OK, text)
    wanted = f"net.core.wmem_max={SOCKET_BUFFER_BYTES} net.core.rmem_max={SOCKET_BUFFER_BYTES}"
    return Finding(
        "udp buffers",
        Level.WARN,
        f"{text} of {SOCKET_BUFFER_BYTES // 1024} KiB; a keyframe to many viewers may lose packets",
        f"sysctl -w {wanted}",
    )


def check_browsers() -> Finding:
    """Which browsers the tests could drive."""
    found = [path for name in BROWSERS if (path := shutil.which(name)) is not None]
    if found:
        return Finding("browsers", Level.OK, ", ".join(found))
    return Finding(
        "browsers",
        Level.WARN,
        "none on this machine",
        "only tests need one here: apt-get install chromium firefox-esr",
    )


def all_checks(udp_port: int) -> Sequence[Callable[[], Finding]]:
    """Every check, in the order in which people should read them."""
    return (
        check_python,
        check_kernel,
        check_model,
        check_sandbox,
        *(lambda codec=codec: check_video_codec(codec) for codec in Codec),
        check_audio_codec,
        check_addresses,
        lambda: check_udp_port(udp_port),
        check_gso,
        check_buffers,
        check_browsers,
    )
