"""How long viewers wait for a picture who all come at once, and what the host is asked for.

Each of them opens a websocket, joins, subscribes, and goes through ICE and DTLS on a UDP socket of
its own; its wait ends when the first keyframe is there whole, decrypted. A wait is counted from
the moment at which the viewer was to come, so that a load that lags makes it longer, not shorter.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict

from benchmarks.load.measuring import Cores, Load, allow_sockets, local_address, stolen
from benchmarks.load.recording import percentiles
from benchmarks.load.rush import Arrival, RushResult, run_rush
from benchmarks.load.signalling import OurSignalling
from benchmarks.load.stream import encode_stream
from benchmarks.load.subject import Subject, our_server

SECONDS = 2.0
WAIT_LIMIT_MS = 1000.0
KEYFRAME_REQUESTS_LIMIT = 4
# So that the keyframe a host begins with is of no use to anybody any more.
HOST_ALONE_S = 3.0
RESULT_TIMEOUT_S = 60.0

Step = tuple[str, Callable[[Arrival], int], Callable[[Arrival], int]]

# What a viewer goes through, each from the end of the one before.
STEPS: tuple[Step, ...] = (
    ("late", lambda a: a.due_ns, lambda a: a.began_ns),
    ("websocket", lambda a: a.began_ns, lambda a: a.connected_ns),
    ("join", lambda a: a.connected_ns, lambda a: a.joined_ns),
    ("subscribe", lambda a: a.joined_ns, lambda a: a.answered_ns),
    ("ice", lambda a: a.answered_ns, lambda a: a.reached_ns),
    ("dtls", lambda a: a.reached_ns, lambda a: a.secured_ns),
    ("first packet", lambda a: a.secured_ns, lambda a: a.first_ns),
    ("whole frame", lambda a: a.first_ns, lambda a: a.whole_ns),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print, return it."""
    row = arrive(options.viewers, options.seconds, Cores(options.server_core, options.load_core))
    print_row(row)
    return {
        "within_s": options.seconds,
        "limits": {"wait_ms": WAIT_LIMIT_MS, "keyframe_requests": KEYFRAME_REQUESTS_LIMIT},
        "runs": [row],
    }


def arrive(viewers: int, within_s: float, cores: Cores) -> dict[str, object]:
    """Start a server and let so many viewers come to it at equal distances; 0 s for all at once."""
    allow_sockets()
    address = local_address()
    with our_server(cores.server, address) as subject:
        return _measure(subject, cores, address, viewers, within_s)


def _measure(
    subject: Subject, cores: Cores, address: str, viewers: int, within_s: float
) -> dict[str, object]:
    assert isinstance(subject.signalling, OurSignalling)
    with Load(subject, encode_stream(), cores, address).opened() as load:
        crowd = load.start(run_rush, subject.signalling, viewers, within_s, cores.load, address)
        load.receive(crowd, RESULT_TIMEOUT_S, "the viewers")
        time.sleep(HOST_ALONE_S)
        before = load.read()
        crowd.send("begin")
        result: RushResult = load.receive(crowd, RESULT_TIMEOUT_S, "the viewers")
        after = load.read()
        crowd.send("end")
        log = load.finish()
    elapsed_s = (after.at_ns - before.at_ns) / 1e9
    requests_s = [(ns - result.began_ns) / 1e9 for ns in log.requested_ns]
    requests_s = [
        round(s, 3) for s in requests_s if 0 <= 1e9 * s < result.ended_ns - result.began_ns
    ]
    return {
        "viewers": viewers,
        **summarize(result.arrivals),
        "keyframe_requests": len(requests_s),
        "keyframe_requests_at_s": requests_s,
        "server_cpu_s": round(after.server_s - before.server_s, 3),
        "server_core_share": round((after.server_s - before.server_s) / elapsed_s, 3),
        "load_core_share": round((after.load_s - before.load_s) / elapsed_s, 3),
        "stolen_share": stolen(before, after, cores),
    }


def summarize(arrivals: Iterable[Arrival]) -> dict[str, object]:
    """Return how many saw a frame, how long they waited and what for."""
    arrivals = list(arrivals)
    seen = [a for a in arrivals if a.whole_ns]
    failures = [a.failure for a in arrivals if not a.whole_ns]
    row: dict[str, object] = {"saw_a_frame": len(seen), "failures": failures[:3]}
    if seen:
        row["wait_ms"] = percentiles([(a.whole_ns - a.due_ns) / 1e6 for a in seen])
        row["steps_ms"] = {
            name: percentiles([(end(a) - begin(a)) / 1e6 for a in seen])
            for name, begin, end in STEPS
        }
        row["slowest"] = asdict(max(seen, key=lambda a: a.whole_ns - a.due_ns))
    return row


def is_kept(row: dict[str, object]) -> bool:
    """Tell whether everybody saw a frame in time and the host was left alone."""
    wait = row.get("wait_ms")
    return (
        isinstance(wait, dict)
        and row["saw_a_frame"] == row["viewers"]
        and wait["max"] <= WAIT_LIMIT_MS
        and int(str(row["keyframe_requests"])) <= KEYFRAME_REQUESTS_LIMIT
    )


def print_row(row: dict[str, object]) -> None:
    """Print how long the viewers waited, and for what."""
    print(
        f"{row['saw_a_frame']} of {row['viewers']} viewers saw a frame;"
        f" {row['keyframe_requests']} keyframe requests to the host"
        f" (limit {KEYFRAME_REQUESTS_LIMIT}), after {row['keyframe_requests_at_s']} s"
    )
    for failure in row["failures"]:  # type: ignore[attr-defined]
        print(f"  one did not: {failure}")
    wait, steps = row.get("wait_ms"), row.get("steps_ms")
    if isinstance(wait, dict) and isinstance(steps, dict):
        print(f"{'ms':14}{'p50':>8}{'p95':>8}{'max':>8}")
        for name, ms in {**steps, "in all": wait}.items():
            print(f"{name:14}{ms['p50']:8.1f}{ms['p95']:8.1f}{ms['max']:8.1f}")
    print(
        f"server {row['server_cpu_s']} s of CPU, {row['server_core_share']:.0%} of its core;"
        f" load {row['load_core_share']:.0%} of its core;"
        f" stolen by the hypervisor {max(row['stolen_share'].values()):.0%}"  # type: ignore[attr-defined]
    )
    print(f"limit of the wait: {WAIT_LIMIT_MS:.0f} ms, {'kept' if is_kept(row) else 'BROKEN'}")
