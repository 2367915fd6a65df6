"""When planted delays are there, and an extension of beauty workers that only sleeps.

They come and go with the clock, so that nobody has to tell a worker, who is locked in.
"""

import time
from collections.abc import Callable

from filters.image import YuvImage

PLANTED_MS = 20.0
TURN_S = 5.0


def planted_delay_s() -> float:
    """How long to wait now: something in every other turn."""
    return PLANTED_MS / 1000 if time.monotonic() // TURN_S % 2 else 0.0


def open_stage() -> Callable[[YuvImage], None]:
    """Make the extension."""
    return lambda image: time.sleep(planted_delay_s())
