"""What viewers cost who stop reading, sockets and websockets, and whether the others notice.

The process of some viewers is stopped (SIGSTOP) for a minute, beside a crowd that goes on: nothing
of it reads a packet or a message, answers a ping or renews consent. Memory is the server's RSS.
"""

import argparse
import signal
import time

from benchmarks.load.measuring import Cores, Load, allow_sockets, local_address
from benchmarks.load.pacing import VIDEO_TYPE
from benchmarks.load.recording import count
from benchmarks.load.stream import Stream, encode_stream
from benchmarks.load.subject import Subject, our_server

SECONDS = 60.0
# The interpreter takes memory in arenas of a MiB; what grows by viewer or second is far above it.
GROWTH_LIMIT_KIB = 2048
SAMPLE_S = 1.0
# Buffers that grew while they joined have been given back, or are kept for good.
SETTLE_S = 5.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--stalled", type=int, default=20, help="viewers who stop reading")
    parser.add_argument("--others", type=int, default=20, help="viewers who go on")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print, return it."""
    allow_sockets()
    address, cores = local_address(), Cores(options.server_core, options.load_core)
    with our_server(cores.server, address) as subject:
        row = _measure(subject, encode_stream(), cores, address, options)
    _print(row)
    return {"limits": {"growth_kib": GROWTH_LIMIT_KIB, "loss": 0}, "runs": [row]}


def _measure(
    subject: Subject, stream: Stream, cores: Cores, address: str, options: argparse.Namespace
) -> dict[str, object]:
    samples_kib: list[float] = []

    with Load(subject, stream, cores, address).opened() as load:
        others = load.join(options.others, lambda text: None, gro=True)
        stalled = load.join(options.stalled, lambda text: None, gro=True)
        time.sleep(SETTLE_S)

        def stall() -> None:
            samples_kib.append(subject.rss_kib())
            load.signal(stalled, signal.SIGSTOP)
            until = time.monotonic() + options.seconds
            while time.monotonic() < until:
                time.sleep(SAMPLE_S)
                samples_kib.append(subject.rss_kib())
            load.signal(stalled, signal.SIGCONT)

        before, after, crowd, _ = load.measure(others, stall)
        stalled.send("begin")
        stalled.send("end")
    counted = count(crowd.recording, (before.at_ns, after.at_ns), VIDEO_TYPE)
    return {
        "stalled": options.stalled,
        "others": options.others,
        "seconds": options.seconds,
        "rss_before_kib": round(samples_kib[0]),
        "rss_most_kib": round(max(samples_kib)),
        "rss_after_kib": round(samples_kib[-1]),
        "rss_kib": [round(kib) for kib in samples_kib],
        "others_packets": counted.packets,
        "others_lost": counted.lost,
        "others_drops": crowd.drops,
    }


def growth_kib(row: dict[str, object]) -> int:
    """Return by how much memory grew at most."""
    return int(str(row["rss_most_kib"])) - int(str(row["rss_before_kib"]))


def is_kept(row: dict[str, object]) -> bool:
    """Tell whether memory stayed flat and nobody else lost a packet."""
    return growth_kib(row) <= GROWTH_LIMIT_KIB and row["others_lost"] == 0


def _print(row: dict[str, object]) -> None:
    print(f"{row['stalled']} viewers read nothing for {row['seconds']:.0f} s")
    print(
        f"server's memory: {row['rss_before_kib']} KiB before, {row['rss_most_kib']} at most,"
        f" {row['rss_after_kib']} at the end; grew by {growth_kib(row)} of {GROWTH_LIMIT_KIB} KiB"
    )
    print(
        f"the {row['others']} others lost {row['others_lost']} of {row['others_packets']} packets"
    )
    print("kept" if is_kept(row) else "BROKEN")
