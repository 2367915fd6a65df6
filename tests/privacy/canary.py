"""Landmarks that nobody has: put into a worker, looked for everywhere else, in every encoding.

The stage runs beside the real detector and keeps the canary in the types that real landmarks have,
makes temporaries of it with every image, and prints what it can.
"""

import base64
import contextlib
import random
import socket
import struct
import sys

import numpy as np

from filters.image import YuvImage
from filters.landmarks import LANDMARK_COUNT, FaceLandmarks
from mediasrv.processing.pipeline import WARM_UP_WIDTH_PX

SEED = 478
FRAMES_BEFORE_CRASH = 20
NOBODYS_ADDRESS = "192.0.2.1"
DIRECTORY_OF_THE_LEAK = "/tmp"  # noqa: S108 - the leaky mutant writes there, and it must be found


def canary_points() -> np.ndarray:
    """Shape (478, 3), float32, each value between 100 and 900 as pixels are."""
    numbers = random.Random(SEED)
    values = [numbers.uniform(100, 900) for _ in range(LANDMARK_COUNT * 3)]
    return np.array(values, np.float32).reshape(LANDMARK_COUNT, 3)


def needles() -> dict[str, bytes]:
    """What to look for, by the name of the encoding: the first point, three numbers in a row."""
    x, y, z = (float(value) for value in canary_points()[0])
    single = struct.pack("<3f", x, y, z)
    pixels = [round(float(value)) for value in canary_points()[:2].ravel()]
    return {
        "float32": single,
        "float64": struct.pack("<3d", x, y, z),
        "float16": struct.pack("<3e", x, y, z),
        "float32, big-endian": struct.pack(">3f", x, y, z),
        "pixels, 16 bit": struct.pack("<6h", *pixels),
        "pixels, 32 bit": struct.pack("<6i", *pixels),
        "msgpack, float32": b"".join(b"\xca" + struct.pack(">f", value) for value in (x, y, z)),
        "msgpack, float64": b"".join(b"\xcb" + struct.pack(">d", value) for value in (x, y, z)),
        **{f"text, {digits} digits": f"{x:.{digits}f}".encode() for digits in range(3, 9)},
        "hexadecimal": single.hex().encode(),
        **{f"base64, {shift}": _base64_inside(single, shift) for shift in range(3)},
    }


def _base64_inside(single: bytes, shift: int) -> bytes:
    """The letters that do not depend on what stands before and after."""
    letters = base64.b64encode(bytes(shift) + single)
    return letters[4 if shift else 0 : -4]


class CanaryStage:
    """Keeps the canary as real landmarks are kept, and leaves traces of it in memory.

    From the first picture of a stream on: a spare worker has seen nobody, and must hold nothing.
    """

    def __init__(self) -> None:
        self._landmarks: FaceLandmarks | None = None
        self._traces: list[object] = []

    def __call__(self, image: YuvImage) -> None:
        if image.width_px != WARM_UP_WIDTH_PX:
            self._detect()

    def _detect(self) -> None:
        if self._landmarks is None:
            self._landmarks = FaceLandmarks(canary_points())
        points = self._landmarks.points()
        several = [points * 1, points.astype(np.float64), [float(v) for v in points[0]]]
        self._traces = [*several, f"{float(points[0, 0]):.5f}", bytes(np.asarray(points).tobytes())]


class Chattering(CanaryStage):
    """Prints the canary on standard error: the one other way out that a worker has."""

    def __call__(self, image: YuvImage) -> None:
        super().__call__(image)
        if self._traces:
            print("landmarks", *self._traces[2:4], file=sys.stderr, flush=True)


class Crashing(CanaryStage):
    """Raises with the canary in its text and in its variables."""

    _frames = 0

    def __call__(self, image: YuvImage) -> None:
        super().__call__(image)
        self._frames += image.width_px != WARM_UP_WIDTH_PX
        if self._frames > FRAMES_BEFORE_CRASH:
            raise ValueError(f"cannot work on {self._traces[2]}")


class Leaking(CanaryStage):
    """Saves the canary: with the sandbox off, this is the mutant that must be caught."""

    def __call__(self, image: YuvImage) -> None:
        super().__call__(image)
        if image.width_px != WARM_UP_WIDTH_PX:  # before lock-in there is no stream
            np.save(f"{DIRECTORY_OF_THE_LEAK}/mediasrv-leaky-mutant.npy", canary_points())


class Calling(CanaryStage):
    """Sends the canary to an address that nobody has (RFC 5737), and on loopback."""

    def __call__(self, image: YuvImage) -> None:
        super().__call__(image)
        if self._landmarks is None:  # before lock-in there is no stream
            return
        for address in (NOBODYS_ADDRESS, "127.0.0.1"):
            with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as end:
                end.sendto(canary_points().tobytes(), (address, 9))


def open_calling() -> CanaryStage:
    return Calling()


def open_canary() -> CanaryStage:
    return CanaryStage()


def open_chattering() -> CanaryStage:
    return Chattering()


def open_crashing() -> CanaryStage:
    return Crashing()


def open_leaking() -> CanaryStage:
    return Leaking()
