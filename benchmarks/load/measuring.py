"""One measurement: a server, a publisher, so many viewers, a window of time."""

import multiprocessing
import os
import resource
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from benchmarks.load.crowd import CrowdResult, Way, run_crowd
from benchmarks.load.pacing import VIDEO_TYPE, SentLog
from benchmarks.load.publisher import run_publisher
from benchmarks.load.recording import arrival_ms, count
from benchmarks.load.stream import Stream
from benchmarks.load.subject import Subject, cpu_s
from benchmarks.rig import exposition
from mediasrv.transport.addresses import usable_local_addresses

FORWARD_DELAY = "mediasrv_forward_delay_seconds"
LIVE_TIMEOUT_S = 30.0
# Silence of a crowd that is joining; it tells its progress every few seconds.
PROGRESS_TIMEOUT_S = 60.0
# After the last viewer has joined: replayed pictures and keyframes for joiners are over.
SETTLE_S = 2.0
END_TIMEOUT_S = 20.0
METRICS_TIMEOUT_S = 5.0
# Beyond this the load itself could be what is slow.
LOAD_SHARE_MAX = 0.9
WIDE = Way()


class MeasurementFailed(Exception):
    """The viewers did not all get in, or a part of the load ended early."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core is whose."""

    server: int
    load: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that is read at the beginning and at the end of the window.

    Attributes:
        at_ns: When, on the realtime clock.
        server_s: CPU time of the server.
        load_s: CPU time of the load.
        busy_s: What each core did, whoever for.
        forward: The server's own histogram of delays.
        stolen_s: What the hypervisor took of each core.
    """

    at_ns: int
    server_s: float
    load_s: float
    busy_s: dict[int, float]
    forward: dict[float, float]
    stolen_s: dict[int, float] = field(default_factory=dict)


class Load:
    """A publisher and a crowd at a server, as long as the context is open.

    Args:
        subject: The server.
        stream: What is published.
        cores: Where the load runs.
        address: Of this machine, where the load's sockets are bound.
    """

    def __init__(self, subject: Subject, stream: Stream, cores: Cores, address: str) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._subject = subject
        self._stream = stream
        self._cores = cores
        self._address = address
        self._processes: dict[Connection, BaseProcess] = {}
        self._is_measured = False

    @contextmanager
    def opened(self) -> Iterator["Load"]:
        """Start the publisher; afterwards every process of the load has ended."""
        try:
            self._publisher = self.start(
                run_publisher, self._subject.target, self._stream, self._cores.load, self._address
            )
            self.receive(self._publisher, LIVE_TIMEOUT_S, "the publisher")
            yield self
        finally:
            for process in reversed(self._processes.values()):
                if process.pid is not None and process.is_alive():
                    os.kill(process.pid, signal.SIGCONT)
                # After a failure nobody told them to end.
                process.join(END_TIMEOUT_S if self._is_measured else 0)
                process.terminate()
                process.join(END_TIMEOUT_S)

    def start(self, run: Callable[..., None], *arguments: object) -> Connection:
        """Start one more process of the load: ``run`` with a pipe and ``arguments``."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=run, args=(theirs, *arguments), daemon=True)
        process.start()
        theirs.close()  # so that its end is noticed here
        self._processes[ours] = process
        return ours

    def signal(self, pipe: Connection, number: signal.Signals) -> None:
        """Stop or continue the process at the other end of ``pipe``."""
        pid = self._processes[pipe].pid
        assert pid is not None
        os.kill(pid, number)

    def receive(self, pipe: Connection, timeout_s: float, who: str) -> Any:
        """Wait for what a process of the load says.

        Raises:
            MeasurementFailed: It says nothing, or has ended.
        """
        try:
            if pipe.poll(timeout_s):
                return pipe.recv()
        except (EOFError, ConnectionError) as exc:
            raise MeasurementFailed(f"{who} ended early") from exc
        raise MeasurementFailed(f"{who}: nothing heard for {timeout_s:.0f} s")

    def join(
        self, viewers: int, tell: Callable[[str], None], *, gro: bool, way: Way = WIDE
    ) -> Connection:
        """Let all viewers of a crowd join; ``gro``: they take trains of datagrams.

        Raises:
            MeasurementFailed: Not all of them got media.
        """
        crowd = self.start(
            run_crowd, self._subject.signalling, viewers, self._cores.load, self._address, gro, way
        )
        while True:
            what, value = self.receive(crowd, PROGRESS_TIMEOUT_S, "the viewers")
            if what == "failed":
                raise MeasurementFailed(value)
            if what == "ready":
                return crowd
            tell(f"{value} of {viewers} viewers have joined")

    def measure(
        self, crowd: Connection, wait: Callable[[], None]
    ) -> tuple[Reading, Reading, CrowdResult, SentLog]:
        """Open the window, let ``wait`` pass in it, close it, collect what was noted."""
        time.sleep(SETTLE_S)
        crowd.send("begin")
        time.sleep(0.2)  # the crowd has begun for certain; what came before is cut off by time
        before = self.read()
        wait()
        after = self.read()
        crowd.send("end")
        result: CrowdResult = self.receive(crowd, PROGRESS_TIMEOUT_S, "the viewers")
        return before, after, result, self.finish()

    def finish(self) -> SentLog:
        """End the publisher; returns what it sent and was asked for."""
        self._publisher.send("end")
        log: SentLog = self.receive(self._publisher, PROGRESS_TIMEOUT_S, "the publisher")
        self._is_measured = True
        return log

    def read(self) -> Reading:
        """Read all clocks and counters."""
        forward = _scrape(self._subject.metrics_url)
        busy = psutil.cpu_times(percpu=True)
        return Reading(
            time.time_ns(),
            self._subject.cpu_s(),
            sum(cpu_s(p.pid) for p in self._processes.values() if p.pid),
            {n: float(t.user + t.nice + t.system + t.softirq + t.irq) for n, t in enumerate(busy)},
            forward,
            {n: float(getattr(t, "steal", 0.0)) for n, t in enumerate(busy)},
        )


