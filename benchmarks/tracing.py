"""What tracing costs: CPU time of a packet through the relay with the hooks taken out, off, and on.

In one process and in turns, so that whatever else the machine does hits all three alike, and with
them the machine's pace, to which ``compare`` relates them. The hooks
are taken out of the relay's own source (``latency.hookless``): everything else is the same code.
``--slower`` does more work for each packet on purpose, to see whether ``compare`` notices.
"""

import argparse
import struct
from collections.abc import Callable
from itertools import cycle
from time import monotonic, thread_time_ns

from benchmarks.latency.hookless import hookless_relay
from benchmarks.rig.machine import percentile
from benchmarks.rig.pace import UNDISTURBED, pace_us, round_us
from mediasrv.media import Codec
from mediasrv.relay.packets import TrackPacket
from mediasrv.relay.track import TrackRelay
from mediasrv.tracing.frames import FrameTracer

SECONDS = 3.0
# A round: seconds of 720p30 at 2.5 Mb/s.
FRAMES, PACKETS_A_FRAME, PAYLOAD_BYTES = 60, 9, 1150
FRAME_TICKS, FRAME_S = 3000, 1 / 30
MODES = ("without hooks", "off", "on")
METHOD = (
    "thread CPU time of write_packet for each packet of a video without viewers; of rounds that "
    "take turns the tenth that neighbours in the cache disturbed least; the pace in turns with them"
)

Row = dict[str, object]
Datagrams = list[tuple[TrackPacket, bytes, float]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument(
        "--slower", type=float, default=0.0, metavar="PERCENT", help="do so much more on purpose"
    )


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print, return it."""
    relays: dict[str, Callable[[], TrackRelay]] = {
        "without hooks": lambda: hookless_relay()(90_000, seekable=True),
        "off": lambda: TrackRelay(90_000, seekable=True),
        "on": lambda: TrackRelay(90_000, seekable=True),
    }
    spent: dict[str, list[float]] = {mode: [] for mode in MODES}
    paces: list[float] = []
    ends = monotonic() + options.seconds
    for mode in cycle(MODES):
        if mode == MODES[0] and spent[mode] and monotonic() >= ends:
            break
        tracer = FrameTracer(monotonic, _forget) if mode == "on" else None
        paces.append(round_us())
        spent[mode].append(_round_us(relays[mode](), tracer, 1 + options.slower / 100))
    rows: list[Row] = [
        {
            "mode": mode,
            "cpu_us_per_packet": round(percentile(us, UNDISTURBED), 4),
            "rounds": len(us),
        }
        for mode, us in spent.items()
    ]
    base = percentile(spent[MODES[0]], UNDISTURBED)
    for row in rows:
        row["more"] = round(float(str(row["cpu_us_per_packet"])) / base - 1, 4)
        print(
            f"{row['mode']:14} {row['cpu_us_per_packet']:7.3f} us a packet,"
            f" {100 * float(str(row['more'])):+.1f} % ({row['rounds']} rounds)"
        )
    during_us = pace_us(paces)
    print(f"{'the pace':14} {during_us:7.3f} us a step of a piece of Python that never changes")
    return {"pace": {"during_us": during_us}, "runs": rows}


def _round_us(relay: TrackRelay, tracer: FrameTracer | None, work: float) -> float:
    """Return the CPU time of a packet when ``work`` times as many are sent as are counted."""
    relay.observer = tracer
    datagrams = _datagrams(round(FRAMES * work))
    feed = _feed_hookless if type(relay) is not TrackRelay else _feed
    began_ns = thread_time_ns()
    feed(relay, tracer, datagrams)
    return (thread_time_ns() - began_ns) / 1000 / (FRAMES * PACKETS_A_FRAME)


def _feed(relay: TrackRelay, tracer: FrameTracer | None, datagrams: Datagrams) -> None:
    # As RoomMedia.host_rtp does it.
    for packet, datagram, now in datagrams:
        if tracer is not None:
            tracer.arrived(datagram, now)
        relay.write_packet(packet, now)
        if tracer is not None:
            tracer.handled()


def _feed_hookless(relay: TrackRelay, tracer: FrameTracer | None, datagrams: Datagrams) -> None:
    for packet, _, now in datagrams:
        relay.write_packet(packet, now)


def _datagrams(frames: int) -> Datagrams:
    payload = bytes(PAYLOAD_BYTES)
    made: Datagrams = []
    for frame in range(frames):
        for i in range(PACKETS_A_FRAME):
            is_last, ticks = i == PACKETS_A_FRAME - 1, frame * FRAME_TICKS
            number = frame * PACKETS_A_FRAME + i
            header = struct.pack("!BBHII", 128, 96 | is_last << 7, number, ticks, 1)
            packet = TrackPacket(number, ticks, is_last, Codec.H264, payload)
            made.append((packet, header, frame * FRAME_S))
    return made


def _forget(row: object) -> None:
    """Nobody listens."""
