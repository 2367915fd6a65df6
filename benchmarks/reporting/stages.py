"""The section of ``stages``: where the time goes."""

from collections.abc import Mapping, Sequence

from benchmarks.reporting import glass
from benchmarks.reporting.bars import Range, ranges, stacked, waterfall
from benchmarks.reporting.reading import (
    Entry,
    Row,
    Source,
    entries,
    figures,
    measured,
    number,
    stated,
    text,
)
from benchmarks.reporting.section import Figure, Section
from benchmarks.reporting.tables import Column, entry_table, grid, refusals, table, tiles, titled
from benchmarks.reporting.words import exactly, figure, percent, signed, signed_percent, span

_WHOSE = {
    "host": "host's browser",
    **dict.fromkeys(("datagrams in", "unprotect", "frame complete", "to worker"), "server"),
    **dict.fromkeys(("back", "packets", "first send", "last send"), "server"),
    **dict.fromkeys(("network", "viewer buffer", "viewer decode"), "viewer's browser"),
    "viewer paint": "viewer's browser",
}
_WORKER = "filter's worker"
_OWNERS = ("host's browser", "server", _WORKER, "viewer's browser")
_SPREAD = tuple(Column(f"{share}, ms", share) for share in ("p50", "p95", "p99"))
_STAGE_COLUMNS = (Column("stage", "stage"), Column("mean, ms", "mean"), *_SPREAD)
_PLANT_COLUMNS = (
    Column("planted, ms", "planted_ms"),
    Column("found there, ms", "in_stage_ms", said=signed),
    Column("in the total, ms", "in_total_ms", said=signed),
    Column("preset", "preset"),
    Column("size", "size"),
)
_DATAGRAMS = {
    "last": "the frame's last datagram",
    "each": "every datagram",
    "first": "the frame's first datagram",
}


def draw(sources: Sequence[Source]) -> Section:
    """Draw what all files say of the stages."""
    runs = entries(sources, "runs", glass.label)
    plants = entries(sources, "plants", lambda row: text(row, "stage"))
    crowds = entries(sources, "crowd", lambda row: f"{text(row, 'viewers')} viewers")
    ways = measured(runs)
    body = (
        _whose_time(ways)
        + "".join(_draw_way(entry) for entry in ways)
        + refusals(runs)
        + titled("Delays planted on purpose", _draw_plants(plants))
        + "".join(_draw_crowd(entry) for entry in measured(crowds))
        + refusals(crowds)
    )
    lines = [line for entry in ways for line in _way_lines(sources, entry)]
    lines += [line for entry in measured(crowds) for line in _crowd_lines(entry)]
    lines += _plant_lines(measured(plants))
    refused = sum(bool(entry.refused) for entry in (*runs, *plants, *crowds))
    return Section(lines, body, refused)


def _spread_rows(row: Row) -> dict[str, Row]:
    """Return the figures of each stage."""
    found = row.get("stages")
    return (
        {str(name): v for name, v in found.items() if isinstance(v, Mapping)}
        if isinstance(found, Mapping)
        else {}
    )


def _whose_time(ways: Sequence[Entry]) -> str:
    """Draw for each run how the mean time is shared out; means add up to the mean of the whole."""
    bars: dict[str, dict[str, float]] = {}
    for entry in ways:
        for name, values in _spread_rows(entry.row).items():
            ms = number(values, "mean")
            owners = bars.setdefault(entry.label, {})
            owner = _WHOSE.get(name, _WORKER)
            owners[owner] = owners.get(owner, 0.0) + (ms or 0.0)
    if not bars:
        return ""
    shares = [{"label": label, **_shares(parts)} for label, parts in bars.items()]
    columns = [Column("share of the time", "label")]
    columns += [Column(owner, owner, said=percent) for owner in _OWNERS]
    return grid(stacked("Whose time it is, means", bars, "ms", _OWNERS), table(shares, columns))


def _shares(parts: Mapping[str, float]) -> dict[str, float]:
    whole = sum(parts.values())
    return {owner: ms / whole for owner, ms in parts.items()} if whole > 0 else {}


def _draw_way(entry: Entry) -> str:
    row = entry.row
    large = {}
    if (ms := number(row, "glass_traced_ms")) is not None:
        large["glass to glass"] = (f"{figure(ms)} ms", "p50 of the frames below")
    if (ms := number(row, "server_ms", "p50")) is not None:
        p95 = number(row, "server_ms", "p95")
        large["server's own part"] = (f"{figure(ms)} ms", f"p50; p95 {figure(p95)} ms")
    if (ms := number(row, "sum_of_medians_ms")) is not None:
        apart = signed_percent(number(row, "apart_traced"))
        large["sum of the stages' p50"] = (f"{figure(ms)} ms", f"{apart} from glass to glass")
    if (ms := number(row, "glass_untraced_ms")) is not None:
        large["without tracing"] = (f"{figure(ms)} ms", "p50 of a window before it")
    drawn = figures(row, "waterfall")
    fall = _fall(drawn) if drawn else ""
    return titled(entry.label, tiles(large), grid(fall, _stage_table(row)))