def _scrape(url: str | None) -> dict[float, float]:
    """Read the server's own histogram; empty where there is none."""
    if url is None:
        return {}
    try:
        with urllib.request.urlopen(url, timeout=METRICS_TIMEOUT_S) as page:  # noqa: S310 (ours)
            text = page.read().decode()
    except (urllib.error.URLError, TimeoutError):
        return {}
    return exposition.read_histogram(text, FORWARD_DELAY)


def allow_sockets() -> None:
    """Raise the soft limit of open files: servers and viewers need one or two per viewer."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def local_address() -> str:
    """Choose one that every server can be met at: Janus and Firefox ignore loopback."""
    found = [address for address in usable_local_addresses() if ":" not in address]
    return found[0]


def measure(
    subject: Subject,
    stream: Stream,
    viewers: int,
    seconds: float,
    cores: Cores,
    address: str,
    *,
    gro: bool,
    tell: Callable[[str], None],
) -> dict[str, object]:
    """Measure one server with one number of viewers.

    Returns:
        The row, ready for JSON; with ``failed`` or ``refused`` instead of figures when there are
        none that can be trusted.
    """
    try:
        with Load(subject, stream, cores, address).opened() as load:
            time.sleep(SETTLE_S)
            empty_kib = subject.rss_kib()
            joined = load.join(viewers, tell, gro=gro)
            before, after, crowd, log = load.measure(joined, lambda: time.sleep(seconds))
            rss_kib = subject.rss_kib() - empty_kib
    except MeasurementFailed as exc:
        return {"server": subject.name, "viewers": viewers, "failed": str(exc)}
    if not subject.keeps_timestamps:
        log.frames = []
    row = summarize(before, after, crowd, log, viewers, cores)
    return {"server": subject.name, **row, "rss_per_viewer_kib": round(rss_kib / viewers, 1)}


def summarize(
    before: Reading, after: Reading, crowd: CrowdResult, log: SentLog, viewers: int, cores: Cores
) -> dict[str, object]:
    """Turn readings and recordings into a row."""
    window_ns = (before.at_ns, after.at_ns)
    elapsed_s = (after.at_ns - before.at_ns) / 1e9
    counted = count(crowd.recording, window_ns, VIDEO_TYPE)
    used_s = after.server_s - before.server_s
    load = {
        "core_share": round((after.load_s - before.load_s) / elapsed_s, 3),
        "drops": crowd.drops,
        "reads_per_s": round(counted.reads / elapsed_s),
        "publisher_late_ms": round(log.late_us_max / 1000, 2),
    }
    row: dict[str, object] = {"viewers": viewers, "load": load}
    reason = distrust(float(load["core_share"]), crowd, counted.packets)
    if reason is not None:
        return {**row, "refused": reason}
    arrival = arrival_ms(crowd.recording, window_ns, VIDEO_TYPE, log.frames)
    inside = _inside_ms(exposition.since(before.forward, after.forward))
    return {
        **row,
        "seconds": round(elapsed_s, 2),
        "cpu_us_per_packet": round(1e6 * used_s / counted.packets, 3),
        "packets_per_s": round(counted.packets / elapsed_s),
        "server_core_share": round(used_s / elapsed_s, 4),
        "viewers_per_core": round(viewers * elapsed_s / used_s),
        "forward_ms": inside or arrival.get("last", {}),
        "forward_source": "server histogram" if inside else "arrival at the last viewer",
        "arrival_ms": arrival,
        "loss": round(counted.loss, 6),
        "viewers_watching": counted.viewers,
        "srtp": crowd.profiles,
        "decrypted_sample": crowd.decrypted,
        "stolen_share": stolen(before, after, cores),
        "neighbours_share": {
            "server_core": _neighbours(before, after, cores.server, used_s, elapsed_s),
            "load_core": _neighbours(
                before, after, cores.load, after.load_s - before.load_s, elapsed_s
            ),
        },
    }


def distrust(load_share: float, crowd: CrowdResult, packets: int) -> str | None:
    """Say why figures must not be shown; None when the load was not what limited them."""
    if load_share > LOAD_SHARE_MAX:
        return f"the load used {100 * load_share:.0f} % of its core"
    if crowd.drops:
        return f"the load's own sockets were full {crowd.drops} times"
    if crowd.forged or not crowd.decrypted:
        return f"{crowd.forged} packets of the sample viewer could not be decrypted"
    if not packets:
        return "no packet arrived"
    return None


def _inside_ms(buckets: dict[float, float]) -> dict[str, float]:
    named = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {name: exposition.quantile(buckets, share) for name, share in named.items()}
    return {name: round(1000 * s, 3) for name, s in found.items() if s is not None}


def stolen(before: Reading, after: Reading, cores: Cores) -> dict[str, float]:
    """Return the share of each core that the hypervisor gave to somebody else."""
    elapsed_s = (after.at_ns - before.at_ns) / 1e9
    return {
        name: round((after.stolen_s.get(core, 0) - before.stolen_s.get(core, 0)) / elapsed_s, 3)
        for name, core in (("server_core", cores.server), ("load_core", cores.load))
    }


def _neighbours(
    before: Reading, after: Reading, core: int, own_s: float, elapsed_s: float
) -> float:
    """Share of a core that somebody else used: what makes delays of this run doubtful."""
    return round(max(0.0, after.busy_s[core] - before.busy_s[core] - own_s) / elapsed_s, 3)
