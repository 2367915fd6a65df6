"""A real server with a real host, face and viewer, and everything that can be seen from outside."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mediasrv.client import HostClient, parse_source

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 40.0
STRACE = "/usr/bin/strace"
STARTED_CPU_S = 4.0  # a worker is ready after one
# Calls that name a file, open, change or send something, or start somebody.
WATCHED = (
    "%file,%network,%process,%ipc,memfd_create,memfd_secret,ftruncate,fallocate,pwrite64,pwritev,"
    "pwritev2,sendfile,splice,vmsplice,tee,copy_file_range,io_uring_setup,process_vm_readv,"
    "process_vm_writev,pidfd_open,pidfd_getfd,dup,dup2,dup3,ioctl"
)

_LAUNCH = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
exec(sys.argv[2])
from mediasrv.app import serve
from mediasrv.config import ServerConfig
serve(ServerConfig(**json.loads(sys.argv[1])), log_level="debug")
"""


@dataclass
class Server:
    """A server in its own directory, which is also its home and its place for temporary files."""

    process: subprocess.Popen[bytes]
    directory: Path
    log: Path
    url: str = ""
    viewers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def tree(self) -> set[int]:
        """Everybody who was started for this test and is still there."""
        return {child.pid for child in psutil.Process().children(recursive=True)}

    def workers(self) -> list[psutil.Process]:
        """Its workers, the one with the stream first: it has worked most."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if "mediasrv.processing.worker" in " ".join(child.cmdline()):
                    found.append((sum(child.cpu_times()[:2]), child))
            except psutil.Error:
                continue
        return [child for _, child in sorted(found, key=lambda each: -each[0])]

    def worker_pids(self) -> set[int]:
        return {worker.pid for worker in self.workers()}

    def streaming_pids(self) -> set[int]:
        """Workers that have worked for longer than starting takes."""
        return {each.pid for each in self.workers() if sum(each.cpu_times()[:2]) > STARTED_CPU_S}

    def log_bytes(self) -> bytes:
        return self.log.read_bytes()


async def until(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> float:
    """Wait for something that no event tells; returns how long it took."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() - began_s < timeout_s, "it never happened"
        await asyncio.sleep(0.01)
    return time.monotonic() - began_s


@asynccontextmanager
async def running_server(
    directory: Path, *, mutation: str = "", keeps_home: bool = False, **settings: object
) -> AsyncIterator[Server]:
    """Start a server that says everything it can say; ``mutation`` is run in it first."""
    home = directory / "home"
    home.mkdir(exist_ok=keeps_home)
    log = directory / "server.log"
    config = {"host": "127.0.0.1", "port": 0, "udp_port": 0, **settings}
    inherited = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        **dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(home)),
        **inherited,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-u", "-c", _LAUNCH, json.dumps(config), mutation],
            cwd=home,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(process, home, log)
    try:
        await until(lambda: b"Lobby:" in server.log_bytes() or process.poll() is not None)
        lobby = next(line for line in server.log_bytes().splitlines() if b"Lobby:" in line)
        server.url = lobby.split()[-1].decode().rstrip("/")
        yield server
    finally:
        for viewer in server.viewers:
            viewer.terminate()
            viewer.wait()
        process.terminate()
        await asyncio.to_thread(process.wait, 15)


@asynccontextmanager
async def hosting(server: Server, clip: Path, room: str = "proof") -> AsyncIterator[HostClient]:
    """Let a host publish a face with the filter on, and somebody watch it."""
    host = HostClient(server.url, room, parse_source(str(clip)), parameters={"smooth": 60})
    async with host:
        viewer = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-m", "mediasrv.cli", "view", "--url", server.url, "--room", room],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server.viewers.append(viewer)
        await host.until(lambda: host.filter is not None and host.filter.state == "on", TIMEOUT_S)
        yield host


@asynccontextmanager
async def hosting_elsewhere(server: Server, clip: Path, room: str) -> AsyncIterator[int]:
    """The same in a process of its own, whose id it gives once its filter is at work."""
    host = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [
            *(sys.executable, "-m", "mediasrv.cli", "host", "--url", server.url, "--room", room),
            *("--source", str(clip), "--params", '{"smooth": 60}'),
        ],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await until(lambda: len(server.streaming_pids()) == 2)
        yield host.pid
    finally:
        host.terminate()
        await asyncio.to_thread(host.wait)


async def watch_calls(server: Server, seconds: float) -> list[str]:
    """What the worker with the stream asks of the kernel, watched with strace."""
    # A file: a pipe that nobody reads would fill, and strace would hold the worker.
    seen = server.log.with_name("calls")
    process = await asyncio.create_subprocess_exec(
        *(STRACE, "-f", "-qq", "-o", str(seen), "-e", f"trace={WATCHED}", "-e", "signal=none"),
        *("-p", str(server.workers()[0].pid)),
    )
    await asyncio.sleep(seconds)
    process.terminate()
    await process.wait()
    return [line for line in seen.read_text("utf-8", "replace").splitlines() if "(" in line]


async def scan(*pids: int) -> dict[int, dict]:
    """Where the canary is, by process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.privacy.scan", *map(str, pids)),
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    answers = json.loads(await process.stdout.read())
    await process.wait()
    return {int(pid): answer for pid, answer in answers.items()}


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))
