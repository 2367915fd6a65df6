"""The sections of ``filters`` and ``filtered``: what the beauty filter costs and does."""

from collections.abc import Sequence

from benchmarks.reporting.bars import Range, ranges
from benchmarks.reporting.plots import heat_map
from benchmarks.reporting.reading import (
    Entry,
    Row,
    Source,
    entries,
    figures,
    measured,
    number,
    rows,
    text,
)
from benchmarks.reporting.section import Figure, Section
from benchmarks.reporting.tables import (
    Column,
    entry_table,
    grid,
    refusals,
    table,
    table_in_two,
    tiles,
    titled,
)
from benchmarks.reporting.words import exactly, figure, percent, span

# So many missed checks are named in the summary; all are in the section.
MISSED_MAX = 4
_TIMING_COLUMNS = (
    Column("CPU time p50, ms", "p50_ms"),
    Column("p95, ms", "p95_ms"),
    Column("faces", "faces"),
)


def _precise(value: float | None) -> str:
    """Say a value so that it is seen on which side of its limit it is."""
    return exactly(None if value is None else round(value, 3))


_CHECK_COLUMNS = (
    Column("check", "metric"),
    Column("measured", "value", said=_precise),
    Column("limit", "limit"),
    Column("kept", "passed"),
)
_ROOM_COLUMNS = (
    Column("codec", "codec"),
    Column("rooms", "rooms"),
    Column("frames per s", "fps"),
    Column("frames missing", "frames_missing", said=percent),
    Column("added p50, ms", "latency_p50_ms"),
    Column("p95, ms", "latency_p95_ms"),
    Column("CPU time a frame, ms", "cpu_ms_per_frame"),
    Column("of the core", "core_share", said=percent),
    *(
        Column(f"{stage}, ms", f"{stage}_ms")
        for stage in ("decode", "landmarks", "filter", "encode")
    ),
)
_ENCODER_COLUMNS = (
    Column("encoder", "encoder"),
    Column("codec", "codec"),
    Column("b/s", "bitrate_bps"),
    Column("PSNR, dB", "psnr_db"),
    Column("SSIM", "ssim", said=exactly),
    Column("CPU time a frame, ms", "encode_ms"),
)


def draw_filters(sources: Sequence[Source]) -> Section:
    """Draw the filters' times, and whether they kept their limits."""
    timings = entries(sources, "timings", _setting)
    checks = [
        {**row, "metric": text(row, "metric").replace("_", " ")}
        for source in sources
        for row in rows(source.result, "quality")
    ]
    checks.sort(key=lambda row: row.get("passed") is not False)
    drawn = [
        Range(entry.label, p50, [p95] if (p95 := number(entry.row, "p95_ms")) is not None else [])
        for entry in measured(timings)
        if (p50 := number(entry.row, "p50_ms")) is not None
    ]
    plot = ranges("A picture: dot p50, bar to p95", drawn, "ms of CPU time") if drawn else ""
    body = grid(plot, entry_table(timings, _TIMING_COLUMNS, "preset, size, faces"))
    body += _steps(measured(timings)) + titled("Checks", table_in_two(checks, _CHECK_COLUMNS))
    return Section(_check_lines(checks), body, len(timings) - len(measured(timings)))


def draw_filtered(sources: Sequence[Source]) -> Section:
    """Draw what the filter adds to a frame, and how many rooms a core carries."""
    found = entries(sources, "rooms", _rooms)
    drawn = [
        Range(entry.label, p50, [p95] if (p95 := number(entry.row, "latency_p95_ms")) else [])
        for entry in measured(found)
        if (p50 := number(entry.row, "latency_p50_ms")) is not None
    ]
    title = "What the filter adds to a frame: dot p50, bar to p95"
    life = {
        said: (f"{figure(ms)} ms", "")
        for source in sources
        for name, said in (("warm_start_ms", "first frame"), ("end_ms", "gone after the end"))
        if (ms := number(source.result, "life", name)) is not None
    }
    encoders = [row for source in sources for row in rows(source.result, "quality")]
    body = tiles(life) + grid(ranges(title, drawn, "ms") if drawn else "")
    body += titled("Rooms on one core", table([e.row for e in measured(found)], _ROOM_COLUMNS))
    body += refusals(found) + titled("Encoders", table(encoders, _ENCODER_COLUMNS))
    lines = _alone(measured(found)) + _full_core(measured(found))
    return Section(lines, body, len(found) - len(measured(found)))


def _rooms(row: Row) -> str:
    rooms = text(row, "rooms")
    return f"{text(row, 'codec').upper()}, {rooms} room{'s' * (rooms != '1')}"


def _setting(row: Row) -> str:
    faces = text(row, "faces")
    return f"{text(row, 'preset')}, {text(row, 'size')}, {faces} face{'s' * (faces != '1')}"


def _steps(timings: Sequence[Entry]) -> str:
    """Draw how long each step takes with each preset, at the size that was measured first."""
    size, faces = ((text(timings[0].row, name) if timings else "") for name in ("size", "faces"))
    settings = {
        text(e.row, "preset"): figures(e.row, "stages")
        for e in timings
        if (text(e.row, "size"), text(e.row, "faces")) == (size, faces)
    }
    steps = list(dict.fromkeys(step for found in settings.values() for step in found))
    cells = {
        (step.replace("_", " "), preset): ms
        for preset, found in settings.items()
        for step, ms in found.items()
    }
    if not cells:
        return ""
    title = f"CPU time of each step, ms; {size}, faces: {faces}"
    return heat_map(title, cells, [step.replace("_", " ") for step in steps], list(settings), "")


def _check_lines(checks: Sequence[Row]) -> list[Figure]:
    """Say how many checks were kept, and name some that were not."""
    known = [row for row in checks if isinstance(row.get("passed"), bool)]
    missed = [
        f"{text(row, 'metric')} {_precise(number(row, 'value'))}, limit {text(row, 'limit')}"
        for row in known
        if not row["passed"]
    ]
    if not known:
        return []
    more = f"; and {len(missed) - MISSED_MAX} more" if len(missed) > MISSED_MAX else ""
    name = "Checks of the filters that were kept"
    said = f"{len(known) - len(missed)} of {len(known)}"
    note = f"not kept: {'; '.join(missed[:MISSED_MAX])}{more}" if missed else ""
    return [Figure(name, said, note, "all", not missed)]


def _alone(found: Sequence[Entry]) -> list[Figure]:
    return [
        Figure(
            f"The filter adds to a frame, one room, {text(entry.row, 'codec').upper()}",
            f"{figure(number(entry.row, 'latency_p50_ms'))} ms",
            f"p95 {figure(number(entry.row, 'latency_p95_ms'))} ms;"
            f" {figure(number(entry.row, 'cpu_ms_per_frame'))} ms of CPU time",
        )
        for entry in found
        if number(entry.row, "rooms") == 1
    ]


def _full_core(found: Sequence[Entry]) -> list[Figure]:
    counts = [n for entry in found if (n := number(entry.row, "rooms")) is not None]
    if not counts or max(counts) <= 1:
        return []
    full = [entry for entry in found if number(entry.row, "rooms") == max(counts)]
    fps = [value for entry in full if (value := number(entry.row, "fps")) is not None]
    missing = [v for entry in full if (v := number(entry.row, "frames_missing")) is not None]
    return [
        Figure(
            f"Frames per second of {figure(max(counts))} filtered rooms on one core",
            span(fps),
            f"at most {percent(max(missing))} of the frames missing" if missing else "",
        )
    ]
