"""Starts one worker only to see how far this machine lets it lock itself in."""

from dataclasses import replace

from mediasrv.processing.config import ProcessingConfig
from mediasrv.processing.confinement import Confinement, SandboxLevel
from mediasrv.processing.worker_process import WorkerProcess


async def try_confinement(config: ProcessingConfig) -> Confinement:
    """Start a worker, take its word, end it; about a second.

    Raises:
        WorkerStartFailed: It did not get as far as locking itself in.
    """
    worker = WorkerProcess(replace(config, sandbox=SandboxLevel.BEST_EFFORT))
    try:
        await worker.wait_ready()
        return worker.confinement
    finally:
        await worker.close()
