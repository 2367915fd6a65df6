"""Where a frame's time goes from glass to glass, stage by stage, and whether that can be trusted.

The server notes the moments of each frame on the benchmark channel (``mediasrv serve --trace``),
the viewer's browser its own, the camera draws the first one into the picture; they are joined by
the RTP timestamp of the last hop. ``--plant`` slows stages down by 20 ms on purpose, now and then,
and looks where the time turns up. ``--crowd`` measures the server's own part with so many viewers.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.glass import OFF, Case, Theatre, name_list, stage
from benchmarks.latency import planting
from benchmarks.latency.chromium import ROOM, through_server
from benchmarks.latency.clocks import require_fine_clock
from benchmarks.latency.feed import SIZES
from benchmarks.latency.planted_stage import PLANTED_MS, TURN_S
from benchmarks.latency.sightings import Observation, Sighting, figures, spread
from benchmarks.latency.tracing import frame_rows
from benchmarks.latency.waterfall import (
    Stages,
    match,
    middle_frame,
    server_stages,
    sum_up,
    totals_ms,
)
from benchmarks.live_server import planted_server, running_server
from benchmarks.load.measuring import (
    Cores,
    Load,
    MeasurementFailed,
    allow_sockets,
    distrust,
    local_address,
)
from benchmarks.load.signalling import ROOM as CROWD_ROOM
from benchmarks.load.signalling import OurSignalling
from benchmarks.load.stream import encode_stream
from benchmarks.load.subject import Subject, pin
from benchmarks.machine import percentile
from benchmarks.refusal import MeasurementRefused
from filters.presets import PRESETS
from mediasrv.media import Codec

SECONDS = 10.0
NETWORK = "network"
PLANTS = (*planting.IN_SERVER, planting.IN_WORKER)
AGREE_MAX = 0.10
# How often a planted delay comes and goes, and how long after each change frames do not count:
# jitter buffers and the bandwidth estimate have to get used to it.
PLANT_PERIODS = 3
CALM_DOWN_S, BEFORE_CHANGE_S = 1.5, 0.2
TURN_FRAMES_MIN = 60
PLANT_TOLERANCE_MS = 2.0
# Of the frames seen in a window, so many must be known to server and browser alike.
MATCHED_MIN = 0.9
METHOD = (
    "moments of each frame on CLOCK_MONOTONIC from the camera's time code, the server's benchmark "
    "channel and the viewer's requestVideoFrameCallback, joined by RTP timestamp; the browser "
    "tells what its jitter buffer holds as a mean only"
)

Row = dict[str, object]
Frames = list[tuple[Sighting, Stages]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--presets", type=name_list((OFF, *PRESETS)), default=[OFF, "natural"])
    parser.add_argument("--codecs", type=name_list(tuple(Codec)), default=["vp8"])
    parser.add_argument("--sizes", type=name_list(tuple(SIZES)), default=["720p"])
    parser.add_argument("--clip", type=Path, help="what the camera shows; default: a drawn scene")
    parser.add_argument(
        "--plant", type=name_list(PLANTS), default=[], help="stages to slow down, or all"
    )
    parser.add_argument("--crowd", type=int, metavar="VIEWERS", help="the server's own part")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print waterfalls, return them."""
    require_fine_clock()
    print(METHOD)
    result: dict[str, object] = {"method": METHOD, "seconds": options.seconds}
    if options.crowd:
        result["crowd"] = [_crowd_row(options.crowd, options.seconds)]
        return result
    runs = []
    with stage(options.sizes, options.clip) as theatre:
        for size in options.sizes:
            for codec in options.codecs:
                for preset in options.presets:
                    case = Case("chromium", preset, Codec(codec), size)
                    runs.append(_traced_row(theatre, case, options.seconds))
        plants = [_planted_row(theatre, planted, options) for planted in options.plant]
    return {**result, "runs": runs, "plants": plants}