def _fall(stages: Mapping[str, float]) -> str:
    whose = {name: _WHOSE.get(name, _WORKER) for name in stages}
    return waterfall("The frame nearest to the median", stages, "ms", whose, _OWNERS)


def _stage_table(row: Row) -> str:
    listed = [{**values, "stage": name} for name, values in _spread_rows(row).items()]
    return table(listed, _STAGE_COLUMNS)


def _draw_plants(plants: Sequence[Entry]) -> str:
    found = [
        Range(entry.label if key == "in_stage_ms" else "", ms, group=where)
        for entry in measured(plants)
        for where, key in (("in the stage", "in_stage_ms"), ("in the total", "in_total_ms"))
        if (ms := number(entry.row, key)) is not None
    ]
    planted = next((ms for e in plants if (ms := number(e.row, "planted_ms")) is not None), None)
    drawn = ranges("More time with the delay than without", found, "ms", planted) if found else ""
    return grid(drawn, entry_table(plants, _PLANT_COLUMNS, "delayed")) if plants else ""


def _draw_crowd(entry: Entry) -> str:
    spreads = [
        (said, figures(entry.row, f"{which}_datagram_ms")) for which, said in _DATAGRAMS.items()
    ]
    drawn = [
        Range(said, ms["p50"], [ms[share] for share in ("p95", "p99") if share in ms])
        for said, ms in spreads
        if "p50" in ms
    ]
    plot = (
        ranges("From its coming in until it has left for the last viewer", drawn, "ms")
        if drawn
        else ""
    )
    listed = table(
        [{**ms, "stage": said} for said, ms in spreads], (Column("from", "stage"), *_SPREAD)
    )
    title = f"The server's own part with {entry.label}"
    return titled(title, grid(plot + listed, _stage_table(entry.row)))


def _way_lines(sources: Sequence[Source], entry: Entry) -> list[Figure]:
    lines = []
    for share, told in (("p50", "last datagram in to last send"), ("p95", "")):
        ms = number(entry.row, "server_ms", share)
        if ms is None:
            continue
        preset = text(entry.row, "preset")
        limit_ms = stated(sources, entry.file, "limits", "server_ms", preset, share)
        lines.append(
            Figure(
                f"Server's own part, {share}, {entry.label}",
                f"{figure(ms)} ms",
                told,
                "" if limit_ms is None else f"{exactly(limit_ms)} ms",
                None if limit_ms is None else ms <= limit_ms,
                is_headline=share == "p50",
            )
        )
    if (apart := number(entry.row, "apart_traced")) is not None:
        limit = stated(sources, entry.file, "limits", "apart")
        lines.append(
            Figure(
                f"Sum of the stages against glass to glass, {entry.label}",
                signed_percent(apart),
                "",
                "" if limit is None else f"within {100 * limit:.0f} %",
                None if limit is None else abs(apart) <= limit,
            )
        )
    return lines


def _crowd_lines(entry: Entry) -> list[Figure]:
    p50, p95 = (number(entry.row, "each_datagram_ms", share) for share in ("p50", "p95"))
    if p50 is None:
        return []
    last = number(entry.row, "last_datagram_ms", "p50")
    limit_ms = number(entry.row, "limit_p50_ms")
    return [
        Figure(
            f"From a datagram in until the last of {entry.label}",
            f"{figure(p50)} ms",
            f"p95 {figure(p95)} ms; from a frame's last datagram p50 {figure(last)} ms",
            "" if limit_ms is None else f"{exactly(limit_ms)} ms",
            None if limit_ms is None else p50 <= limit_ms,
            is_headline=True,
        )
    ]


def _plant_lines(plants: Sequence[Entry]) -> list[Figure]:
    lines = []
    for said, key in (("in its stage", "in_stage_ms"), ("in the total", "in_total_ms")):
        found = [ms for entry in plants if (ms := number(entry.row, key)) is not None]
        planted = [ms for entry in plants if (ms := number(entry.row, "planted_ms")) is not None]
        tolerances = [t for e in plants if (t := number(e.row, "tolerance_ms")) is not None]
        if not found or not planted:
            continue
        limit = f"{exactly(planted[0])} ± {exactly(min(tolerances))} ms" if tolerances else ""
        kept = all(_is_found(entry.row, key) for entry in plants) if tolerances else None
        lines.append(
            Figure(
                f"Planted delay of {exactly(planted[0])} ms, found {said}",
                f"{span(found)} ms",
                f"{len(found)} stages: {', '.join(entry.label for entry in plants)}",
                limit,
                kept,
            )
        )
    return lines


def _is_found(row: Row, key: str) -> bool:
    found, planted = number(row, key), number(row, "planted_ms")
    tolerance = number(row, "tolerance_ms")
    if found is None or planted is None or tolerance is None:
        return False
    return abs(found - planted) <= tolerance
