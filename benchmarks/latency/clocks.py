"""A page's clock by this process's: performance.now() on CLOCK_MONOTONIC, proven or refused.

All of this runs on one machine, where Chromium's clock is CLOCK_MONOTONIC with another beginning.
Chromium says where it began (``Performance.getMetrics`` of its DevTools protocol); whether that is
true is bracketed from outside: the page is asked for its time again and again, and each answer must
lie between the moments of asking and of answering.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from playwright.sync_api import Page

from benchmarks.rig.refusal import MeasurementRefused

ASKED = 40
# Brackets wider than this prove nothing worth knowing.
BRACKET_MAX_MS = 4.0
# performance.now() is rounded to tenths of milliseconds.
RESOLUTION_MS = 0.1


@dataclass(frozen=True, slots=True)
class PageClock:
    """How to read a page's performance.now().

    Attributes:
        offset_ms: Add it to get CLOCK_MONOTONIC in milliseconds.
        bracket_ms: Width of the interval in which the offset was proven to lie.
    """

    offset_ms: float
    bracket_ms: float


def now_ms() -> float:
    """CLOCK_MONOTONIC in milliseconds."""
    return time.monotonic_ns() / 1e6


def read_clock(page: Page) -> PageClock:
    """Compare a page's clock with ours.

    Raises:
        MeasurementRefused: They do not agree, or cannot be compared well enough.
    """
    samples = []
    for _ in range(ASKED):
        before_ms = now_ms()
        theirs_ms = float(page.evaluate("performance.now()"))
        samples.append((before_ms, theirs_ms, now_ms()))
    return agree(samples, _began_ms(page))


def agree(samples: Sequence[tuple[float, float, float]], began_ms: float) -> PageClock:
    """Check where a clock began against samples of it.

    Args:
        samples: Our time before asking, theirs, and ours after the answer, in milliseconds.
        began_ms: When theirs was zero, on ours, as the browser says.

    Raises:
        MeasurementRefused: See :func:`read_clock`.
    """
    lowest = max(before - theirs for before, theirs, _ in samples) - RESOLUTION_MS
    highest = min(after - theirs for _, theirs, after in samples) + RESOLUTION_MS
    if not 0 <= highest - lowest <= BRACKET_MAX_MS:
        raise MeasurementRefused(f"the page's clock is known to {highest - lowest:.1f} ms only")
    if not lowest <= began_ms <= highest:
        raise MeasurementRefused("the page's clock is not where the browser says it is")
    return PageClock(began_ms, highest - lowest)


def require_steady(before: PageClock, after: PageClock) -> None:
    """Check that a clock has not moved during a measurement.

    Raises:
        MeasurementRefused: It has.
    """
    moved_ms = abs(after.offset_ms - before.offset_ms)
    if moved_ms > RESOLUTION_MS:
        raise MeasurementRefused(f"the page's clock moved by {moved_ms:.2f} ms meanwhile")


def require_fine_clock(clock: Callable[[], float] = now_ms, finest_ms: float = 0.05) -> None:
    """Check that our own clock ticks finely enough.

    Raises:
        MeasurementRefused: Its steps are coarser than ``finest_ms``.
    """
    steps = []
    for _ in range(100):
        began = clock()
        while (now := clock()) == began:
            pass
        steps.append(now - began)
    if min(steps) > finest_ms:
        raise MeasurementRefused(f"the clock ticks every {min(steps):.3f} ms only")


def _began_ms(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    try:
        session.send("Performance.enable")
        metrics = session.send("Performance.getMetrics")["metrics"]
    finally:
        session.detach()
    return float(1000 * next(m["value"] for m in metrics if m["name"] == "NavigationStart"))
