"""What a viewer in Chromium sees behind a bad network, which is a real UDP proxy with a seed.

The host's own network stays perfect. A freeze is a time of 200 ms or more between two frames on the
viewer's screen. Browsers, proxy and server share this machine; look at the row "clean" first.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from benchmarks.glass import stage
from benchmarks.latency.grid import Grid, walk
from benchmarks.rig.browsers import HostPage, ViewerPage, two_browsers
from benchmarks.rig.impairment import Bursts, Conditions
from benchmarks.rig.impairment_proxy import ImpairmentProxy, Lane, impaired_server
from benchmarks.rig.lists import name_list
from benchmarks.rig.refusal import MeasurementRefused, require_host_rate

ROOM = "network"
SETTLE_S = 5.0
FREEZE_MS = 200.0
PER_MS = 30_000.0  # freezes are told per 30 s
BLACKOUT_S = 5.0
AFTER_BLACKOUT_S = 6.0

# 50 ms there and back, except where the delay is what matters.
NETWORKS: dict[str, Conditions] = {
    "clean": Conditions(),
    "loss 1 %": Conditions(loss=0.01, delay_s=0.025),
    "loss 5 %": Conditions(loss=0.05, delay_s=0.025),
    "loss 10 %": Conditions(loss=0.10, delay_s=0.025),
    "loss 20 %": Conditions(loss=0.20, delay_s=0.025),
    "bursts 5 %": Conditions(bursts=Bursts(0.05, 5), delay_s=0.025),
    "reorder 5 %": Conditions(reorder=0.05, delay_s=0.025),
    "twice 2 %": Conditions(duplicate=0.02, delay_s=0.025),
    "delay 150 ms": Conditions(delay_s=0.150),
    "jitter 50 ms": Conditions(delay_s=0.025, jitter_s=0.050),
    "everything": Conditions(
        loss=0.05, reorder=0.05, duplicate=0.02, delay_s=0.040, jitter_s=0.020
    ),
    "300 kb/s": Conditions(rate_bps=300_000, queue_bytes=20_000, delay_s=0.025),
    "blackout 5 s": Conditions(delay_s=0.025),
}

# Every frame on the screen, by the page's clock.
_NOTE_FRAMES = """() => {
  const video = document.querySelector("[data-testid=remote-video]");
  window.shownAt = [];
  const step = (now) => {
    window.shownAt.push(now);
    video.requestVideoFrameCallback(step);
  };
  video.requestVideoFrameCallback(step);
}"""


@dataclass(frozen=True)
class Watched:
    """What a viewer saw for a while, and what its browser asked for.

    Attributes:
        fps: Frames on the screen per second.
        freezes: Gaps of 200 ms and more, per 30 s.
        longest_ms: The longest gap.
        frames: Decoded frames.
        nacks: NACKs that the browser sent.
        plis: Keyframe requests that it sent.
        lost: Packets that never came.
        first_ms: From the offer to the first picture.
        host_fps: What the host encoded meanwhile.
        rejoins: How often the page had to subscribe anew; what it counted starts again then.
        recovered_ms: From the end of a blackout to the next frame, None without a blackout.
    """

    fps: float
    freezes: float
    longest_ms: float
    frames: int
    nacks: int
    plis: int
    lost: int
    first_ms: float
    host_fps: float
    rejoins: int
    recovered_ms: float | None = None


def return_path(network: Conditions) -> Conditions:
    """What a viewer's feedback meets: as much loss and delay, but neither queue nor duplicates."""
    return Conditions(loss=network.loss, delay_s=network.delay_s, jitter_s=network.jitter_s)


def lane_of(proxy: ImpairmentProxy, name: str, network: Conditions) -> Lane:
    """Make the network of the viewers that come next."""
    return proxy.next_lane(name, up=return_path(network), down=network)


def watch(
    host: HostPage, viewers: Sequence[ViewerPage], seconds: float, *, blackout: Lane | None = None
) -> list[Watched]:
    """Watch for ``seconds``; ``blackout`` is a lane to be dark for the first five of them."""
    for viewer in viewers:
        viewer.page.evaluate(_NOTE_FRAMES)
    began = [_Moment.of(host, viewer) for viewer in viewers]
    if blackout is not None:
        blackout.black_out(BLACKOUT_S)
    host.wait(seconds)
    watched = []
    for viewer, before in zip(viewers, began, strict=True):
        after = _Moment.of(host, viewer)
        shown_ms: list[float] = viewer.page.evaluate("() => window.shownAt.splice(0)")
        seen = _between(before, after, [at for at in shown_ms if at <= after.at_ms])
        if blackout is not None:
            light_ms = before.at_ms + BLACKOUT_S * 1000
            back_ms = next((at - light_ms for at in shown_ms if at > light_ms), None)
            seen = replace(seen, recovered_ms=back_ms)
        watched.append(seen)
    return watched


