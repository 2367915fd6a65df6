"""How long a viewer's picture stands still when the filter is switched and when its worker dies.

A host in one Chromium, a viewer in another that notes when each frame came on its screen.
"""

import argparse
import os
import signal
from pathlib import Path

from benchmarks.rig.browsers import HostPage, ViewerPage, longest_gap_ms, two_browsers
from benchmarks.rig.live_server import RunningServer, running_server

SETTLE_S = 5.0
# From one switch to the next.
SECONDS = 2.0
FREEZE_LIMIT_MS = 500.0
BACK_LIMIT_MS = 2000.0
AFTER_KILL_S = 6.0
# Frames before an event, so that a gap that begins with it has a beginning.
BEFORE_S = 0.3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--toggles", type=int, default=10, help="switches, one every --seconds")
    parser.add_argument("--kills", type=int, default=5, help="workers to kill, one every 6 s")
    parser.add_argument("--clip", type=Path, help="the host's camera; default: a test pattern")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print, return it."""
    with running_server() as server, two_browsers(options.clip) as (hosts, viewers):
        host = HostPage(hosts, server.url, "interruptions")
        host.go_live()
        viewer = ViewerPage(viewers, server.url, "interruptions")
        viewer.until_playing()
        viewer.wait(SETTLE_S)
        viewer.record()
        still_ms = _gap_of(viewer, SETTLE_S)
        print(f"longest gap undisturbed        {still_ms:6.0f} ms", flush=True)
        toggles_ms = []
        for _ in range(options.toggles):
            viewer.wait(BEFORE_S)
            host.toggle_beauty()
            toggles_ms.append(_gap_of(viewer, options.seconds - BEFORE_S))
            print(f"longest gap after a toggle     {toggles_ms[-1]:6.0f} ms", flush=True)
        if options.toggles % 2 == 0:
            host.toggle_beauty()
        host.until_filter("on")
        viewer.wait(SETTLE_S)
        viewer.recorded()
        kills_ms = [_kill(server, viewer) for _ in range(options.kills)]
        host.close()
        viewer.close()
    for what, gaps_ms, limit_ms in (
        ("toggle", toggles_ms, FREEZE_LIMIT_MS),
        ("killed worker", kills_ms, BACK_LIMIT_MS),
    ):
        if gaps_ms:
            verdict = "kept" if max(gaps_ms) <= limit_ms else "BROKEN"
            print(f"longest of all, {what}: {max(gaps_ms):.0f} of {limit_ms:.0f} ms, {verdict}")
    return {"undisturbed_ms": still_ms, "toggles_ms": toggles_ms, "kills_ms": kills_ms}


def _gap_of(viewer: ViewerPage, seconds: float) -> float:
    """Return the longest time between two frames of the next ``seconds``."""
    viewer.wait(seconds)
    return longest_gap_ms(viewer.recorded())


def _kill(server: RunningServer, viewer: ViewerPage) -> float:
    viewer.wait(BEFORE_S)
    os.kill(server.workers()[0].pid, signal.SIGKILL)
    gap_ms = _gap_of(viewer, AFTER_KILL_S)
    print(f"longest gap after a kill       {gap_ms:6.0f} ms", flush=True)
    return gap_ms
