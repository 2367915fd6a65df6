"""The sections of ``join``, ``rush``, ``narrow`` and ``stalled``: viewers who come, and others."""

from collections.abc import Mapping, Sequence

from benchmarks.reporting.bars import Range, ranges, waterfall
from benchmarks.reporting.plots import distribution, line_plot
from benchmarks.reporting.reading import (
    Entry,
    Row,
    Source,
    entries,
    figures,
    inside,
    measured,
    number,
    numbers,
    rows,
    stated,
    text,
)
from benchmarks.reporting.section import Figure, Section
from benchmarks.reporting.tables import Column, entry_table, grid, table, titled
from benchmarks.reporting.words import exactly, figure, mebibytes, percent, signed_percent

_SHARES = ("p50", "p95", "p99", "max")
_STEP_COLUMNS = (Column("step", "step"), *(Column(f"{share}, ms", share) for share in _SHARES))
_CROWD_COLUMNS = (
    Column("saw a frame", "saw_a_frame"),
    *(Column(f"wait {share}, ms", "wait_ms", share) for share in ("p50", "p95", "max")),
    Column("keyframe requests", "keyframe_requests"),
    Column("server's core", "server_core_share", said=percent),
    Column("load's core", "load_core_share", said=percent),
)
_STALLED_COLUMNS = (
    Column("stopped", "stalled"),
    Column("others", "others"),
    Column("seconds", "seconds"),
    Column("memory before, MiB", "rss_before_kib", said=mebibytes),
    Column("at most, MiB", "rss_most_kib", said=mebibytes),
    Column("after, MiB", "rss_after_kib", said=mebibytes),
    Column("others' packets", "others_packets"),
    Column("of that lost", "others_lost"),
)
_NARROW_COLUMNS = (
    Column("others' delay p50, ms", "p50_ms"),
    Column("p95, ms", "p95_ms"),
    Column("packets lost", "lost"),
    Column("a guest got, kb/s", "guest_kbps"),
)


def draw_join(sources: Sequence[Source]) -> Section:
    """Draw how long viewers wait who come one after the other, and all at once."""
    together = entries(sources, "at_once", lambda row: f"{text(row, 'viewers')} viewers at once")
    samples = {s.name: numbers(s.result, "joins_ms") for s in sources}
    samples = {name: values for name, values in samples.items() if values}
    body = "".join(_phases(source) for source in sources)
    if samples:
        waits = "first picture after the offer, one viewer after the other"
        body += grid(distribution(f"Distribution: {waits}", samples, "ms", "of the viewers within"))
    body += "".join(_steps(entry) for entry in measured(together))
    body += entry_table(together, _CROWD_COLUMNS) if together else ""
    lines = [line for source in sources for line in _join_lines(source)]
    lines += [line for entry in measured(together) for line in _wait_lines(entry, None)]
    return Section(lines, body, len(together) - len(measured(together)))


def draw_rush(sources: Sequence[Source]) -> Section:
    """Draw how long viewers wait who come within two seconds."""
    found = entries(sources, "runs", lambda row: f"{text(row, 'viewers')} viewers")
    body = "".join(_steps(entry) for entry in measured(found)) + entry_table(found, _CROWD_COLUMNS)
    lines = []
    for entry in measured(found):
        lines += _wait_lines(entry, stated(sources, entry.file, "limits", "wait_ms"))
        asked = number(entry.row, "keyframe_requests")
        limit = stated(sources, entry.file, "limits", "keyframe_requests")
        if asked is not None:
            name = f"Keyframe requests to the host, {entry.label}"
            lines.append(_at_most(name, asked, "", limit, ""))
    return Section(lines, body, len(found) - len(measured(found)))


def draw_narrow(sources: Sequence[Source]) -> Section:
    """Draw what others notice of viewers with little bandwidth."""
    lines: list[Figure] = []
    shown: list[Row] = []
    for source in sources:
        for kind in ("wide", "narrow"):
            listed = rows(source.result, "runs", kind)
            shown += [{**r, "label": f"{kind} guests, {i + 1}"} for i, r in enumerate(listed)]
        change = number(source.result, "change")
        if change is not None:
            limit = number(source.result, "limits", "change")
            lines.append(
                Figure(
                    "The others' delay with narrow guests beside them",
                    signed_percent(change),
                    "median of the runs' p50, against guests with room",
                    "" if limit is None else f"at most +{exactly(100 * limit)} %",
                    None if limit is None else change <= limit,
                )
            )
    drawn = [
        Range(str(row["label"]), p50, _known(row, "p95_ms"), str(row["label"]).partition(",")[0])
        for row in shown
        if (p50 := number(row, "p50_ms")) is not None
    ]
    plot = ranges("The others' delay: dot p50, bar to p95", drawn, "ms") if drawn else ""
    return Section(lines, grid(plot, table(shown, (Column("beside", "label"), *_NARROW_COLUMNS))))


