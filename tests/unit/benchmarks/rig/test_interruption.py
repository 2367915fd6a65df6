import asyncio
import signal

import pytest

from benchmarks.rig.interruption import interruptible, run_async


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_coroutine_is_cancelled_and_can_clean_up(number):
    cleaned = []

    async def measure() -> None:
        try:
            asyncio.get_running_loop().call_soon(signal.raise_signal, number)
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with interruptible(), pytest.raises(KeyboardInterrupt):
        run_async(measure())
    assert cleaned == [True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_known_outside_of_a_loop(number):
    with interruptible() as interrupted:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert interrupted.is_set()


def test_the_handlers_before_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruptible():
        inside = signal.getsignal(signal.SIGINT)
        run_async(asyncio.sleep(0))
        assert signal.getsignal(signal.SIGINT) is inside
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
