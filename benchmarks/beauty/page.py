"""One HTML file with the filters' figures, a bar per preset, and pictures before and after."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2

from benchmarks.beauty.measure import Quality, filtered
from benchmarks.beauty.scenes import portrait, rgb_of
from filters.presets import PRESETS
from mediasrv.processing.face_pipeline import open_detector

STYLE = (
    "body{font:15px system-ui;margin:2rem;max-width:70rem}table{border-collapse:collapse}"
    "td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}.missed{background:#fdd}"
    "figure{display:inline-block;margin:.5rem}.bar{fill:#57a}"
)
FACE = (slice(20, 260), slice(110, 340))
BAR_PX_PER_MS = 30


def write_report(
    path: Path, timings: Sequence[Mapping[str, object]], quality: Sequence[Quality]
) -> None:
    """Write the report; it holds its pictures and needs nothing else."""
    parts = [
        f"<!doctype html><meta charset=utf-8><title>Filters</title><style>{STYLE}</style>",
        "<h1>Beauty filters</h1><h2>Presets</h2>",
        _pictures(),
        "<h2>CPU time per picture (p50 dark, p95 light)</h2>",
        _bars(timings),
        "<h2>Quality</h2>",
        _table(quality),
    ]
    path.write_text("\n".join(parts), encoding="utf-8")


def _pictures() -> str:
    detector = open_detector(1)
    figures = []
    for name, parameters in PRESETS.items():
        picture = rgb_of(filtered(portrait(), parameters, detector))[FACE]
        stored = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
        encoded = base64.b64encode(stored).decode()
        figures.append(
            f"<figure><img src='data:image/png;base64,{encoded}' alt='{name}'>"
            f"<figcaption>{name}</figcaption></figure>"
        )
    detector.close()
    return "".join(figures)


def _bars(timings: Sequence[Mapping[str, object]]) -> str:
    rows = []
    for row in timings:
        p50, p95 = float(str(row["p50_ms"])), float(str(row["p95_ms"]))
        bar = (
            f"<svg width='{p95 * BAR_PX_PER_MS + 1:.0f}' height='12'>"
            f"<rect class=bar opacity=.4 width='{p95 * BAR_PX_PER_MS:.0f}' height=12 />"
            f"<rect class=bar width='{p50 * BAR_PX_PER_MS:.0f}' height=12 /></svg>"
        )
        stages = ", ".join(f"{name} {spent}" for name, spent in dict(row["stages"]).items())  # type: ignore[call-overload]
        rows.append(
            f"<tr><td>{row['preset']}<td>{row['size']}<td>{row['faces']}<td>{p50:.2f}"
            f"<td>{p95:.2f}<td style='text-align:left' title='{html.escape(stages)}'>{bar}"
        )
    head = "<tr><th>preset<th>size<th>faces<th>p50 ms<th>p95 ms<th>"
    return f"<table>{head}{''.join(rows)}</table>"


def _table(quality: Sequence[Quality]) -> str:
    rows = [
        f"<tr{'' if row.passed else ' class=missed'}><td>{row.metric}<td>{row.value:.3f}"
        f"<td>{html.escape(row.limit)}<td>{'kept' if row.passed else 'missed'}"
        for row in quality
    ]
    return f"<table><tr><th>metric<th>value<th>limit<th>{''.join(rows)}</table>"
