"""The sections of ``soak``, ``tracing``, ``trial`` and ``interruptions``: what must not happen."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.reporting.bars import Range, ranges, simple
from benchmarks.reporting.plots import line_plot
from benchmarks.reporting.reading import (
    Row,
    Source,
    entries,
    inside,
    measured,
    number,
    numbers,
    rows,
    text,
)
from benchmarks.reporting.section import Figure, Section
from benchmarks.reporting.tables import Column, entry_table, grid, table, tiles
from benchmarks.reporting.words import counted, exactly, figure, signed, signed_percent, span

# What the soak calls them, what a reader does, unit, and by how much they are divided for it.
_GROWING = {
    "rss_kib": ("memory", "MiB", 1024.0),
    "descriptors": ("file descriptors", "", 1.0),
    "threads": ("threads", "", 1.0),
    "tasks": ("tasks", "", 1.0),
}
POINTS_MAX = 600
_SLOPE_COLUMNS = (
    Column("what", "said"),
    Column("after the warm-up", "first", said=exactly),
    Column("at the end", "last", said=exactly),
    Column("a minute adds", "per_minute", said=signed),
    Column("allowed", "allowed", said=signed),
    Column("kept", "kept"),
)
_TRACING_COLUMNS = (
    Column("CPU time a packet, µs", "cpu_us_per_packet"),
    Column("more", "more", said=signed_percent),
    Column("rounds", "rounds"),
)
_TRIAL_COLUMNS = (
    Column("times", "times"),
    Column("slower on purpose, %", "slower_percent"),
    Column("quiet about equal runs", "quiet"),
    Column("found the slower one", "found"),
)


def draw_soak(sources: Sequence[Source]) -> Section:
    """Draw what grows while rooms live."""
    lines: list[Figure] = []
    parts = []
    for source in sources:
        slopes = [_slope(row) for row in rows(source.result, "slopes")]
        lines += [_growth(row) for row in slopes]
        lines += _exceptions(source)
        parts.append(_soak_tiles(source))
        parts.append(grid(*_soak_plots(source, slopes)))
        parts.append(table(slopes, _SLOPE_COLUMNS))
    return Section(lines, "".join(parts))


def draw_tracing(sources: Sequence[Source]) -> Section:
    """Draw what the hooks cost."""
    found = entries(sources, "runs", lambda row: text(row, "mode"))
    lines = []
    drawn = {}
    for entry in measured(found):
        cost, more = number(entry.row, "cpu_us_per_packet"), number(entry.row, "more")
        if cost is not None:
            drawn[f"tracing {entry.label}"] = cost
        if cost is not None and more is not None and not entry.label.startswith("without"):
            name = f"CPU time that tracing adds to a packet while it is {entry.label}"
            lines.append(Figure(name, signed_percent(more), f"{figure(cost)} µs in all"))
    plot = simple("A packet through the relay", drawn, "µs of CPU time") if drawn else ""
    body = grid(plot, entry_table(found, _TRACING_COLUMNS, "tracing"))
    return Section(lines, body, len(found) - len(measured(found)))


def draw_trial(sources: Sequence[Source]) -> Section:
    """Draw whether ``compare`` can be trusted."""
    found = entries(sources, "runs", lambda row: f"{text(row, 'times')} times")
    lines = []
    for entry in measured(found):
        quiet, hit, times = (number(entry.row, name) for name in ("quiet", "found", "times"))
        percent = exactly(number(entry.row, "slower_percent"))
        of_all = f"{exactly(times)} times"
        lines += [
            Figure("compare is quiet about two runs of one commit", f"{figure(quiet)} of {of_all}"),
            Figure(f"compare finds {percent} % more work", f"{figure(hit)} of {of_all}"),
        ]
    return Section(lines, entry_table(found, _TRIAL_COLUMNS), len(found) - len(measured(found)))


def draw_interruptions(sources: Sequence[Source]) -> Section:
    """Draw how long the picture stood still."""
    lines = []
    drawn = []
    for source in sources:
        for key, said in (
            ("toggles_ms", "when the filter is switched"),
            ("kills_ms", "when its worker is killed"),
        ):
            if gaps := numbers(source.result, key):
                note = f"median {figure(median(gaps))} ms, {counted(len(gaps), 'time')}"
                name = f"The picture stands still at most, {said}"
                lines.append(Figure(name, f"{figure(max(gaps))} ms", note))
                drawn.append(Range(said, median(gaps), [max(gaps)]))
        still = number(source.result, "undisturbed_ms")
        if still is not None:
            drawn.append(Range("when nothing happens", still))
    title = "Longest gap between two frames: dot median, bar to the worst"
    return Section(lines, grid(ranges(title, drawn, "ms")) if drawn else "")


def _slope(row: Row) -> Row:
    """Say a slope in the units of people."""
    what = text(row, "what")
    said, unit, divisor = _GROWING.get(what, (what, "", 1.0))
    scaled = {
        name: round(value / divisor, 3)
        for name in ("first", "last", "per_minute", "allowed")
        if (value := number(row, name)) is not None
    }
    return {**row, **scaled, "said": f"{said}, {unit}" if unit else said, "unit": unit}


def _growth(row: Row) -> Figure:
    unit = f" {text(row, 'unit')}".rstrip()
    adds, allowed, kept = number(row, "per_minute"), number(row, "allowed"), row.get("kept")
    return Figure(
        f"Growth in a minute, {text(row, 'said').partition(',')[0]}",
        f"{signed(adds)}{unit}",
        f"{exactly(number(row, 'first'))} to {exactly(number(row, 'last'))}{unit}",
        "" if allowed is None else f"at most +{exactly(allowed)}{unit}",
        kept if isinstance(kept, bool) else None,
    )


def _exceptions(source: Source) -> list[Figure]:
    found = source.result.get("exceptions")
    if not isinstance(found, list):
        return []
    joins = figure(number(source.result, "joins"))
    return [Figure("Exceptions in the server's log", str(len(found)), f"during {joins} joins")]


def _soak_tiles(source: Source) -> str:
    names = {
        "joins": "viewers came and went",
        "failed_joins": "of them in vain",
        "toggles": "switches of the filter",
    }
    return tiles(
        {
            said: (figure(value), "")
            for name, said in names.items()
            if (value := number(source.result, name)) is not None
        }
    )


def _soak_plots(source: Source, slopes: Sequence[Row]) -> list[str]:
    """Draw each thing over time, from its lowest value on, and the slope that was found."""
    samples = source.result.get("samples")
    if not isinstance(samples, Mapping):
        return []
    plots = []
    for name, (said, unit, divisor) in _GROWING.items():
        points = _points(inside(samples, name), divisor)
        if not points:
            continue
        found: dict[str, Sequence[tuple[float, float]]] = {}
        slope = next((row for row in slopes if text(row, "what") == name), {})
        per_minute = number(slope, "per_minute")
        if per_minute is not None and len(points) > 1:
            found["slope that was found"] = _trend(points, per_minute)
        found[said] = points
        title = f"{said.capitalize()}, {span([y for _, y in points])} {unit}".strip()
        plots.append(line_plot(title, found, "minutes", unit or "number", from_zero=False))
    return plots


def _points(values: object, divisor: float) -> list[tuple[float, float]]:
    if not isinstance(values, list):
        return []
    pairs = [numbers({"pair": value}, "pair") for value in values]
    points = [(pair[0], pair[1] / divisor) for pair in pairs if len(pair) == 2]
    return points[:: max(1, len(points) // POINTS_MAX)]


def _trend(points: Sequence[tuple[float, float]], per_minute: float) -> list[tuple[float, float]]:
    """Return a line of this slope through the middle of the later three quarters."""
    settled = points[len(points) // 4 :]
    x, y = median(x for x, _ in settled), median(y for _, y in settled)
    ends = settled[0][0], settled[-1][0]
    return [(end, y + per_minute * (end - x)) for end in ends]
