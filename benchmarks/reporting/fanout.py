"""The section of ``fanout``: what a packet costs, by number of viewers, and where that ends."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from benchmarks.reporting.knee import KNEE_SHARE, knee_of
from benchmarks.reporting.plots import Points, line_plot
from benchmarks.reporting.reading import Entry, Row, Source, entries, measured, number, text
from benchmarks.reporting.section import Figure, Section
from benchmarks.reporting.tables import Column, grid, refusals, table, titled
from benchmarks.reporting.words import exactly, figure, percent

FPS = 30.0
# Ours; the others' rows name themselves.
OURS = "mediasrv"

_COLUMNS = (
    Column("server", "server"),
    Column("viewers", "viewers"),
    Column("CPU time a packet, µs", "cpu_us_per_packet"),
    Column("of its core", "server_core_share", said=percent),
    Column("viewers a core", "viewers_per_core"),
    Column("packets a second", "packets_per_s"),
    Column("last viewer p50, ms", "arrival_ms", "last", "p50"),
    Column("p95, ms", "arrival_ms", "last", "p95"),
    Column("forwarding p99, ms", "forward_ms", "p99"),
    Column("memory a viewer, KiB", "rss_per_viewer_kib"),
    Column("lost", "loss", said=percent),
    Column("load's core", "load", "core_share", said=percent),
)


def draw(sources: Sequence[Source]) -> Section:
    """Draw what all files say of the fan-out: a set of plots for each tempo of the stream."""
    found = _tagged(sources)
    parts = [
        _draw_tempo(tempo, list(rows))
        for tempo, rows in groupby(sorted(found, key=_tempo, reverse=True), key=_tempo)
    ]
    lines = [line for _, lines in parts for line in lines]
    body = "".join(drawn for drawn, _ in parts)
    return Section(lines, body, sum(bool(entry.refused) for entry in found))


def _tagged(sources: Sequence[Source]) -> list[Entry]:
    """Return our rows and the others', each with the tempo of its file."""
    found: list[Entry] = []
    for source in sources:
        tempo = number(source.result, "stream", "tempo") or 1.0
        theirs = source.result.get("vs")
        peers = list(theirs) if isinstance(theirs, dict) else []
        flat = {
            "runs": source.result.get("runs"),
            **{name: theirs[name] for name in peers if isinstance(theirs, dict)},
        }
        for name in flat:
            for entry in entries([Source(source.name, flat)], str(name), _label):
                server = text(entry.row, "server") or (OURS if name == "runs" else str(name))
                row = {**entry.row, "server": server, "tempo": tempo, "file": source.name}
                found.append(Entry(entry.label, row, entry.repeats, entry.file))
    return found


def _label(row: Row) -> str:
    return f"{text(row, 'server')}, {text(row, 'viewers')} viewers"


def _tempo(entry: Entry) -> float:
    return number(entry.row, "tempo") or 1.0


def _draw_tempo(tempo: float, found: Sequence[Entry]) -> tuple[str, list[Figure]]:
    knee = _knee(found, tempo)
    moments = {f"knee: {figure(knee[0])} viewers": knee[0]} if knee else {}
    costs = _lines(found, "cpu_us_per_packet")
    cores: dict[str, Points] = {
        name: [(x, 100 * y) for x, y in points]
        for name, points in _lines(found, "server_core_share").items()
    }
    late: dict[str, Points] = {
        f"{name}, {share}": points
        for share in ("p50", "p95")
        for name, points in _lines(found, "arrival_ms", "last", share).items()
    }
    plots = grid(
        _plot("CPU time of a forwarded packet", costs, "µs", moments),
        _plot("The server's core", cores, "% busy", moments, {"full": 100 * KNEE_SHARE}),
        _plot("Until the last viewer has a frame", late, "ms", moments),
        _plot("Memory of a viewer", _lines(found, "rss_per_viewer_kib"), "KiB", moments),
    )
    speed = "" if tempo == 1 else f" at {exactly(tempo)} of the stream's speed"
    told = f"<p>{_about_knee(found, knee)}</p>"
    title = f"By number of viewers{speed}"
    files = {entry.file for entry in found}
    columns = [*_COLUMNS, *([Column("file", "file")] if len(files) > 1 else [])]
    listed = table([entry.row for entry in measured(found)], columns) + refusals(found)
    return titled(title, told, plots, listed), _figures(found, knee, speed)


