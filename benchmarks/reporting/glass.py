"""The section of ``glass``: from the camera to the screen."""

from collections.abc import Sequence
from statistics import median

from benchmarks.reporting.bars import Range, ranges
from benchmarks.reporting.plots import distribution
from benchmarks.reporting.reading import (
    Entry,
    Row,
    Source,
    entries,
    figures,
    measured,
    number,
    numbers,
    stated,
    text,
    words,
)
from benchmarks.reporting.section import Figure, Section
from benchmarks.reporting.tables import Column, entry_table, grid, titled
from benchmarks.reporting.words import exactly, figure, percent, span

OFF = "off"
# So many curves in one plot can still be told apart.
CURVES_MAX = 7
# With more rows each size has plots of its own.
ROWS_MAX = 16
_SERVER = "chromium"

_COLUMNS = (
    Column("p50, ms", "glass_ms", "p50"),
    Column("p95, ms", "glass_ms", "p95"),
    Column("p99, ms", "glass_ms", "p99"),
    Column("repeats: p50 from to, ms", "repeats_ms"),
    Column("they differ by", "repeats_apart", said=percent),
    Column("jitter, ms", "jitter_ms"),
    Column("frames per s", "fps"),
    Column("freezes", "freezes"),
    Column("longest gap, ms", "longest_gap_ms"),
    Column("cores in use", "cores_in_use"),
    Column("of that browsers", "browsers_cpu_share", said=percent),
)


def draw(sources: Sequence[Source]) -> Section:
    """Draw what all files say of glass to glass."""
    found = sorted(entries(sources, "runs", label), key=_place)
    kept = measured(found)
    shown = [_with_repeats(entry) for entry in found]
    body = grid(*_by_size(kept)) + titled("All measurements", entry_table(shown, _COLUMNS))
    lines = _headlines(sources, kept) + _others(kept)
    return Section(lines, body, len(found) - len(kept))


def _place(entry: Entry) -> tuple[int, str]:
    """Put small pictures first, and codecs side by side."""
    digits = "".join(
        character for character in text(entry.row, "size") if character in "0123456789"
    )
    return int(digits[:6] or 0), text(entry.row, "codec")


def label(row: Row) -> str:
    """Name a row by what tells it from the others."""
    path = text(row, "path")
    way = "" if path == _SERVER else f"{path} "
    sound = " with sound" if row.get("sound") is True else ""
    codec = text(row, "codec").upper()
    return f"{way}{text(row, 'preset')} {codec} {text(row, 'size')}".strip() + sound


def _with_repeats(entry: Entry) -> Entry:
    p50_ms = entry.over_repeats("glass_ms", "p50")
    cores = figures(entry.row, "cores")
    more: dict[str, object] = {"cores_in_use": sum(cores.values())} if cores else {}
    if len(p50_ms) > 1:
        more["repeats_ms"] = f"{len(p50_ms)}: {span(p50_ms)}"
        if median(p50_ms) > 0:
            more["repeats_apart"] = (max(p50_ms) - min(p50_ms)) / median(p50_ms)
    return Entry(entry.label, {**entry.row, **more}, entry.repeats, entry.file)


def _by_size(kept: Sequence[Entry]) -> list[str]:
    """Draw the delays of each size, and their distributions; few of them all together."""
    sizes: dict[str, list[Entry]] = {}
    for entry in kept:
        sizes.setdefault(text(entry.row, "size") if len(kept) > ROWS_MAX else "", []).append(entry)
    return [
        plot for size, inside in sizes.items() for plot in (_delays(size, inside), *_curves(inside))
    ]


def _delays(size: str, kept: Sequence[Entry]) -> str:
    rows = []
    for entry in kept:
        p50 = number(entry.row, "glass_ms", "p50")
        ends = [number(entry.row, "glass_ms", share) for share in ("p95", "p99")]
        if p50 is not None:
            group = words(entry.row, "path", "codec")
            rows.append(Range(entry.label, p50, [end for end in ends if end is not None], group))
    title = f"Delay {size}".strip() + ": dot p50, bar to p95, line to p99"
    return ranges(title, rows, "ms, glass to glass") if rows else ""


