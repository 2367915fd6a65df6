"""How a long-running command ends: its time is up, its work fails, or somebody says stop."""

import asyncio
import signal
from collections.abc import Coroutine


async def until_stopped(*work: Coroutine[None, None, None]) -> None:
    """Run all of ``work`` until one ends, one fails, or SIGINT or SIGTERM comes.

    A signal is an ordinary end here, so the caller can still report and say goodbye.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stopped.set)
    tasks = [asyncio.create_task(part) for part in work]
    waiting = asyncio.create_task(stopped.wait())
    try:
        done, _ = await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        for task in (*tasks, waiting):
            task.cancel()
        await asyncio.gather(*tasks, waiting, return_exceptions=True)
