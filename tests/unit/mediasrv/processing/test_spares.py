import asyncio
import dataclasses
import os
import signal

import psutil
import pytest

from mediasrv.processing.errors import WorkersExhausted, WorkerStartFailed
from mediasrv.processing.spares import SpareWorkers

TIMEOUT_S = 10.0


@pytest.fixture
async def open_spares(config):
    opened = []

    def open_spares(**changes):
        spares = SpareWorkers(dataclasses.replace(config, **{"spare_delay_s": 0.0, **changes}))
        opened.append(spares)
        return spares

    yield open_spares
    for spares in opened:
        await spares.close()
    assert worker_count() == 0


def worker_count():
    return sum(is_worker(child) for child in psutil.Process().children())


def is_worker(process):
    try:
        return "mediasrv.processing.worker" in " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return True  # not reaped yet
    except psutil.NoSuchProcess:
        return False


async def wait_until(condition):
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - it looks at processes, nobody sets an event
            await asyncio.sleep(0.005)


async def test_nothing_is_started_before_somebody_asks(open_spares):
    spares = open_spares()
    await asyncio.sleep(0)
    assert worker_count() == 0
    assert spares.ready == 0


async def test_once_warm_a_worker_is_there_at_once_and_replaced(open_spares):
    spares = open_spares()
    spares.warm()
    await wait_until(lambda: spares.ready == 1)
    (child,) = psutil.Process().children()
    worker = await spares.take()
    assert worker.pid == child.pid
    await wait_until(lambda: spares.ready == 1)
    await spares.retire(worker)
    assert not psutil.pid_exists(worker.pid)


async def test_a_taken_spare_is_replaced_only_after_the_pause(open_spares):
    spares = open_spares(spare_delay_s=60.0)
    spares.warm()
    await wait_until(lambda: spares.ready == 1)
    worker = await spares.take()
    assert worker_count() == 1
    await spares.retire(worker)


async def test_without_a_spare_the_next_one_to_be_ready_is_taken(open_spares):
    spares = open_spares(spare_delay_s=60.0)
    spares.warm()
    first = await spares.take()  # the one that is starting already
    assert worker_count() == 1
    second = await asyncio.wait_for(spares.take(), TIMEOUT_S)
    assert first.pid != second.pid
    spares.retire(first)
    spares.retire(second)


async def test_without_spares_workers_are_started_on_demand(open_spares):
    spares = open_spares(spares=0)
    worker = await spares.take()
    assert worker_count() == 1
    await spares.retire(worker)


async def test_whoever_asked_first_is_served_first(open_spares):
    spares = open_spares(spares=0)
    order = []

    async def take(name):
        spares.retire(await spares.take())
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(take(name))
    assert order == ["a", "b", "c"]


async def test_a_spare_that_dies_is_not_handed_out(open_spares):
    spares = open_spares()
    spares.warm()
    await wait_until(lambda: spares.ready == 1)
    (child,) = psutil.Process().children()
    os.kill(child.pid, signal.SIGKILL)
    await wait_until(lambda: spares.ready == 0)
    worker = await spares.take()
    assert worker.pid != child.pid
    await spares.retire(worker)


async def test_a_failed_start_is_told_to_who_waits(open_spares):
    spares = open_spares(pipeline="stand_in_pipeline:open_missing")
    with pytest.raises(WorkerStartFailed):
        await asyncio.wait_for(spares.take(), TIMEOUT_S)


async def test_a_failed_spare_is_not_tried_again_at_once(open_spares, caplog):
    spares = open_spares(pipeline="stand_in_pipeline:open_missing")
    spares.warm()
    await wait_until(lambda: "did not become ready" in caplog.text)
    await wait_until(lambda: worker_count() == 0)
    assert caplog.text.count("did not become ready") == 1


async def test_who_stops_waiting_leaves_no_worker_behind(open_spares):
    spares = open_spares(spares=0)
    task = asyncio.create_task(spares.take())
    await wait_until(lambda: worker_count() == 1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await wait_until(lambda: worker_count() == 0)


async def test_closing_ends_ready_starting_and_taken_workers(open_spares):
    spares = open_spares(spares=2)
    taken = await spares.take()
    spares.warm()
    assert taken.loss is None
    await spares.close()
    assert worker_count() == 0
    with pytest.raises(WorkerStartFailed):
        await spares.take()
    with pytest.raises(WorkersExhausted):
        spares.admit()
    await spares.close()


async def test_closing_tells_those_who_wait(open_spares):
    spares = open_spares()
    task = asyncio.create_task(spares.take())
    await asyncio.sleep(0)
    await spares.close()
    with pytest.raises(WorkerStartFailed):
        await task


async def test_no_more_streams_are_admitted_than_configured(open_spares):
    spares = open_spares(max_workers=2)
    spares.admit()
    spares.admit()
    with pytest.raises(WorkersExhausted, match="2 of 2"):
        spares.admit()
    spares.dismiss()
    spares.admit()
    assert spares.admitted == 2
