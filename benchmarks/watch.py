"""What browsers show: frames per second, size, freezes, losses, filter off and on.

A host in one Chromium with a clip as its camera, viewers in another; with ``--firefox`` also a
viewer in Firefox, and a host in Firefox with its own test picture. Browsers and server share this
machine, so the figures are a lower bound of what separate machines would show.
"""

import argparse
import time
from pathlib import Path

from playwright.sync_api import Browser

from benchmarks.rig.browsers import HostPage, ViewerPage, two_browsers
from benchmarks.rig.firefox import running_firefox
from benchmarks.rig.lists import count_list
from benchmarks.rig.live_server import running_server
from benchmarks.rig.refusal import MeasurementRefused, require_host_rate

SETTLE_S = 5.0


SECONDS = 10.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument(
        "--viewers", type=count_list, default=[1, 3], help="numbers of viewers, with commas"
    )
    parser.add_argument("--firefox", action="store_true", help="also watch and host in Firefox")
    parser.add_argument("--clip", type=Path, help="the host's camera; default: a test pattern")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print a table, return it."""
    rows: list[dict[str, object]] = []
    print("viewers  filter  size        fps lowest  freezes  lost  host fps")
    with running_server() as server, two_browsers(options.clip) as (hosts, viewers):
        for count in options.viewers:
            rows += [
                _measure(hosts, viewers, server.url, count, filtered, options.seconds)
                for filtered in (False, True)
            ]
        if options.firefox:
            rows.append(_watch_in_firefox(hosts, server.url, options.seconds))
            rows.append(_host_in_firefox(viewers, server.url, options.seconds))
    return {"rows": rows}


def _measure(
    hosts: Browser, viewers: Browser, url: str, count: int, filtered: bool, seconds: float
) -> dict[str, object]:
    room = f"watch-{count}-{'on' if filtered else 'off'}"
    host = HostPage(hosts, url, room)
    if filtered:
        host.toggle_beauty()
    host.go_live()
    pages = [ViewerPage(viewers, url, room) for _ in range(count)]
    for page in pages:
        page.until_playing()
    host.wait(SETTLE_S)
    sent_before = host.statistics("video")
    before = [page.statistics("video") for page in pages]
    host.wait(seconds)
    after = [page.statistics("video") for page in pages]
    sent_after = host.statistics("video")
    size = "x".join(str(n) for n in pages[0].size())
    for page in pages:
        page.close()
    host.close()
    row: dict[str, object] = {"viewers": count, "filter": "on" if filtered else "off"}
    host_fps = _rate(sent_before, sent_after, "framesEncoded")
    try:
        require_host_rate(host_fps)
    except MeasurementRefused as refused:
        print(f"{count:7}  {row['filter']:6}  refused: {refused}", flush=True)
        return {**row, "refused": str(refused)}
    row |= {
        "size": size,
        "fps_lowest": min(_rate(b, a, "framesDecoded") for b, a in zip(before, after, strict=True)),
        "freezes": sum(
            a["freezeCount"] - b["freezeCount"] for b, a in zip(before, after, strict=True)
        ),
        "lost": sum(a["packetsLost"] for a in after),
        "host_fps": host_fps,
    }
    print(
        f"{count:7}  {row['filter']:6}  {row['size']:10}  {row['fps_lowest']:10.1f}"
        f"  {row['freezes']:7}  {row['lost']:4}  {row['host_fps']:8.1f}",
        flush=True,
    )
    return row


def _watch_in_firefox(hosts: Browser, url: str, seconds: float) -> dict[str, object]:
    host = HostPage(hosts, url, "firefox-watches")
    host.go_live()
    with running_firefox() as firefox:
        firefox.open(f"{url}/watch/firefox-watches")
        firefox.until(lambda: firefox.statistics("video").get("framesDecoded", 0) > 0, "a picture")
        time.sleep(SETTLE_S)
        fps = firefox.frames_per_second(seconds, "framesDecoded")
        video = firefox.statistics("video")
    host.close()
    size = f"{video['frameWidth']}x{video['frameHeight']}"
    print(f"a viewer in Firefox: {size}, {fps:.1f} fps, {video['packetsLost']} lost", flush=True)
    return {"firefox": "viewer", "size": size, "fps": fps, "lost": video["packetsLost"]}


def _host_in_firefox(viewers: Browser, url: str, seconds: float) -> dict[str, object]:
    with running_firefox() as firefox:
        firefox.open(f"{url}/host/firefox-hosts")
        firefox.click("go-live")
        page = ViewerPage(viewers, url, "firefox-hosts")
        page.until_playing()
        page.wait(SETTLE_S)
        fps = page.frames_per_second(seconds)
        size = "x".join(str(n) for n in page.size())
        page.close()
    print(f"a host in Firefox: {size}, {fps:.1f} fps at a viewer in Chromium", flush=True)
    return {"firefox": "host", "size": size, "fps": fps}


def _rate(before: dict[str, float], after: dict[str, float], counter: str) -> float:
    elapsed_s = (after["timestamp"] - before["timestamp"]) / 1000
    return (after[counter] - before[counter]) / elapsed_s
