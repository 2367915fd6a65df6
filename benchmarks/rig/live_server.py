"""A real server in its own process, for benchmarks and for tests that need one."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil

from benchmarks.rig.exposition import read_counter

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 5.0

_LAUNCH = """
import importlib, json, sys
from mediasrv.app import serve
from mediasrv.config import ServerConfig
for preparation in sys.argv[2:]:
    function, argument = preparation.split("=", 1)
    module, name = function.split(":")
    getattr(importlib.import_module(module), name)(argument)
serve(ServerConfig(**json.loads(sys.argv[1])))
"""


@dataclass
class RunningServer:
    """A server that answers.

    Attributes:
        url: Of its lobby.
        process: Of the server.
        log: What it has printed so far, by line.
    """

    process: subprocess.Popen[str]
    url: str = ""
    log: list[str] = field(default_factory=list)

    def workers(self) -> list[psutil.Process]:
        """The beauty worker processes, spares included, oldest first."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        workers = [c for c in children if "mediasrv.processing.worker" in " ".join(_command(c))]
        return sorted(workers, key=lambda child: child.create_time())

    def cpu_s(self) -> float:
        """CPU time of the server process itself, without its workers."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def counter(self, name: str) -> float:
        """The sum over all rooms of a counter that ``/metrics`` has as ``mediasrv_NAME_total``."""
        with urllib.request.urlopen(  # noqa: S310 (our own server)
            f"{self.url}/metrics", timeout=ANSWER_TIMEOUT_S
        ) as page:
            return read_counter(page.read().decode(), f"mediasrv_{name}_total")

    def rss_bytes(self) -> int:
        """Resident memory of the server process itself."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


@contextmanager
def running_server(*preparations: str, **settings: object) -> Iterator[RunningServer]:
    """Start a server on free ports; it has ended, with all its children, afterwards.

    Args:
        preparations: What its process calls first, each ``module:function=argument``.
        settings: Fields of ServerConfig.
    """
    config = {"port": 0, "udp_port": 0, **settings}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", _LAUNCH, json.dumps(config), *preparations],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A terminal's Ctrl-C is for us, who end the server in our own time.
        process_group=0,
    )
    server, listening = RunningServer(process), Event()
    reader = Thread(target=_read_log, args=(server, listening), daemon=True)
    reader.start()
    try:
        if not listening.wait(START_TIMEOUT_S) or not server.url:
            raise AssertionError("the server did not start:\n" + "\n".join(server.log))
        yield server
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(STOP_TIMEOUT_S)
        _, left = psutil.wait_procs(children, timeout=STOP_TIMEOUT_S)
    assert not left, f"the server left processes behind: {left}"


def _read_log(server: RunningServer, listening: Event) -> None:
    assert server.process.stdout is not None
    with server.process.stdout as lines:
        for line in lines:
            server.log.append(line.rstrip())
            if found := re.search(r"Lobby:\s+(http://\S+)/", line):
                server.url = found.group(1)
                listening.set()
    listening.set()