def _curves(kept: Sequence[Entry]) -> list[str]:
    """Draw a plot for each size and codec, or fewer when there are few curves."""
    samples = {entry.label: numbers(entry.row, "samples_ms") for entry in kept}
    curves = [entry for entry in kept if samples[entry.label]]
    panels: dict[str, list[Entry]] = {}
    for entry in curves:
        drawn = f"{text(entry.row, 'size')} {text(entry.row, 'codec').upper()}"
        where = drawn if len(curves) > CURVES_MAX else ""
        panels.setdefault(where, []).append(entry)
    return [
        distribution(
            f"Distribution {where}".strip(),
            {entry.label: samples[entry.label] for entry in inside[first : first + CURVES_MAX]},
            "ms, glass to glass",
            "of the frames within",
        )
        for where, inside in panels.items()
        for first in range(0, len(inside), CURVES_MAX)
    ]


def _headlines(sources: Sequence[Source], kept: Sequence[Entry]) -> list[Figure]:
    """Tell one figure for each preset through the server: the one that was seen most often."""
    best: dict[str, Entry] = {}
    for entry in kept:
        preset = text(entry.row, "preset")
        if text(entry.row, "path") not in {_SERVER, ""} or preset not in {OFF, "natural"}:
            continue
        if preset not in best or _weight(entry) > _weight(best[preset]):
            best[preset] = entry
    return [_headline(sources, preset, entry) for preset, entry in best.items()]


def _weight(entry: Entry) -> tuple[bool, int, int]:
    return (
        text(entry.row, "size") == "720p",
        len(entry.repeats),
        len(numbers(entry.row, "samples_ms")),
    )


def _headline(sources: Sequence[Source], preset: str, entry: Entry) -> Figure:
    p50, p95 = (number(entry.row, "glass_ms", share) for share in ("p50", "p95"))
    limit = _limit_ms(sources, entry)
    again = entry.over_repeats("glass_ms", "p50")
    notes = [f"p95 {figure(p95)} ms"]
    if len(again) > 1:
        notes.append(f"p50 of {len(again)} runs {span(again)} ms")
    name = "filter off" if preset == OFF else f"filter {preset}"
    codec, size = text(entry.row, "codec").upper(), text(entry.row, "size")
    return Figure(
        f"Glass to glass, {name}, {codec} {size}",
        f"{figure(p50)} ms",
        "; ".join(notes),
        "" if limit is None else f"at most {exactly(limit)} ms",
        None if limit is None or p50 is None else p50 <= limit,
        is_headline=True,
    )


def _limit_ms(sources: Sequence[Source], entry: Entry) -> float | None:
    """Return the limit that the row's file states for it: those hold for 720p."""
    if text(entry.row, "size") != "720p":
        return None
    return stated(sources, entry.file, "limits", "p50_ms", text(entry.row, "preset"))


def _others(kept: Sequence[Entry]) -> list[Figure]:
    delays = {e.label: ms for e in kept if (ms := number(e.row, "glass_ms", "p50")) is not None}
    freezes = [count for e in kept if (count := number(e.row, "freezes")) is not None]
    lines = []
    if len(delays) > 2:
        best, worst = min(delays, key=delays.__getitem__), max(delays, key=delays.__getitem__)
        lines.append(
            Figure(
                f"All {len(delays)} ways, presets, codecs and sizes, p50",
                f"{span(list(delays.values()))} ms",
                f"least: {best}; most: {worst}",
            )
        )
    if freezes:
        note = f"in {len(freezes)} windows"
        lines.append(Figure("Freezes of 200 ms and more", figure(sum(freezes)), note))
    return lines
