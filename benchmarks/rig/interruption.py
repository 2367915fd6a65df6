"""Ctrl-C and SIGTERM in a measurement: what it started ends, and what fails after is no fault."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def interruptible() -> Iterator[Event]:
    """Tell whether Ctrl-C or SIGTERM came; both end the servers and browsers that were started.

    A terminal's Ctrl-C goes to browsers and load processes as well, and what is met first may be
    that one of them has ended: so whatever fails after it is no fault.
    """
    interrupted = Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    def end(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.raise_signal(signal.SIGINT)

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, end),
    }
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of its own; Ctrl-C and SIGTERM cancel it.

    As asyncio.run does, which leaves a handler of SIGINT alone that it does not know. An exception
    out of ours would hit whatever callback is at work, and what waits for that would wait for ever.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return asyncio.run(main)
    finally:
        signal.signal(signal.SIGINT, before)