def draw_stalled(sources: Sequence[Source]) -> Section:
    """Draw what viewers cost who stop reading."""
    found = entries(sources, "runs", lambda row: f"{text(row, 'stalled')} viewers stopped")
    lines: list[Figure] = []
    plots = []
    for entry in measured(found):
        limit_kib = stated(sources, entry.file, "limits", "growth_kib")
        lines += _stalled_lines(entry, limit_kib, stated(sources, entry.file, "limits", "loss"))
        memory = numbers(entry.row, "rss_kib")
        if memory:
            points = [(float(i), kib / 1024) for i, kib in enumerate(memory)]
            levels = {} if limit_kib is None else {"limit": (memory[0] + limit_kib) / 1024}
            title = f"The server's memory, {entry.label}"
            plots.append(
                line_plot(
                    title, {"memory": points}, "seconds", "MiB", from_zero=False, levels=levels
                )
            )
    body = grid(*plots) + entry_table(found, _STALLED_COLUMNS)
    return Section(lines, body, len(found) - len(measured(found)))


def _spoken(step: str) -> str:
    """Say a step's name; protocols are abbreviations."""
    return step.upper() if step in {"ice", "dtls"} else step


def _known(row: Row, *names: str) -> list[float]:
    return [value for name in names if (value := number(row, name)) is not None]


def _phases(source: Source) -> str:
    """Draw the medians of the phases one after the other, and their table."""
    found = rows(source.result, "phases")
    medians = {
        _spoken(text(r, "phase")): p50 for r in found if (p50 := number(r, "p50")) is not None
    }
    if not medians:
        return ""
    listed = table([{**row, "step": _spoken(text(row, "phase"))} for row in found], _STEP_COLUMNS)
    fall = waterfall("Medians of the phases, from the offer on", medians, "ms")
    return titled("One viewer after the other", grid(fall, listed))


def _steps(entry: Entry) -> str:
    """Draw what the viewers of a crowd waited for."""
    steps = inside(entry.row, "steps_ms")
    if not isinstance(steps, Mapping):
        return ""
    listed = [{"step": _spoken(str(name)), **figures(values)} for name, values in steps.items()]
    medians = {str(r["step"]): p50 for r in listed if (p50 := number(r, "p50")) is not None}
    listed.append({"step": "in all", **figures(entry.row, "wait_ms")})
    fall = waterfall("Medians of the steps", medians, "ms") if medians else ""
    return titled(entry.label, grid(fall, table(listed, _STEP_COLUMNS)))


def _join_lines(source: Source) -> list[Figure]:
    lines = []
    found = figures(source.result, "first_frame_ms")
    if "p95" in found:
        name = "A viewer's first picture after its offer, p95"
        note = f"p50 {figure(found.get('p50'))} ms"
        limit = number(source.result, "limit_p95_ms")
        lines.append(_at_most(name, found["p95"], " ms", limit, note, is_headline=True))
    if (clicked := number(source.result, "from_navigation_ms", "p50")) is not None:
        name = "A viewer's first picture after the click on the link, p50"
        lines.append(Figure(name, f"{figure(clicked)} ms"))
    return lines


def _wait_lines(entry: Entry, limit_ms: float | None) -> list[Figure]:
    wait = figures(entry.row, "wait_ms")
    seen, came = number(entry.row, "saw_a_frame"), number(entry.row, "viewers")
    lines = []
    if "max" in wait:
        name = f"Longest wait for a picture, {entry.label}"
        note = f"p50 {figure(wait.get('p50'))} ms; {figure(seen)} of {figure(came)} saw one"
        lines.append(_at_most(name, wait["max"], " ms", limit_ms, note))
    return lines


def _stalled_lines(entry: Entry, limit_kib: float | None, loss_limit: float | None) -> list[Figure]:
    before, most = number(entry.row, "rss_before_kib"), number(entry.row, "rss_most_kib")
    lost = number(entry.row, "others_lost")
    lines = []
    if before is not None and most is not None:
        name = f"The server's memory grows by, {entry.label}"
        lines.append(_at_most(name, most - before, " KiB", limit_kib, ""))
    if lost is not None:
        name = f"Packets that the others lost, {entry.label}"
        lines.append(_at_most(name, lost, "", loss_limit, ""))
    return lines


def _at_most(
    name: str,
    value: float,
    unit: str,
    limit: float | None,
    note: str,
    *,
    is_headline: bool = False,
) -> Figure:
    return Figure(
        name,
        f"{figure(value)}{unit}",
        note,
        "" if limit is None else f"at most {exactly(limit)}{unit}",
        None if limit is None else value <= limit,
        is_headline,
    )
