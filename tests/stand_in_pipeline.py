"""Pipelines that stand in for the real one inside a worker: quick to load, and able to fail.

Which way to fail is chosen live, through the strength of ``smooth``.
"""

import os
import signal
import sys
import time
from types import SimpleNamespace

from filters.errors import FilterError
from filters.image import YuvImage
from filters.parameters import Parameters
from mediasrv.processing.worker import CHANNEL_FD

BRIGHTER_BY = 20
# Strengths of "smooth" that mean trouble.
EXIT, SEGFAULT, HANG, RAISE, REFUSE, SEND_GARBAGE = 91, 92, 93, 94, 95, 96
COMPLAIN = 97
GROW = 98
GROWTH_BYTES = 64 * 1024 * 1024
SECRET = 0.123456789


class StandIn:
    """Changes nothing at 0, adds a constant to luma otherwise."""

    hoard = b""

    def apply(
        self, image: YuvImage, parameters: Parameters, *, elapsed_s: float
    ) -> SimpleNamespace:
        if image.width_px != 640:  # not the warm-up picture
            misbehave(parameters.smooth)
        if parameters.smooth == GROW and not self.hoard:
            self.hoard = b"x" * GROWTH_BYTES
        if parameters.smooth or parameters.brighten:
            image.y[:] = image.y.clip(0, 255 - BRIGHTER_BY) + BRIGHTER_BY
        return SimpleNamespace(durations_us={"landmarks": 3, "smooth": 2})


def misbehave(strength: int) -> None:
    if strength == EXIT:
        os._exit(7)
    elif strength == SEGFAULT:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif strength == HANG:
        time.sleep(3600)
    elif strength == RAISE:
        raise RuntimeError(f"landmark at {SECRET}")
    elif strength == REFUSE:
        raise FilterError(f"landmark at {SECRET}")
    elif strength == SEND_GARBAGE:
        os.write(CHANNEL_FD, b"\xff" * 64)
    elif strength == COMPLAIN:
        print(f"landmark at {SECRET}", file=sys.stderr, flush=True)


def open_stand_in() -> StandIn:
    return StandIn()


def open_with_a_file_left_open() -> StandIn:
    os.open("/dev/null", os.O_RDONLY)
    return StandIn()


def open_missing() -> StandIn:
    raise FilterError("the model is missing")


def open_broken() -> StandIn:
    raise RuntimeError(f"landmark at {SECRET}")


def open_slowly() -> StandIn:
    time.sleep(3600)
    raise AssertionError


def open_silent_exit() -> StandIn:
    os._exit(0)