def _plot(
    title: str,
    lines: dict[str, Points],
    up: str,
    moments: dict[str, float],
    levels: dict[str, float] | None = None,
) -> str:
    if not lines:
        return ""
    return line_plot(title, lines, "viewers", up, marks=True, moments=moments, levels=levels)


def _ours(found: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in found if text(entry.row, "server") == OURS]


def _lines(found: Sequence[Entry], *path: str) -> dict[str, Points]:
    """Return a line for each server, and for each file that has it."""
    files = {(text(entry.row, "server"), entry.file) for entry in found}
    servers = [server for server, _ in files]
    lines: dict[str, set[tuple[float, float]]] = {}
    for entry in found:
        viewers, value = number(entry.row, "viewers"), number(entry.row, *path)
        if not entry.refused and viewers is not None and value is not None:
            server = text(entry.row, "server")
            name = server if servers.count(server) == 1 else f"{server} ({entry.file})"
            lines.setdefault(name, set()).add((viewers, value))
    return {name: sorted(points) for name, points in lines.items()}


def _knee(found: Sequence[Entry], tempo: float) -> tuple[float, str] | None:
    """Return at how many viewers, and why, it makes no sense to add more."""
    for viewers, entry in _by_viewers(_ours(found)):
        reason = knee_of(entry.row, FPS * max(tempo, 1e-3))
        if reason is not None:
            return viewers, reason.partition(" (")[0]
    return None


def _by_viewers(found: Sequence[Entry]) -> list[tuple[float, Entry]]:
    known = [(n, entry) for entry in found if (n := number(entry.row, "viewers")) is not None]
    return sorted(known, key=lambda pair: pair[0])


def _about_knee(found: Sequence[Entry], knee: tuple[float, str] | None) -> str:
    if knee:
        return f"The knee is at {figure(knee[0])} viewers: {escape(knee[1])}."
    last = [(n, entry) for n, entry in _by_viewers(_ours(found)) if not entry.refused]
    if not last:
        return ""
    viewers, entry = last[-1]
    return (
        f"No knee up to {figure(viewers)} viewers: the server's core was"
        f" {percent(number(entry.row, 'server_core_share'))} busy then. At that cost a core"
        f" carries {figure(number(entry.row, 'viewers_per_core'))}."
    )


def _figures(found: Sequence[Entry], knee: tuple[float, str] | None, speed: str) -> list[Figure]:
    ours = [(n, entry) for n, entry in _by_viewers(_ours(found)) if not entry.refused]
    if not ours:
        return []
    viewers, entry = ours[-1]
    row, crowd = entry.row, f"{figure(ours[-1][0])} viewers{speed}"
    late_p95 = number(row, "arrival_ms", "last", "p95")
    lines = [
        Figure(
            f"CPU time of a forwarded packet, {crowd}",
            f"{figure(number(row, 'cpu_us_per_packet'))} µs",
            f"{percent(number(row, 'server_core_share'))} of a core",
            is_headline=not speed,
        ),
        Figure(
            f"Until the last has a frame, {crowd}",
            f"{figure(number(row, 'arrival_ms', 'last', 'p50'))} ms",
            f"p95 {figure(late_p95)} ms; {percent(number(row, 'loss'))} of the packets lost",
        ),
        Figure(
            f"Knee of the fan-out{speed}",
            f"{figure(knee[0])} viewers" if knee else f"beyond {figure(viewers)} viewers",
            knee[1] if knee else "",
            is_headline=not speed,
        ),
    ]
    for name, ratios in _ratios(found).items():
        at, ratio = max(ratios)
        said = f"CPU time of a forwarded packet, ours against {name}'s"
        lines.append(Figure(said, f"{figure(ratio)} times", f"{figure(at)} viewers{speed}"))
    return lines


def _ratios(found: Sequence[Entry]) -> dict[str, list[tuple[float, float]]]:
    """Return our cost by the others', by number of viewers."""
    ratios: dict[str, list[tuple[float, float]]] = {}
    for entry in found:
        viewers, ratio = number(entry.row, "viewers"), number(entry.row, "ratio")
        if viewers is not None and ratio is not None and not entry.refused:
            ratios.setdefault(text(entry.row, "server"), []).append((viewers, ratio))
    return ratios
