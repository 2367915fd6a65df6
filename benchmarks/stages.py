"""Where a frame's time goes from glass to glass, stage by stage, and whether that can be trusted.

The server notes the moments of each frame on the benchmark channel (``mediasrv serve --trace``),
the viewer's browser its own, the camera draws the first one into the picture; they are joined by
the RTP timestamp of the last hop. ``--plant`` slows stages down by 20 ms on purpose, now and then,
and looks where the time turns up. ``--crowd`` measures the server's own part with so many viewers.
"""

import argparse
from pathlib import Path

from benchmarks.glass import OFF, Case, Theatre, stage
from benchmarks.latency.clocks import require_fine_clock
from benchmarks.latency.feed import SIZES
from benchmarks.latency.own_part import crowd_row
from benchmarks.latency.planted_rows import PLANTS, planted_row
from benchmarks.latency.planted_rows import SIZE as PLANTED_SIZE
from benchmarks.latency.sightings import Observation, figures, spread
from benchmarks.latency.traced import Frames, traceable
from benchmarks.latency.waterfall import Stages, middle_frame, sum_up, totals_ms
from benchmarks.rig.lists import name_list
from benchmarks.rig.machine import percentile
from benchmarks.rig.refusal import MeasurementRefused
from filters.presets import PRESETS
from mediasrv.media import Codec

SECONDS = 10.0
AGREE_MAX = 0.10
# The server's own part with the filter, at 720p and 30 frames per second.
SERVER_LIMITS_MS = {"natural": {"p50": 15.0, "p95": 25.0}}
METHOD = (
    "moments of each frame on CLOCK_MONOTONIC from the camera's time code, the server's benchmark "
    "channel and the viewer's requestVideoFrameCallback, joined by RTP timestamp; the browser "
    "tells what its jitter buffer holds as a mean only"
)

Row = dict[str, object]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--presets", type=_presets, default=[OFF, "natural"], help="or none")
    parser.add_argument("--codecs", type=name_list(Codec), default=["vp8"])
    parser.add_argument("--sizes", type=name_list(SIZES), default=["720p"])
    parser.add_argument("--clip", type=Path, help="what the camera shows; default: a drawn scene")
    parser.add_argument(
        "--plant", type=name_list(PLANTS), default=[], help="stages to slow down, or all"
    )
    parser.add_argument("--crowd", type=int, metavar="VIEWERS", help="the server's own part")


def _presets(text: str) -> list[str]:
    return [] if text == "none" else name_list((OFF, *PRESETS))(text)


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print waterfalls, return them."""
    require_fine_clock()
    result: dict[str, object] = {"seconds": options.seconds}
    if options.crowd:
        result["crowd"] = [crowd_row(options.crowd, options.seconds)]
        return result
    runs = []
    sizes = [*options.sizes, *([PLANTED_SIZE] if options.plant else [])]
    with stage(sizes, options.clip) as theatre:
        for size in options.sizes:
            for codec in options.codecs:
                for preset in options.presets:
                    case = Case("chromium", preset, Codec(codec), size)
                    runs.append(_traced_row(theatre, case, options.seconds))
        plants = [
            planted_row(theatre, planted, Codec(options.codecs[0])) for planted in options.plant
        ]
    return {
        **result,
        "limits": {"apart": AGREE_MAX, "server_ms": SERVER_LIMITS_MS},
        "runs": runs,
        "plants": plants,
    }


def _traced_row(theatre: Theatre, case: Case, seconds: float) -> Row:
    try:
        with traceable(theatre, case) as watched:
            untraced = watched.pair.observe(seconds)
            traced, frames = watched.observe(seconds)
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
