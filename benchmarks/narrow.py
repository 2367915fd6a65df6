"""Whether viewers with little bandwidth make the others wait: their delay with such guests or not.

A crowd watches beside a few guests, who say in their reports that their way is wide, or that it
carries 300 kb/s and loses half. Runs of both kinds take turns; what is compared is how long frames
take from the publisher to the others' sockets, by the kernel's stamps.
"""

import argparse
import time
from statistics import median

from benchmarks.load.crowd import CrowdResult, Way
from benchmarks.load.measuring import (
    PROGRESS_TIMEOUT_S,
    WIDE,
    Cores,
    Load,
    allow_sockets,
    distrust,
    local_address,
)
from benchmarks.load.pacing import VIDEO_TYPE
from benchmarks.load.recording import arrival_ms, count
from benchmarks.load.stream import Stream, encode_stream
from benchmarks.load.subject import Subject, our_server
from benchmarks.rig.refusal import MeasurementRefused

SECONDS = 6.0
PAIRS = 3
NARROW = Way(estimate_bps=300_000, loss=0.5)
CHANGE_LIMIT = 0.05
# Until the guests have been found out, and get what their way carries.
FOUND_OUT_S = 6.0

Row = dict[str, float]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--others", type=int, default=50, help="viewers who are compared")
    parser.add_argument("--guests", type=int, default=10, help="viewers whose way changes")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print, return it."""
    allow_sockets()
    address, cores = local_address(), Cores(options.server_core, options.load_core)
    stream = encode_stream()
    rows: dict[str, list[Row]] = {"wide": [], "narrow": []}
    for _ in range(PAIRS):
        for name, way in (("wide", WIDE), ("narrow", NARROW)):
            with our_server(cores.server, address) as subject:
                row = _measure(subject, stream, cores, address, options, way)
            print(f"{name:7}", "  ".join(f"{k} {v:g}" for k, v in row.items()), flush=True)
            rows[name].append(row)
    change = change_of(rows["wide"], rows["narrow"])
    print(f"the others' delay (p50) with narrow guests: {100 * change:+.1f} %")
    return {"limits": {"change": CHANGE_LIMIT}, "change": round(change, 4), "runs": rows}


def change_of(wide: list[Row], narrow: list[Row]) -> float:
    """Return by what share the others' median delay grew; medians over the runs."""
    before = median(row["p50_ms"] for row in wide)
    return median(row["p50_ms"] for row in narrow) / before - 1


def _measure(
    subject: Subject,
    stream: Stream,
    cores: Cores,
    address: str,
    options: argparse.Namespace,
    way: Way,
) -> Row:
    with Load(subject, stream, cores, address).opened() as load:
        others = load.join(options.others, lambda text: None, gro=True)
        guests = load.join(options.guests, lambda text: None, gro=True, way=way)
        time.sleep(FOUND_OUT_S)
        guests.send("begin")
        before, after, crowd, log = load.measure(others, lambda: time.sleep(options.seconds))
        guests.send("end")
        guest: CrowdResult = load.receive(guests, PROGRESS_TIMEOUT_S, "the guests")
    window_ns = (before.at_ns, after.at_ns)
    counted = count(crowd.recording, window_ns, VIDEO_TYPE)
    elapsed_s = (after.at_ns - before.at_ns) / 1e9
    reason = distrust((after.load_s - before.load_s) / elapsed_s, crowd, counted.packets)
    if reason is not None:
        raise MeasurementRefused(reason)
    delays = arrival_ms(crowd.recording, window_ns, VIDEO_TYPE, log.frames)["each"]
    sent = count(guest.recording, window_ns, VIDEO_TYPE)
    return {
        "p50_ms": delays["p50"],
        "p95_ms": delays["p95"],
        "lost": counted.lost,
        "guest_kbps": round(8 * sent.bytes / elapsed_s / options.guests / 1000, 1),
    }