@dataclass(frozen=True)
class _Moment:
    """What a viewer's and the host's browser have counted by now."""

    at_ms: float
    first_ms: float
    subscriptions: int
    viewer: dict[str, Any]
    host: dict[str, Any]

    @classmethod
    def of(cls, host: HostPage, viewer: ViewerPage) -> "_Moment":
        at_ms, first_ms, subscriptions = viewer.page.evaluate(
            "() => [performance.now(), window.mediasrv.firstFrameMs ?? -1,"
            " window.mediasrv.subscriptions]"
        )
        counted = viewer.statistics("video"), host.statistics("video")
        return cls(at_ms, first_ms, subscriptions, *counted)


def _between(before: _Moment, after: _Moment, shown_ms: Sequence[float]) -> Watched:
    rejoins = after.subscriptions - before.subscriptions
    counted_before = {} if rejoins else before.viewer

    def counted(name: str) -> int:
        return int(after.viewer.get(name, 0) - counted_before.get(name, 0))

    elapsed_ms = after.at_ms - before.at_ms
    gaps_ms = [b - a for a, b in pairwise([before.at_ms, *shown_ms, after.at_ms])]
    encoded = after.host["framesEncoded"] - before.host["framesEncoded"]
    return Watched(
        fps=len(shown_ms) * 1000 / elapsed_ms,
        freezes=sum(gap >= FREEZE_MS for gap in gaps_ms) * PER_MS / elapsed_ms,
        longest_ms=max(gaps_ms),
        frames=counted("framesDecoded"),
        nacks=counted("nackCount"),
        plis=counted("pliCount"),
        lost=counted("packetsLost"),
        first_ms=after.first_ms,
        host_fps=encoded * 1000 / (after.host["timestamp"] - before.host["timestamp"]),
        rejoins=rejoins,
    )


SECONDS = 30.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--grid", action="store_true", help="glass to glass, loss x jitter x rate")
    parser.add_argument("--seed", type=int, default=1, help="of all losses and delays")
    parser.add_argument(
        "--only", type=name_list(NETWORKS), help="names of networks, with commas; default: all"
    )
    parser.add_argument("--clip", type=Path, help="the host's camera; default: a test pattern")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print a table, return it."""
    if options.grid:
        with stage(["720p"], options.clip) as theatre:
            return {"grid": walk(theatre, Grid(), options.seconds, options.seed)}
    names = options.only or list(NETWORKS)
    rows: list[dict[str, object]] = []
    print(_HEADER)
    with (
        impaired_server(seed=options.seed) as (server, proxy),
        two_browsers(options.clip) as (hosts, viewers),
    ):
        host = HostPage(hosts, server.url, ROOM)
        host.go_live()
        host.wait(SETTLE_S)
        for name in names:
            rows += _measure(host, viewers, server.url, proxy, name, options.seconds)
        host.close()
    return {"seconds": options.seconds, "seed": options.seed, "rows": rows}


def _measure(
    host: HostPage,
    viewers: Browser,
    url: str,
    proxy: ImpairmentProxy,
    name: str,
    seconds: float,
) -> list[dict[str, object]]:
    network = NETWORKS[name]
    pages = []
    if network.rate_bps is not None:
        # Somebody on a good network, who must not notice.
        proxy.next_lane(f"beside {name}")
        pages.append(ViewerPage(viewers, url, ROOM))
        pages[0].until_playing()
    lane = lane_of(proxy, name, network)
    pages.append(ViewerPage(viewers, url, ROOM))
    host.wait(SETTLE_S)
    is_dark = name.startswith("blackout")
    if is_dark:
        seconds = max(seconds, BLACKOUT_S + AFTER_BLACKOUT_S)
    watched = watch(host, pages, seconds, blackout=lane if is_dark else None)
    for page in pages:
        page.close()
    labels = [f"beside {name}", name][-len(pages) :]
    rows = [_row(label, seen) for label, seen in zip(labels, watched, strict=True)]
    rows[-1]["link"] = lane.counters()
    return rows


def _row(network: str, seen: Watched) -> dict[str, object]:
    try:
        require_host_rate(seen.host_fps)
    except MeasurementRefused as refused:
        print(f"{network:15} refused: {refused}", flush=True)
        return {"network": network, "refused": str(refused)}
    print(_line(network, seen), flush=True)
    return {"network": network, **asdict(seen)}


_HEADER = (
    "network          first ms   fps  freezes/30s  longest ms  frames  nacks  plis  lost"
    "  recovered ms  rejoins  host fps"
)


def _line(name: str, w: Watched) -> str:
    recovered = "" if w.recovered_ms is None else f"{w.recovered_ms:.0f}"
    return (
        f"{name:15} {w.first_ms:9.0f} {w.fps:5.1f} {w.freezes:12.1f} {w.longest_ms:11.0f}"
        f" {w.frames:7} {w.nacks:6} {w.plis:5} {w.lost:5} {recovered:>13}"
        f" {w.rejoins:8} {w.host_fps:9.1f}"
    )