def _traced_row(theatre: Theatre, case: Case, seconds: float) -> Row:
    try:
        untraced, traced, frames = _observe(theatre, case, seconds)
        row = {**case.labels(), **_summary(frames), "traced": _short(traced, case)}
        row |= _agreement(figures(untraced, SIZES[case.size]), frames)
    except MeasurementRefused as refused:
        print(f"{case.preset} {case.codec} {case.size} refused: {refused}", flush=True)
        return {**case.labels(), "refused": str(refused)}
    _print(row)
    return row


def _short(traced: Observation, case: Case) -> Row:
    whole = figures(traced, SIZES[case.size])
    return {name: whole[name] for name in ("glass_ms", "fps", "freezes", "frames", "browsers")}


def _observe(
    theatre: Theatre, case: Case, seconds: float, plant: str | None = None
) -> tuple[Observation, Observation, Frames]:
    """Watch a case without and with tracing; returns both windows and the frames of the second."""
    filtered = case.preset != OFF
    settings: dict[str, object] = (
        {"starting_parameters": PRESETS[case.preset].as_dict()}
        if filtered
        else {"filter_spares": 0}
    )
    if plant == planting.IN_WORKER:
        settings["filter_extra_stages"] = [planting.WORKER_STAGE]
    start = partial(planted_server, plant) if plant in planting.IN_SERVER else running_server
    with tempfile.TemporaryDirectory() as scratch:
        channel = Path(scratch) / "trace"
        with (
            start(trace=str(channel), **settings) as server,
            through_server(
                theatre.hosts,
                theatre.viewers,
                server,
                theatre.setting(case),
                filtered=filtered,
            ) as pair,
        ):
            untraced = pair.observe(seconds)
            with frame_rows(channel, ROOM) as rows:
                pair.viewer.wait_for_timeout(500)
                traced = pair.observe(seconds)
                noted = rows.take()
    buffer_ms = traced.browsers.get("jitter_buffer_ms", 0.0)
    frames = match(noted, traced.sightings, buffer_ms)
    print(f"  {len(noted)} traced, {traced.sent} sent, {len(traced.sightings)} seen", flush=True)
    if len(frames) < MATCHED_MIN * len(traced.sightings) or not frames:
        raise MeasurementRefused(
            f"only {len(frames)} of {len(traced.sightings)} frames are known to both ends"
        )
    return untraced, traced, frames


def _summary(frames: Frames) -> Row:
    stages = [one for _, one in frames]
    inside = [_inside_ms(one) for one in stages]
    return {
        "stages": sum_up(stages),
        "waterfall": {name: round(ms, 3) for name, ms in middle_frame(frames).items()},
        "server_ms": spread(inside),
        "frames": len(frames),
    }


def _inside_ms(stages: Stages) -> float:
    """From a frame's last datagram in to the last send."""
    outside = {"host", "datagrams in", "network", "viewer buffer", "viewer decode", "viewer paint"}
    return sum(ms for name, ms in stages.items() if name not in outside)


def _agreement(untraced: Row, frames: Frames) -> Row:
    """Compare the sum of the stages' medians with glass to glass, traced and untraced."""
    stages = sum_up([one for _, one in frames])
    sum_ms = sum(stage["p50"] for stage in stages.values())
    traced_ms = percentile([sighting.glass_ms for sighting, _ in frames], 0.5)
    glass_ms = untraced["glass_ms"]
    assert isinstance(glass_ms, dict)
    return {
        "sum_of_medians_ms": round(sum_ms, 2),
        "sum_median_ms": round(percentile(totals_ms([one for _, one in frames]), 0.5), 2),
        "glass_traced_ms": round(traced_ms, 2),
        "glass_untraced_ms": glass_ms["p50"],
        "apart_traced": round(sum_ms / traced_ms - 1, 4),
        "apart_untraced": round(sum_ms / glass_ms["p50"] - 1, 4),
    }


