"""Whose CPU time a window took: the host's browser, the viewer's, the server, its workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import psutil
from playwright.sync_api import Browser

from benchmarks.rig.live_server import RunningServer

HOST, VIEWER, SERVER, WORKERS, OTHERS = "host browser", "viewer browser", "server", "worker", "rest"


@dataclass(frozen=True, slots=True)
class CpuReading:
    """CPU seconds by whose they are, since they began.

    Attributes:
        at_s: When, CLOCK_MONOTONIC.
        spent_s: By name; ``rest`` is everything else on the machine and what was stolen from it.
    """

    at_s: float
    spent_s: Mapping[str, float]


def read_cpu(hosts: Browser, viewers: Browser, server: RunningServer | None) -> CpuReading:
    """Read the CPU time of everybody who takes part."""
    spent_s = {HOST: _browser_s(hosts), VIEWER: _browser_s(viewers)}
    if server is not None:
        spent_s[SERVER] = server.cpu_s()
        spent_s[WORKERS] = sum(_process_s(worker) for worker in server.workers())
    machine = psutil.cpu_times()
    busy_s = sum(machine) - machine.idle - getattr(machine, "iowait", 0.0)
    busy_s -= getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0)
    spent_s[OTHERS] = busy_s - sum(spent_s.values())
    return CpuReading(monotonic(), spent_s)


def cores_taken(before: CpuReading, after: CpuReading) -> dict[str, float]:
    """Return how many cores each took on average."""
    elapsed_s = after.at_s - before.at_s
    return {
        name: round((after.spent_s[name] - before.spent_s[name]) / elapsed_s, 2)
        for name in before.spent_s
    }


def browsers_share(cores: Mapping[str, float]) -> float:
    """Return which part of what was used was the browsers'."""
    used = sum(cores.values())
    return (cores.get(HOST, 0.0) + cores.get(VIEWER, 0.0)) / used if used > 0 else 0.0


def _browser_s(browser: Browser) -> float:
    session = browser.new_browser_cdp_session()
    try:
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    finally:
        session.detach()
    return float(sum(process["cpuTime"] for process in processes))


def _process_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
