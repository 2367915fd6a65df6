"""The server's own part with many viewers: from datagram in until the last one's send."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.latency.sightings import spread
from benchmarks.latency.tracing import frame_rows
from benchmarks.latency.waterfall import server_stages, sum_up
from benchmarks.load.measuring import (
    Cores,
    Load,
    MeasurementFailed,
    allow_sockets,
    distrust,
    local_address,
)
from benchmarks.load.signalling import ROOM, OurSignalling
from benchmarks.load.stream import encode_stream
from benchmarks.load.subject import Subject, pin
from benchmarks.rig.live_server import running_server
from benchmarks.rig.machine import percentile
from benchmarks.rig.refusal import MeasurementRefused

Row = dict[str, object]

# With the filter off, half of all datagrams have left for the last of so many viewers within this.
LIMIT_VIEWERS = 50
LIMIT_P50_MS = 1.0


def crowd_row(viewers: int, seconds: float) -> Row:
    """Let so many viewers watch, and trace what the server does with each frame.

    Raises:
        MeasurementRefused: The load was the bottleneck.
    """
    allow_sockets()
    cores, stream, address = Cores(0, 1), encode_stream(), local_address()
    with tempfile.TemporaryDirectory() as scratch:
        channel = Path(scratch) / "trace"
        with running_server(filter_spares=0, trace=str(channel)) as server:
            pin(server.process.pid, cores.server)
            signalling = OurSignalling(server.url)
            subject = Subject("mediasrv", server.process.pid, signalling, signalling)
            with Load(subject, stream, cores, address).opened() as load:
                try:
                    joined = load.join(
                        viewers, lambda text: print(f"  {text}", flush=True), gro=True
                    )
                except MeasurementFailed as exc:
                    raise MeasurementRefused(str(exc)) from exc
                with frame_rows(channel, ROOM) as rows:
                    time.sleep(1)
                    rows.take()
                    before, after, crowd, _ = load.measure(joined, lambda: time.sleep(seconds))
                    noted = rows.take()
    share = (after.load_s - before.load_s) / (after.at_ns - before.at_ns) * 1e9
    doubt = distrust(share, crowd, len(noted))
    if doubt is not None:
        raise MeasurementRefused(doubt)
    return _crowd_figures(viewers, noted)


def _crowd_figures(viewers: int, noted: Sequence[Mapping[str, Any]]) -> Row:
    whole = [row for row in noted if "sent_ms" in row and not row["keyframe"]]
    stages = [one for row in whole if (one := server_stages(row)) is not None]
    each_ms = [row["sent_ms"] - at_ms for row in whole for at_ms in row["arrived_ms"]]
    last_ms = [row["sent_ms"] - row["last_in_ms"] for row in whole]
    first_ms = [row["sent_ms"] - row["first_in_ms"] for row in whole]
    row: Row = {
        "viewers": viewers,
        "frames": len(whole),
        "each_datagram_ms": spread(each_ms),
        "last_datagram_ms": spread(last_ms),
        "first_datagram_ms": spread(first_ms),
        "stages": sum_up(stages),
    }
    for which in ("each", "last", "first"):
        ms = row[f"{which}_datagram_ms"]
        assert isinstance(ms, dict)
        print(
            f"{viewers} viewers, from {which} datagram of a frame in to the last viewer's send:"
            f" p50 {ms['p50']:.2f}, p95 {ms['p95']:.2f}, p99 {ms['p99']:.2f} ms"
        )
    if viewers == LIMIT_VIEWERS:
        row["limit_p50_ms"] = LIMIT_P50_MS
        kept = "kept" if percentile(each_ms, 0.5) <= LIMIT_P50_MS else "MISSED"
        print(f"limit of p50 from each datagram: {LIMIT_P50_MS:g} ms, {kept}")
    return row
