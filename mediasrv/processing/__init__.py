"""Beauty workers: decode, filter and encode a host's video in a process of its own.

The server uses the names below. They are imported when first asked for, because the worker
process passes through this package too and needs neither asyncio nor logging.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediasrv.processing.config import ProcessingConfig
    from mediasrv.processing.confinement import SandboxLevel
    from mediasrv.processing.errors import ProcessingError, WorkersExhausted
    from mediasrv.processing.spares import SpareWorkers
    from mediasrv.processing.stream import BeautyStream
    from mediasrv.processing.supervision import FilterState, WorkerLoss

__all__ = [
    "BeautyStream",
    "FilterState",
    "ProcessingConfig",
    "ProcessingError",
    "SandboxLevel",
    "SpareWorkers",
    "WorkerLoss",
    "WorkersExhausted",
]

_HOMES = {
    "BeautyStream": "stream",
    "FilterState": "supervision",
    "ProcessingConfig": "config",
    "ProcessingError": "errors",
    "SandboxLevel": "confinement",
    "SpareWorkers": "spares",
    "WorkerLoss": "supervision",
    "WorkersExhausted": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
