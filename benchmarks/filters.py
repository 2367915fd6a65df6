"""What the beauty filters cost and do: time per stage and preset, quality in figures, a report.

Times are those of the one thread that filters, in CPU time, without decoding and encoding: what a
frame needs of a core, whatever else runs on the machine.
"""

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks.beauty.figures import measure
from benchmarks.beauty.measure import Quality, at_most
from benchmarks.beauty.page import write_report
from benchmarks.beauty.scenes import read_clip, scene
from benchmarks.rig.lists import count_list, name_list
from filters.image import YuvImage
from filters.parameters import NAMES, Parameters
from filters.pipeline import Pipeline
from filters.presets import PRESETS
from filters.stages import default_stages
from mediasrv.processing.face_pipeline import open_detector, open_face_pipeline, open_segmenter

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
CLIP = "clip_woman_1280x720.mp4"
WARM_UP = 6
BACKGROUND = {"background_blur": 60}
# "all" is every filter but those for backgrounds, which cost a net of their own.
SETTINGS = {
    **PRESETS,
    "all": Parameters(**{name: 60 for name in NAMES if not name.startswith("background")}),
    "blur": Parameters(**BACKGROUND),
    "natural+blur": Parameters(**{**PRESETS["natural"].as_dict(), **BACKGROUND}),
}

# Of pictures of one preset, size and number of faces; they are filtered as fast as they can be.
SECONDS, FPS = 2.0, 30

# What one face at 720p may cost: median, and 95th percentile where there is a limit on it.
LIMITS_MS: Mapping[str, tuple[float, float | None]] = {"natural": (4.5, 6.5), "all": (12.0, None)}
BLUR_LIMIT_MS, NO_FACE_LIMIT_MS = 6.0, 2.5
MEMORY_LIMIT_MB = 4.0

Row = dict[str, object]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--sizes", type=name_list(SIZES), default=list(SIZES))
    parser.add_argument("--faces", type=count_list, default=[1, 2, 4])
    parser.add_argument("--presets", type=name_list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--media", type=Path, help="a directory of real clips to use as well")
    parser.add_argument("--soak-minutes", type=float, default=0, help="of pictures, for memory")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with pictures")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print tables, return them."""
    cv2.setNumThreads(1)
    timings = list(_timings(options))
    quality = [*_times_kept(timings), *measure(options.media)]
    if options.soak_minutes > 0:
        quality.append(soak(options.soak_minutes))
    _print(timings, quality)
    if options.html is not None:
        write_report(options.html, timings, quality)
        print(f"Wrote {options.html}")
    return {"timings": timings, "quality": [asdict(row) for row in quality]}


def _times_kept(timings: Sequence[Row]) -> Iterable[Quality]:
    """The limits on time, for one face at 720p, as far as it was measured."""
    figures = {
        (row["preset"], row["faces"]): (float(str(row["p50_ms"])), float(str(row["p95_ms"])))
        for row in timings
        if row["size"] == "720p"
    }
    for preset, (p50_ms, p95_ms) in LIMITS_MS.items():
        if (preset, 1) in figures:
            yield at_most(f"time_{preset}_p50_ms", figures[preset, 1][0], p50_ms)
            if p95_ms is not None:
                yield at_most(f"time_{preset}_p95_ms", figures[preset, 1][1], p95_ms)
    if {("natural", 1), ("natural+blur", 1)} <= set(figures):
        more_ms = figures["natural+blur", 1][0] - figures["natural", 1][0]
        yield at_most("time_of_blur_p50_ms", more_ms, BLUR_LIMIT_MS)
    if ("natural", 0) in figures:
        yield at_most("time_no_face_p50_ms", figures["natural", 0][0], NO_FACE_LIMIT_MS)


def soak(minutes: float) -> Quality:
    """Memory gained over so many minutes of pictures at 30 a second, as fast as they can be had."""
    images = scene(1280, 720, 1)
    pipeline = open_face_pipeline()
    count = round(minutes * 60 * FPS)
    settled = min(count // 10, 300)
    before_mb = after_mb = 0.0
    for n in range(count):
        pipeline.apply(images[n % len(images)].copy(), PRESETS["natural"])
        if n == settled:
            before_mb = _resident_mb()
    after_mb = _resident_mb()
    return at_most(f"memory_growth_{minutes:g}_minutes_mb", after_mb - before_mb, MEMORY_LIMIT_MB)


def _resident_mb() -> float:
    resident_bytes: int = psutil.Process().memory_info().rss
    return resident_bytes / 1e6


def _timings(options: argparse.Namespace) -> Sequence[Row]:
    rows: list[Row] = []
    presets, frames = options.presets, max(1, round(FPS * options.seconds))
    for size in options.sizes:
        for faces in options.faces:
            images = scene(*SIZES[size], faces)
            rows += [_time(name, size, faces, images, frames) for name in presets]
    if options.media is not None:
        images = read_clip(options.media / CLIP, frames)
        rows += [_time(name, "720p clip", 1, images, frames) for name in presets]
    rows.append(_time("natural", "720p", 0, [YuvImage.blank(1280, 720)], frames))
    return rows


def _time(name: str, size: str, faces: int, images: Sequence[YuvImage], count: int) -> Row:
    parameters = SETTINGS[name]
    detector = open_detector(max(1, faces))
    pipeline = Pipeline(detector, default_stages(open_segmenter()))
    totals_ms: list[float] = []
    stages: dict[str, list[int]] = {}
    for n in range(WARM_UP + count):
        image = images[n % len(images)].copy()
        started_s = time.thread_time()
        applied = pipeline.apply(image, parameters)
        spent_ms = (time.thread_time() - started_s) * 1e3
        if n >= WARM_UP:
            totals_ms.append(spent_ms)
            for stage, spent_us in applied.durations_us.items():
                stages.setdefault(stage, []).append(spent_us)
    detector.close()
    return {
        "preset": name,
        "size": size,
        "faces": faces,
        "p50_ms": round(float(np.percentile(totals_ms, 50)), 3),
        "p95_ms": round(float(np.percentile(totals_ms, 95)), 3),
        "stages": {
            stage: round(float(np.median(spent_us)) / 1e3, 3) for stage, spent_us in stages.items()
        },
    }


def _print(timings: Sequence[Row], quality: Sequence[Quality]) -> None:
    print(f"{'preset':14}{'size':>10}{'faces':>6}{'p50 ms':>9}{'p95 ms':>9}")
    for row in timings:
        print(
            f"{row['preset']:14}{row['size']:>10}{row['faces']:>6}"
            f"{row['p50_ms']:>9.2f}{row['p95_ms']:>9.2f}"
        )
    print(f"\n{'metric':36}{'value':>10}  limit")
    for figure in quality:
        failed = "" if figure.passed else "  MISSED"
        print(f"{figure.metric:36}{figure.value:>10.3f}  {figure.limit}{failed}")
