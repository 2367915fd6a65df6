"""The server's own part with many viewers: from datagram in until the last one's send."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.latency.sightings import spread
from benchmarks.latency.tracing import frame_rows
from benchmarks.latency.waterfall import server_stages, sum_up
from benchmarks.live_server import running_server
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
from benchmarks.refusal import MeasurementRefused

Row = dict[str, object]


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


def _crowd_figures(viewers: int, noted: Sequence[dict[str, object]]) -> Row:
    whole = [row for row in noted if "sent_ms" in row and not row["keyframe"]]
    stages = [one for row in whole if (one := server_stages(row)) is not None]
    last_in = [row["sent_ms"] - row["last_in_ms"] for row in whole]  # type: ignore[operator]
    first_in = [row["sent_ms"] - row["first_in_ms"] for row in whole]  # type: ignore[operator]
    row: Row = {
        "viewers": viewers,
        "frames": len(whole),
        "from_last_datagram_ms": spread(last_in),
        "from_first_datagram_ms": spread(first_in),
        "stages": sum_up(stages),
    }
    for name in ("from_last_datagram_ms", "from_first_datagram_ms"):
        ms = row[name]
        assert isinstance(ms, dict)
        print(
            f"{viewers} viewers, {name[:-3].replace('_', ' ')} in to the last send:"
            f" p50 {ms['p50']:.2f}, p95 {ms['p95']:.2f}, p99 {ms['p99']:.2f} ms"
        )
    return row
