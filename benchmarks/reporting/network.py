"""The section of ``network``: what a viewer sees behind a bad one."""

from collections.abc import Sequence
from html import escape

from benchmarks.reporting.bars import simple
from benchmarks.reporting.plots import heat_map
from benchmarks.reporting.reading import Entry, Source, entries, measured, number, text
from benchmarks.reporting.section import Figure, Section
from benchmarks.reporting.tables import Column, entry_table, grid, titled
from benchmarks.reporting.words import figure, span

_COLUMNS = (
    Column("frames per s", "fps"),
    Column("freezes in 30 s", "freezes"),
    Column("longest gap, ms", "longest_ms"),
    Column("first picture, ms", "first_ms"),
    Column("back after the blackout, ms", "recovered_ms"),
    Column("packets lost", "lost"),
    Column("NACKs", "nacks"),
    Column("keyframe requests", "plis"),
    Column("joined again", "rejoins"),
    Column("host's frames per s", "host_fps"),
)
_GRID_COLUMNS = (
    Column("picture", "picture"),
    Column("glass p50, ms", "glass_p50_ms"),
    Column("p95, ms", "glass_p95_ms"),
    Column("frames per s", "fps"),
    Column("freezes in 30 s", "freezes"),
    Column("lost", "lost"),
    Column("repaired", "repaired"),
    Column("NACKs", "nacks"),
    Column("keyframe requests", "plis"),
)
_MAPS = {
    "glass_p50_ms": "Glass to glass p50, ms",
    "glass_p95_ms": "Glass to glass p95, ms",
    "fps": "Frames per second",
    "freezes": "Freezes in 30 s",
}


def draw(sources: Sequence[Source]) -> Section:
    """Draw networks one by one, and the grid of losses, jitters and rates."""
    networks = entries(sources, "rows", lambda row: text(row, "network"))
    cells = entries(
        sources,
        "grid",
        lambda row: f"{text(row, 'rate')}, loss {text(row, 'loss')}, jitter {text(row, 'jitter')}",
    )
    body = titled("One network after the other", _draw_networks(networks))
    body += titled("Loss, jitter and rate combined", _draw_grid(cells))
    refused = sum(bool(entry.refused) for entry in (*networks, *cells))
    return Section(_network_lines(measured(networks)) + _grid_lines(measured(cells)), body, refused)


def _draw_networks(networks: Sequence[Entry]) -> str:
    if not networks:
        return ""
    plots = [
        simple(
            title,
            {
                entry.label: value
                for entry in measured(networks)
                if (value := number(entry.row, key)) is not None
            },
            unit,
        )
        for title, key, unit in (
            ("Frames on the screen", "fps", "frames per second"),
            ("Freezes", "freezes", "in 30 s"),
        )
    ]
    return grid(*plots) + entry_table(networks, _COLUMNS, "network")


def _draw_grid(cells: Sequence[Entry]) -> str:
    """Draw a heat map for each figure and rate; columns are jitters, rows losses."""
    parts = []
    for rate in dict.fromkeys(text(entry.row, "rate") for entry in cells):
        inside = [entry for entry in cells if text(entry.row, "rate") == rate]
        losses = list(dict.fromkeys(text(entry.row, "loss") for entry in inside))
        jitters = list(dict.fromkeys(text(entry.row, "jitter") for entry in inside))
        limit = "No limit of the rate" if rate == "none" else f"A link of {rate}"
        maps = []
        for key, title in _MAPS.items():
            values = {
                (text(entry.row, "loss"), text(entry.row, "jitter")): value
                for entry in measured(inside)
                if (value := number(entry.row, key)) is not None
            }
            maps.append(heat_map(title, values, losses, jitters) if values else "")
        said = f"{limit}; loss from top to bottom, jitter from left to right"
        drawn = grid(*maps) or '<p class="empty">All of these were refused.</p>'
        parts.append(f"<h4>{escape(said)}</h4>{drawn}")
    listed = entry_table(cells, _GRID_COLUMNS, "rate, loss, jitter") if cells else ""
    return "".join(parts) + listed


def _network_lines(networks: Sequence[Entry]) -> list[Figure]:
    lines = []
    freezes = {e.label: n for e in networks if (n := number(e.row, "freezes")) is not None}
    if freezes:
        worst = max(freezes, key=freezes.__getitem__)
        still = [name for name, count in freezes.items() if count > 0]
        lines.append(
            Figure(
                f"Networks with freezes, of {len(freezes)}",
                str(len(still)),
                f"most: {figure(freezes[worst])} in 30 s, {worst}" if still else "",
            )
        )
    for entry in networks:
        if (fps := number(entry.row, "fps")) is not None and _is_plain_loss(entry.label):
            gap = figure(number(entry.row, "longest_ms"))
            name = f"Frames per second behind {entry.label}"
            lines.append(Figure(name, figure(fps), f"longest gap {gap} ms"))
        if (back_ms := number(entry.row, "recovered_ms")) is not None:
            lines.append(Figure(f"Picture is back after {entry.label}", f"{figure(back_ms)} ms"))
    return lines


def _is_plain_loss(network: str) -> bool:
    return network.startswith("loss ")


def _grid_lines(cells: Sequence[Entry]) -> list[Figure]:
    delays = {e.label: ms for e in cells if (ms := number(e.row, "glass_p50_ms")) is not None}
    if not delays:
        return []
    worst = max(delays, key=delays.__getitem__)
    return [
        Figure(
            f"Glass to glass p50 in {len(delays)} combinations of loss, jitter and rate",
            f"{span(list(delays.values()))} ms",
            f"most: {worst}",
        )
    ]
