"""What the beauty filters cost and do: time per stage and preset, quality in figures, a report.

Times are those of the one thread that filters, in CPU time, without decoding and encoding: what a
frame needs of a core, whatever else runs on the machine.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from benchmarks.filter_quality import Quality, measure
from benchmarks.filter_report import write_report
from benchmarks.filter_scenes import read_clip, scene
from filters.image import YuvImage
from filters.parameters import NAMES, Parameters
from filters.pipeline import Pipeline
from filters.presets import PRESETS
from filters.stages import default_stages
from mediasrv.processing.face_pipeline import open_detector, open_segmenter

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

Row = dict[str, object]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--frames", type=int, default=60, help="per preset, size and faces")
    parser.add_argument("--sizes", default="360p,720p,1080p")
    parser.add_argument("--faces", default="1,2,4")
    parser.add_argument("--presets", default=",".join(SETTINGS))
    parser.add_argument("--media", type=Path, help="a directory of real clips to use as well")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with pictures")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print tables, return them."""
    cv2.setNumThreads(1)
    timings = list(_timings(options))
    quality = list(measure(options.media))
    _print(timings, quality)
    if options.html is not None:
        write_report(options.html, timings, quality)
        print(f"Wrote {options.html}")
    return {"timings": timings, "quality": [asdict(row) for row in quality]}


def _timings(options: argparse.Namespace) -> Sequence[Row]:
    rows: list[Row] = []
    presets = options.presets.split(",")
    for size in options.sizes.split(","):
        for faces in (int(count) for count in options.faces.split(",")):
            images = scene(*SIZES[size], faces)
            rows += [_time(name, size, faces, images, options.frames) for name in presets]
    if options.media is not None:
        images = read_clip(options.media / CLIP, options.frames)
        rows += [_time(name, "720p clip", 1, images, options.frames) for name in presets]
    rows.append(_time("natural", "720p", 0, [YuvImage.blank(1280, 720)], options.frames))
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
