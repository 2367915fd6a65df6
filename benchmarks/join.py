"""How long a viewer waits: from its offer to the first picture on the screen, and for what.

A host in one Chromium, viewers in another, one after the other; then, with ``--at-once``, so many
light viewers in the same moment, as in ``rush``. Measured in the viewer's page:
signalling ends with the server's answer, then come ICE, DTLS and the first packet, and the first
frame is told by requestVideoFrameCallback, so the keyframe, decoding and painting are in it.
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path

from benchmarks.load.measuring import Cores
from benchmarks.rig.browsers import HostPage, ViewerPage, two_browsers
from benchmarks.rig.live_server import running_server
from benchmarks.rig.machine import percentile
from benchmarks.rig.refusal import MeasurementRefused
from benchmarks.rush import arrive, print_row

SECONDS = 60.0
LIMIT_P95_MS = 300.0
_SCRIPT = Path(__file__).parent / "latency" / "scripts" / "joining.js"
METHOD = (
    "moments in the viewer's page: the offer, the answer set, the connection's states, the video "
    "track unmuted by its first packet, and the first frame in requestVideoFrameCallback"
)
# Each phase ends with this moment and begins with the one before.
PHASES = {
    "signalling": "answered",
    "ice": "ice",
    "dtls": "dtls",
    "first packet": "packet",
    "first frame": "frame",
}
_MOMENTS = """() => ({
  ...window.joining,
  offer: window.mediasrv.offerAtMs,
  frame: window.mediasrv.offerAtMs + window.mediasrv.firstFrameMs,
})"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument(
        "--joins", type=int, default=20, help="viewers at most, one after the other"
    )
    parser.add_argument(
        "--at-once", type=int, default=100, metavar="VIEWERS", help="then so many together; or 0"
    )
    parser.add_argument("--clip", type=Path, help="the host's camera; default: a test pattern")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two viewers")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print the distribution, return it."""
    first_frame_ms: list[float] = []
    from_click_ms: list[float] = []
    phases_ms: list[dict[str, float]] = []
    with running_server() as server, two_browsers(options.clip) as (hosts, viewers):
        host = HostPage(hosts, server.url, "join")
        host.go_live()
        host.wait(3)
        ends = time.monotonic() + options.seconds
        while len(first_frame_ms) < options.joins and time.monotonic() < ends:
            viewer = ViewerPage(viewers, server.url, "join", [_SCRIPT.read_text()])
            first_frame_ms.append(viewer.until_playing())
            from_click_ms.append(viewer.from_navigation_ms())
            phases_ms.append(phases_of(viewer.page.evaluate(_MOMENTS)))
            viewer.close()
            told = "  ".join(f"{name} {ms:.0f}" for name, ms in phases_ms[-1].items())
            print(
                f"join {len(first_frame_ms):3}  {first_frame_ms[-1]:7.1f} ms: {told}"
                f"  ({from_click_ms[-1]:.0f} ms with loading the page)",
                flush=True,
            )
            time.sleep(options.pause)
        host.close()
    if not first_frame_ms:
        raise MeasurementRefused(f"nobody joined within {options.seconds:g} s: more --seconds")
    result = _report(first_frame_ms, from_click_ms, phases_ms)
    if options.at_once:
        print(f"\n{options.at_once} viewers at once:")
        together = arrive(options.at_once, 0.0, Cores(0, 1))
        print_row(together)
        result["at_once"] = [together]
    return result


def phases_of(moments: dict[str, float]) -> dict[str, float]:
    """Return how long each phase took, in milliseconds.

    A phase whose end was not told, or was told after the next one's, takes no time of its own.
    """
    ends = [moments["offer"]]
    for moment in PHASES.values():
        ends.append(max(ends[-1], min(moments.get(moment, ends[-1]), moments["frame"])))
    return dict(zip(PHASES, (after - before for before, after in pairwise(ends)), strict=True))


def _report(
    first_frame_ms: list[float], from_click_ms: list[float], phases_ms: list[dict[str, float]]
) -> dict[str, object]:
    summary, from_click = _summary(first_frame_ms), _summary(from_click_ms)
    rows = [{"phase": name, **_summary([p[name] for p in phases_ms])} for name in PHASES]
    for row in rows:
        print(f"{row['phase']:14} p50 {row['p50']:6.1f}  p95 {row['p95']:6.1f} ms")
    print("from the offer   " + "  ".join(f"{name} {ms:.1f} ms" for name, ms in summary.items()))
    print("from navigation  " + "  ".join(f"{name} {ms:.1f} ms" for name, ms in from_click.items()))
    verdict = "kept" if summary["p95"] <= LIMIT_P95_MS else "BROKEN"
    print(f"limit of p95 from the offer: {LIMIT_P95_MS:.0f} ms, {verdict}")
    return {
        "first_frame_ms": summary,
        "from_navigation_ms": from_click,
        "phases": rows,
        "joins_ms": first_frame_ms,
        "limit_p95_ms": LIMIT_P95_MS,
    }


def _summary(values_ms: list[float]) -> dict[str, float]:
    return {f"p{int(p * 100)}": round(percentile(values_ms, p), 2) for p in (0.5, 0.95, 0.99)}
