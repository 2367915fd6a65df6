"""A front stage that tries to get out of the worker, and paints what it found into the picture.

It is the attacker: code inside the worker, after lock-in, with all of Python. One block of luma for
every way: bright where the way was open, dark where the kernel refused. Nothing but the picture
gets out to tell.
"""

import json
import sys
from pathlib import Path

import numpy as np

from filters.image import Plane, YuvImage
from tests.sandbox_probes import WAYS, outcome_of

BLOCK_PX = 16
DARK, BRIGHT = 50, 205
TARGETS = "probe_targets.json"
# Some need a preparation of their own; the others end the process that tries them.
LEFT_OUT = {
    "become_program",
    "dump_core",
    "gain_rights",
    "write_to_what_was_open",
    "raise_priority",
}
DEADLY = ("ring", "trace", "read_other_memory", "write_other_memory")
TRIED = tuple(name for name in WAYS if name not in LEFT_OUT | set(DEADLY))


class Prober:
    def __init__(self, to: dict) -> None:
        self._to = to
        self._open: list[bool] | None = None

    def __call__(self, image: YuvImage) -> None:
        if image.width_px == 640:  # the warm-up picture, before lock-in
            return
        if self._open is None:
            self._open = [outcome_of(WAYS[name], self._to) == "worked" for name in self._to["ways"]]
        columns = image.width_px // BLOCK_PX
        for number, is_open in enumerate(self._open):
            row, column = divmod(number, columns)
            top, left = row * BLOCK_PX, column * BLOCK_PX
            image.y[top : top + BLOCK_PX, left : left + BLOCK_PX] = BRIGHT if is_open else DARK
        image.u[:], image.v[:] = 128, 128


def read_blocks(luma: Plane, count: int) -> list[bool]:
    """Which ways were open, as the picture says."""
    columns = luma.shape[1] // BLOCK_PX
    found = []
    for number in range(count):
        row, column = divmod(number, columns)
        block = luma[row * BLOCK_PX + 4 :, column * BLOCK_PX + 4 :][:8, :8]
        brightness = float(np.mean(block))
        assert min(abs(brightness - DARK), abs(brightness - BRIGHT)) < 40, "not our picture"
        found.append(brightness > (DARK + BRIGHT) / 2)
    return found


def open_prober() -> Prober:
    """Make the stage; where the ways lead stands in a file on the worker's path."""

    for directory in sys.path:
        if (Path(directory) / TARGETS).is_file():
            return Prober(json.loads((Path(directory) / TARGETS).read_text()))
    raise FileNotFoundError(TARGETS)
