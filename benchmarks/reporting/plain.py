"""Sections of benchmarks that have nothing to plot, of unknown ones, and of a whole ``suite``."""

from collections.abc import Mapping, Sequence

from benchmarks.reporting.reading import Source, entries, figures, measured, number, rows, text
from benchmarks.reporting.section import Figure, Section
from benchmarks.reporting.tables import Column, plain_table, refusals, table, titled
from benchmarks.reporting.words import counted, figure, heading, percent, span

MEASURED = "measured"
# What every result has, and nobody wants as a figure of its own.
_ABOUT = {"benchmark", "machine", "method", "repeats", "seconds", "limits", "seed"}
_WATCH_COLUMNS = (
    Column("viewers", "viewers"),
    Column("filter", "filter"),
    Column("Firefox as", "firefox"),
    Column("size", "size"),
    Column("frames per s, lowest", "fps_lowest"),
    Column("frames per s", "fps"),
    Column("freezes", "freezes"),
    Column("packets lost", "lost"),
    Column("host's frames per s", "host_fps"),
)
_VIEWERS_COLUMNS = (
    Column("viewers", "viewers"),
    Column("CPU time a packet, µs", "server_cpu_us_per_packet"),
    Column("of a core", "server_cpu_share", said=percent),
    Column("packets a second", "packets_per_s"),
    Column("packets lost", "lost"),
    Column("freezes", "freezes"),
    Column("frames per s, lowest", "fps_min"),
    Column("server's memory, MiB", "server_rss_mib"),
)
_RUN_COLUMNS = (
    Column("file", "name"),
    Column("outcome", "outcome"),
    Column("took, s", "took_s"),
    Column("why", "why"),
    Column("python -m benchmarks", "command"),
)


def draw_plain(sources: Sequence[Source]) -> Section:
    """Draw every list of rows as a table, and the figures beside them as another."""
    parts = []
    refused = 0
    for source in sources:
        lists = [name for name in source.result if name not in _ABOUT]
        for name in lists:
            found = entries([source], name, lambda row: text(row, "name"))
            kept = measured(found)
            refused += len(found) - len(kept)
            parts.append(plain_table([entry.row for entry in kept]) + refusals(found))
        single = {
            str(name): value
            for name, value in source.result.items()
            if name not in _ABOUT and (isinstance(value, str) or number(value) is not None)
        }
        parts.append(plain_table([single]) if single else "")
        parts += [
            titled(heading(str(name)), plain_table([single_figures]))
            for name, value in source.result.items()
            if isinstance(value, Mapping)
            and name not in _ABOUT
            and (single_figures := figures(value))
        ]
    return Section([], "".join(parts), refused)


def draw_watch(sources: Sequence[Source]) -> Section:
    """Draw how many frames browsers show."""
    listed = [row for source in sources for row in rows(source.result, "rows")]
    lowest = [fps for row in listed if (fps := number(row, "fps_lowest")) is not None]
    lines = [Figure("Frames per second in viewers' browsers", span(lowest))] if lowest else []
    return Section(lines, table(listed, _WATCH_COLUMNS))


def draw_viewers(sources: Sequence[Source]) -> Section:
    """Draw what many Python clients lose."""
    results = [source.result for source in sources]
    lines = [
        Figure(
            f"Packets that {counted(int(count), 'viewer')} in Python lost",
            figure(lost),
            f"{figure(number(result, 'server_cpu_us_per_packet'))} µs of CPU time a packet",
        )
        for result in results
        if (count := number(result, "viewers")) is not None
        and (lost := number(result, "lost")) is not None
    ]
    return Section(lines, table(results, _VIEWERS_COLUMNS))


def draw_suite(sources: Sequence[Source]) -> Section:
    """Draw which benchmarks were run, and what became of them."""
    runs = entries(sources, "outcomes", lambda row: text(row, "name"))
    listed = [entry.row for entry in runs]
    done = [row for row in listed if text(row, "outcome") == MEASURED]
    lines = []
    if listed:
        name = "Benchmarks of the suite that were measured"
        lines.append(Figure(name, f"{len(done)} of {len(listed)}"))
    lines += [
        Figure(text(row, "name"), text(row, "outcome"), text(row, "why"))
        for row in listed
        if text(row, "outcome") != MEASURED
    ]
    return Section(lines, table(listed, _RUN_COLUMNS))