def _print(row: Row) -> None:
    stages, server_ms = row["stages"], row["server_ms"]
    assert isinstance(stages, dict)
    assert isinstance(server_ms, dict)
    print(f"\n{row['preset']} {row['codec']} {row['size']}, {row['frames']} frames")
    print(f"{'stage':16}{'mean':>8}{'p50':>8}{'p95':>8}{'p99':>8}  ms")
    for name, ms in stages.items():
        bar = "#" * round(ms["p50"])
        print(f"{name:16}{ms['mean']:8.2f}{ms['p50']:8.2f}{ms['p95']:8.2f}{ms['p99']:8.2f}  {bar}")
    traced, untraced = float(str(row["apart_traced"])), float(str(row["apart_untraced"]))
    kept = "kept" if abs(traced) <= AGREE_MAX else "BROKEN"
    print(
        f"sum of the medians {row['sum_of_medians_ms']} ms; glass to glass"
        f" {row['glass_traced_ms']} traced ({100 * traced:+.1f} %, {kept}),"
        f" {row['glass_untraced_ms']} untraced ({100 * untraced:+.1f} %)"
    )
    print(
        "server, from the last datagram in to the last send:"
        f" p50 {server_ms['p50']:.2f}, p95 {server_ms['p95']:.2f} ms",
        flush=True,
    )


# Planted delays


def _planted_row(theatre: Theatre, planted: str, options: argparse.Namespace) -> Row:
    """Find a delay that comes and goes: everything else is the same with it and without it."""
    preset = "natural" if planted == planting.IN_WORKER else OFF
    case = Case("chromium", preset, Codec(options.codecs[0]), options.sizes[0])
    try:
        _, _, frames = _observe(theatre, case, PLANT_PERIODS * 2 * TURN_S, planted)
        calm, slowed = by_turn(frames)
    except MeasurementRefused as refused:
        print(f"planted in {planted}: refused: {refused}", flush=True)
        return {"stage": planted, "refused": str(refused)}
    in_stage_ms = _median(slowed, planted) - _median(calm, planted)
    total_ms = _glass(slowed) - _glass(calm)
    received_ms = _received(slowed) - _received(calm)
    print(
        f"planted {PLANTED_MS:.0f} ms in {planted!r}: {in_stage_ms:+.1f} ms there"
        f" ({_verdict(in_stage_ms)}), {received_ms:+.1f} ms until received,"
        f" {total_ms:+.1f} ms in the total ({_verdict(total_ms)});"
        f" {len(slowed)} frames with it, {len(calm)} without",
        flush=True,
    )
    return {
        "stage": planted,
        "preset": preset,
        "planted_ms": PLANTED_MS,
        "in_stage_ms": round(in_stage_ms, 2),
        "until_received_ms": round(received_ms, 2),
        "in_total_ms": round(total_ms, 2),
        "stages_with": sum_up([one for _, one in slowed]),
        "stages_without": sum_up([one for _, one in calm]),
    }


def by_turn(frames: Frames) -> tuple[Frames, Frames]:
    """Part frames without from those with the planted delay, leaving out what follows a change.

    Raises:
        MeasurementRefused: There are too few of one kind.
    """
    calm: Frames = []
    slowed: Frames = []
    for sighting, stages in frames:
        turn, into_s = divmod(sighting.captured_ms / 1000, TURN_S)
        if into_s < CALM_DOWN_S or into_s > TURN_S - BEFORE_CHANGE_S:
            continue
        (slowed if turn % 2 else calm).append((sighting, stages))
    if min(len(calm), len(slowed)) < TURN_FRAMES_MIN:
        raise MeasurementRefused("too few frames with or without the delay")
    return calm, slowed


def _verdict(found_ms: float) -> str:
    return "found" if abs(found_ms - PLANTED_MS) <= PLANT_TOLERANCE_MS else "NOT FOUND"


def _glass(frames: Frames) -> float:
    return percentile([sighting.glass_ms for sighting, _ in frames], 0.5)


def _received(frames: Frames) -> float:
    return percentile([(s.received_ms or 0.0) - s.captured_ms for s, _ in frames], 0.5)


def _median(frames: Frames, name: str) -> float:
    return percentile([stages.get(name, 0.0) for _, stages in frames], 0.5)


# The server's own part


def _crowd_row(viewers: int, seconds: float) -> Row:
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
                with frame_rows(channel, CROWD_ROOM) as rows:
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
