"""What forwarding costs: CPU time per packet, delay, memory and loss, by number of viewers.

Every viewer has real signalling, ICE, DTLS and SRTP on a UDP socket of its own; the host sends a
fixed 720p30 VP8 stream of 1.5 Mb/s with Opus. Server and load have a core each. ``--vs`` runs
others with the same load.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from benchmarks.load.janus import MISSING, find_janus, janus_server
from benchmarks.load.measuring import Cores, allow_sockets, local_address, measure
from benchmarks.load.stock_aiortc import VIEWERS_MAX, aiortc_server
from benchmarks.load.stream import FPS, Stream, encode_stream
from benchmarks.load.subject import Subject, our_server, precedence
from benchmarks.reporting.knee import knee_of
from benchmarks.rig.lists import count_list

Row = dict[str, object]
Server = Callable[[int, str], AbstractContextManager[Subject]]

PEERS: dict[str, Server] = {"janus": janus_server, "aiortc": aiortc_server}
NOISE_SHARE = 0.1

METHOD = (
    "CPU time of the server's process (user and system, ns clock of the kernel) over the window, "
    "by packets that reached the viewers' sockets in it, by the kernel's arrival stamps. "
    "On loopback the receive path of the kernel runs in the sender's time; viewers poll, so that "
    "nobody pays for wake-ups."
)


SECONDS = 10.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--viewers", type=count_list, default=[10, 100, 300], metavar="N,N,...")
    parser.add_argument(
        "--tempo",
        type=float,
        default=1.0,
        help="of the stream; 0.25 sends the same frames at a quarter of their rate, so that four"
        " times the viewers fit into a core, and what they cost by time weighs four times as much",
    )
    parser.add_argument("--vs", action="append", choices=list(PEERS), default=[])
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument(
        "--precedence",
        action="store_true",
        help="run before everybody else on a machine that is shared (root, Linux autogroups)",
    )
    parser.add_argument(
        "--no-gro",
        dest="gro",
        action="store_false",
        help="viewers take single datagrams; the kernel then cuts trains in the server's time",
    )


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print a table, return it."""
    # Whoever ends us, with timeout(1) say, must not leave servers and viewers behind.
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with precedence() if options.precedence else nullcontext():
            return _run(options)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(options: argparse.Namespace) -> dict[str, object]:
    cores = Cores(options.server_core, options.load_core)
    peers = _available(options.vs)
    address = local_address()
    allow_sockets()
    print("encoding ten seconds of 720p ...")
    stream = replace(encode_stream(), tempo=options.tempo)
    print(f"server on core {cores.server}, load on core {cores.load}, over {address}")
    _print_head()
    runs: list[Row] = []
    known: dict[tuple[str, int], Row] = {}

    def theirs(name: str, viewers: int) -> Row:
        count = min(viewers, VIEWERS_MAX) if name == "aiortc" else viewers
        if (name, count) not in known:
            known[name, count] = _measure(PEERS[name], name, count, stream, options, cores, address)
        return known[name, count]

    for viewers in options.viewers:
        row = _measure(our_server, "mediasrv", viewers, stream, options, cores, address)
        row["vs"] = {name: versus(row, theirs(name, viewers)) for name in peers}
        runs.append(row)
        knee = knee_of(row, FPS * stream.tempo)
        if knee is not None:
            print(f"knee: {viewers} viewers: {knee}")
            break
    return {
        "gro": options.gro,
        "stream": {
            "video_bps": round(stream.video_bps),
            "frames": len(stream.frames),
            "tempo": stream.tempo,
        },
        "runs": runs,
        "vs": {name: [row["vs"][name] for row in runs] for name in peers},  # type: ignore[index]
    }


def _available(names: list[str]) -> list[str]:
    if "janus" in names and find_janus() is None:
        print(MISSING)
        names = [name for name in names if name != "janus"]
    return list(dict.fromkeys(names))


def versus(ours: Row, theirs: Row) -> Row:
    """Return the other's row with the ratio of CPU times per packet, ours by theirs."""
    ratio = ratio_of(ours, theirs)
    if ratio is not None:
        print(f"{'':10} {ours['viewers']:>7}  {ratio:.3f} x {theirs['server']}'s us/packet")
    return {**theirs, "ratio": ratio}


def ratio_of(ours: Row, theirs: Row) -> float | None:
    """Return our CPU time per packet by theirs, None where one of them is missing."""
    mine, other = ours.get("cpu_us_per_packet"), theirs.get("cpu_us_per_packet")
    if not isinstance(mine, float) or not isinstance(other, float) or other <= 0:
        return None
    return round(mine / other, 4)


def _measure(
    server: Server,
    name: str,
    viewers: int,
    stream: Stream,
    options: argparse.Namespace,
    cores: Cores,
    address: str,
) -> Row:
    with server(cores.server, address) as subject:
        row = measure(
            subject,
            stream,
            viewers,
            options.seconds,
            cores,
            address,
            gro=options.gro,
            tell=lambda text: print(f"  {name}: {text}", file=sys.stderr, flush=True),
        )
    print(_line(row), flush=True)
    return row


def _print_head() -> None:
    print(
        f"{'server':10} {'viewers':>7} {'us/packet':>9} {'packets/s':>9} {'core':>6} "
        f"{'per core':>8} {'forward p50/p95/p99 ms':>23} {'KiB each':>8} {'loss':>8}  load"
    )


def _line(row: Row) -> str:
    begin = f"{row['server']:10} {row['viewers']:>7} "
    for reason in ("failed", "refused"):
        if reason in row:
            return f"{begin}{reason}: {row[reason]}"
    forward, load, others = row["forward_ms"], row["load"], row["neighbours_share"]
    assert isinstance(forward, dict)
    assert isinstance(load, dict)
    assert isinstance(others, dict)
    delays = "/".join(f"{ms:.2f}" for name, ms in forward.items() if name != "max") or "-"
    noise = max(others.values())
    return (
        f"{begin}{row['cpu_us_per_packet']:>9.2f} {row['packets_per_s']:>9} "
        f"{100 * float(str(row['server_core_share'])):>5.1f}% {row['viewers_per_core']:>8} "
        f"{delays:>23} {row['rss_per_viewer_kib']:>8} {float(str(row['loss'])):>8.5f}  "
        f"{100 * load['core_share']:.0f} % of its core, {load['drops']} drops"
        + (f"; neighbours use {100 * noise:.0f} % of a core" if noise > NOISE_SHARE else "")
    )
