"""A server under test, as the benchmark sees it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.load.signalling import OurSignalling, Publishing, Signalling
from benchmarks.rig.live_server import running_server

# linux/time.h: the CPU-time clock of another process, with all its threads, in nanoseconds.
_CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True)
class PlainTarget:
    """Where a server takes plain RTP.

    Attributes:
        host: Address.
        ports: By kind.
    """

    host: str
    ports: dict[str, int]


@dataclass(frozen=True, slots=True)
class Subject:
    """A running server.

    Attributes:
        name: For tables.
        pid: Of the process that forwards.
        signalling: How viewers come.
        target: Where the publisher goes.
        metrics_url: Where it shows its own figures, None where it has none.
        keeps_timestamps: Whether a frame can be told by its timestamp; not after new encoding.
    """

    name: str
    pid: int
    signalling: Signalling
    target: Publishing | PlainTarget
    metrics_url: str | None = None
    keeps_timestamps: bool = True

    def cpu_s(self) -> float:
        """CPU time of the process, user and system, children not counted."""
        return cpu_s(self.pid)

    def rss_kib(self) -> float:
        """Resident memory of the process."""
        return float(psutil.Process(self.pid).memory_info().rss) / 1024


def cpu_s(pid: int) -> float:
    """CPU time of a process of this machine, all its threads, user and system."""
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) / 1e9


# Of the whole session's scheduling group; with autogroups, niceness counts only within a session.
PRECEDENCE = -10
_AUTOGROUP = Path("/proc/self/autogroup")


@contextmanager
def precedence() -> Iterator[None]:
    """Let this session and all it starts run before others of the machine, where that is allowed.

    Raises:
        PermissionError: Only root may.
    """
    before = _AUTOGROUP.read_text().split()[-1]
    _AUTOGROUP.write_text(str(PRECEDENCE))
    try:
        yield
    finally:
        _AUTOGROUP.write_text(before)


def settle(thread_id: int, core: int) -> None:
    """Keep a thread, and what it starts from now on, on one core."""
    os.sched_setaffinity(thread_id, {core})


def pin(pid: int, core: int) -> None:
    """Settle a process, all its threads and its children on one core; new ones inherit it."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in processes:
        for thread in process.threads():
            settle(thread.id, core)


@contextmanager
def our_server(core: int, address: str) -> Iterator[Subject]:
    """Start mediasrv on ``core``, without beauty workers."""
    del address  # all of them are served
    with running_server(filter_spares=0) as server:
        pin(server.process.pid, core)
        url = server.url
        signalling = OurSignalling(url)
        yield Subject("mediasrv", server.process.pid, signalling, signalling, f"{url}/metrics")
