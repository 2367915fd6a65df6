"""How long a viewer waits: from its offer to the first picture on the screen.

A host in one Chromium, viewers in another, one after the other. Measured in the viewer's page by
requestVideoFrameCallback, so negotiation, ICE, DTLS, the keyframe, decoding and painting are in it.
"""

import argparse
import time
from pathlib import Path

from benchmarks.browsers import HostPage, ViewerPage, two_browsers
from benchmarks.live_server import running_server
from benchmarks.machine import percentile

LIMIT_P95_MS = 300.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--joins", type=int, default=20, help="viewers, one after the other")
    parser.add_argument("--clip", type=Path, help="the host's camera; default: a test pattern")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two viewers")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print the distribution, return it."""
    first_frame_ms: list[float] = []
    from_click_ms: list[float] = []
    with running_server() as server, two_browsers(options.clip) as (hosts, viewers):
        host = HostPage(hosts, server.url, "join")
        host.go_live()
        host.wait(3)
        for i in range(options.joins):
            viewer = ViewerPage(viewers, server.url, "join")
            first_frame_ms.append(viewer.until_playing())
            from_click_ms.append(viewer.from_navigation_ms())
            viewer.close()
            print(
                f"join {i + 1:3}  {first_frame_ms[-1]:7.1f} ms"
                f"  ({from_click_ms[-1]:6.0f} ms with loading the page)",
                flush=True,
            )
            time.sleep(options.pause)
        host.close()
    summary, from_click = _summary(first_frame_ms), _summary(from_click_ms)
    print("from the offer   " + "  ".join(f"{name} {ms:.1f} ms" for name, ms in summary.items()))
    print("from navigation  " + "  ".join(f"{name} {ms:.1f} ms" for name, ms in from_click.items()))
    verdict = "kept" if summary["p95"] <= LIMIT_P95_MS else "BROKEN"
    print(f"limit of p95 from the offer: {LIMIT_P95_MS:.0f} ms, {verdict}")
    return {
        "first_frame_ms": summary,
        "from_navigation_ms": from_click,
        "joins_ms": first_frame_ms,
        "limit_p95_ms": LIMIT_P95_MS,
    }


def _summary(values_ms: list[float]) -> dict[str, float]:
    return {f"p{int(p * 100)}": percentile(values_ms, p) for p in (0.5, 0.95, 0.99)}
