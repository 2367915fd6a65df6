"""Keeps warm worker processes ready, and knows how many streams may be filtered at once."""

import asyncio
import logging
from collections import deque

from mediasrv.processing.config import ProcessingConfig
from mediasrv.processing.errors import WorkersExhausted, WorkerStartFailed
from mediasrv.processing.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

# Pause before a spare is started again after one died or did not start.
FAILURE_PAUSE_S = 5.0


class SpareWorkers:
    """The only place where workers are started and the last that lets go of them.

    Starts nothing until :meth:`warm` or :meth:`take` is called for the first time; from then on
    keeps ``config.spares`` ready workers. A stream holds one admission for its whole life,
    however many workers it uses up.
    """

    def __init__(self, config: ProcessingConfig) -> None:
        self._config = config
        self._admitted = 0
        self._ready: deque[WorkerProcess] = deque()
        self._taken: set[WorkerProcess] = set()
        self._waiters: deque[asyncio.Future[WorkerProcess]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._replenishing: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def admitted(self) -> int:
        """Streams that hold an admission."""
        return self._admitted

    @property
    def ready(self) -> int:
        """Workers that wait for a stream."""
        return len(self._ready)

    def warm(self) -> None:
        """Start the spares now, so that the first stream finds one."""
        self._start_missing()

    def admit(self) -> None:
        """Admit one more stream; give it back with :meth:`dismiss`.

        Raises:
            WorkersExhausted: ``max_workers`` streams are being filtered, or we are closed.
        """
        if self._is_closed or self._admitted >= self._config.max_workers:
            raise WorkersExhausted(
                f"{self._admitted} of {self._config.max_workers} filtered streams are running"
            )
        self._admitted += 1

    def dismiss(self) -> None:
        """Give one admission back."""
        self._admitted -= 1

    async def take(self) -> WorkerProcess:
        """Take a ready worker, waiting for one to start if there is none.

        The caller owns it and gives it back to :meth:`retire`.

        Raises:
            WorkerStartFailed: It did not start, or we are closed.
        """
        if self._is_closed:
            raise WorkerStartFailed("the workers are closed")
        if self._ready:
            worker = self._ready.popleft()
            self._note_taken(worker)
            return worker
        waiter: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        # A spare that is about to be ready is as good as a new one and comes sooner.
        for _ in range(len(self._waiters) - len(self._starting)):
            self._start_one()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._forget(waiter)
            raise

    def retire(self, worker: WorkerProcess) -> asyncio.Task[None]:
        """End a worker; the task is ours, wait for it with ``asyncio.wait`` or not at all."""
        worker.on_lost = None
        worker.detach()
        self._taken.discard(worker)
        task = asyncio.create_task(worker.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def close(self) -> None:
        """End all workers, also those of streams that nobody closed."""
        self._is_closed = True
        if self._replenishing is not None:
            self._replenishing.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(WorkerStartFailed("the workers are closed"))
        self._waiters.clear()
        for worker in (*self._ready, *self._taken):
            self.retire(worker)
        self._ready.clear()
        for task in self._starting:
            task.cancel()
        while tasks := self._starting | self._ending:
            await asyncio.wait(tasks)

    def _start_missing(self) -> None:
        if self._is_closed:
            return
        if self._replenishing is not None:
            self._replenishing.cancel()
            self._replenishing = None
        wanted = len(self._waiters) + self._config.spares
        for _ in range(wanted - len(self._ready) - len(self._starting)):
            self._start_one()

    def _start_one(self) -> None:
        task = asyncio.create_task(self._bring_up())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _bring_up(self) -> None:
        try:
            worker = await self._launch()
        except WorkerStartFailed as exc:
            self._note_arrival()
            self._note_failure(exc)
        else:
            self._note_arrival()
            self._hand_out(worker)

    async def _launch(self) -> WorkerProcess:
        worker = WorkerProcess(self._config)
        try:
            await worker.wait_ready()
        except (WorkerStartFailed, asyncio.CancelledError):
            self.retire(worker)
            raise
        return worker

    def _note_arrival(self) -> None:
        """Count the current task's worker as no longer on its way, although the task still runs."""
        self._starting -= {asyncio.current_task()}

    def _hand_out(self, worker: WorkerProcess) -> None:
        """Give a ready worker to who waits longest, or keep it as a spare."""
        self._taken.discard(worker)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._note_taken(worker)
                waiter.set_result(worker)
                return
        if self._is_closed or len(self._ready) >= self._config.spares:
            self.retire(worker)
            return
        worker.on_lost = lambda: self._note_dead_spare(worker)
        self._ready.append(worker)

    def _note_taken(self, worker: WorkerProcess) -> None:
        worker.on_lost = None
        self._taken.add(worker)
        self._replenish_after(self._config.spare_delay_s)

    def _note_failure(self, failure: WorkerStartFailed) -> None:
        logger.warning("%s", failure)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(failure)
                return
        self._replenish_after(FAILURE_PAUSE_S)

    def _note_dead_spare(self, worker: WorkerProcess) -> None:
        logger.warning("spare worker %d ended by itself", worker.pid)
        self._ready.remove(worker)
        self.retire(worker)
        self._replenish_after(FAILURE_PAUSE_S)

    def _forget(self, waiter: asyncio.Future[WorkerProcess]) -> None:
        """Undo a wait that was cancelled, perhaps in the very moment of its success."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            self._hand_out(waiter.result())

    def _replenish_after(self, delay_s: float) -> None:
        if self._is_closed:
            return
        loop = asyncio.get_running_loop()
        if self._replenishing is not None:
            if self._replenishing.when() <= loop.time() + delay_s:
                return
            self._replenishing.cancel()
        self._replenishing = loop.call_later(delay_s, self._start_missing)
