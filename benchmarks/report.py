"""``python -m benchmarks report FILE.json ... --html OUT.html``: one page that needs nothing else.

Figures and plots only: no script, no picture, no request to anywhere.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.plots import distribution, heat_map, line_plot, waterfall
from benchmarks.report_tables import shown, table

Result = Mapping[str, Any]
Row = Mapping[str, Any]

TILES_MAX = 8
_LABELS = ("path", "preset", "codec", "size")
_WHOSE = {
    "host": "host's browser",
    **dict.fromkeys(("datagrams in", "unprotect", "frame complete", "to worker"), "server"),
    **dict.fromkeys(("back", "packets", "first send", "last send"), "server"),
    **dict.fromkeys(("network", "viewer buffer", "viewer decode"), "viewer's browser"),
    "viewer paint": "viewer's browser",
}
_GLASS_FIGURES = ("glass_ms", "jitter_ms", "fps", "freezes", "longest_gap_ms", "frames", "sent")
_FANOUT_FIGURES = (
    *("server", "viewers", "cpu_us_per_packet", "viewers_per_core", "server_core_share"),
    *("rss_per_viewer_kib", "loss"),
)

_STYLE = Path(__file__).with_suffix(".css")

_HOW_TO_READ = {
    "glass": "From the moment the camera hands a picture over until the viewer's browser composites"
    " it. The row “direct” goes from browser to browser without the server: what it takes is the"
    " browsers' own.",
    "stages": "Where that time goes. Each bar begins where the one before ends; the frame drawn is"
    " the one whose whole is nearest to the median.",
    "fanout": "What one forwarded packet costs the server's process. The knee is where the line"
    " ends: beyond it the server's core is full or packets come late.",
    "network": "What a viewer behind a bad network sees, by loss, jitter and rate of its link.",
    "filters": "CPU time of one thread for one picture.",
    "join": "How long a viewer waits for the first picture, and for what.",
    "soak": "What grows while rooms come and go: it should be nothing.",
}


def main(arguments: list[str] | None = None) -> int:
    """Write the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.json")
    parser.add_argument("--html", type=Path, required=True, metavar="OUT.html")
    options = parser.parse_args(arguments)
    try:
        results = [json.loads(path.read_text()) for path in options.files]
    except (OSError, ValueError) as exc:
        print(f"cannot read: {exc}", file=sys.stderr)
        return 2
    options.html.write_text(page(results))
    print(f"wrote {options.html}")
    return 0


def page(results: Sequence[Result]) -> str:
    """Return the whole page."""
    sections = "".join(_section(number, result) for number, result in enumerate(results))
    links = "".join(
        f'<a href="#part-{number}">{escape(_name(result))}</a>'
        for number, result in enumerate(results)
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
        " style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width"><title>mediasrv benchmarks</title>'
        f"<style>{_STYLE.read_text()}</style><header><h1>mediasrv benchmarks</h1>"
        f"<p>{escape(_measured_on(results))}</p><nav>{links}</nav></header>"
        f"<main>{sections}</main></html>\n"
    )


def _name(result: Result) -> str:
    return str(result.get("benchmark", "unnamed"))


def _measured_on(results: Sequence[Result]) -> str:
    """Name the machines, and the days of the measurements."""
    machines = [result.get("machine", {}) for result in results]
    cpus = dict.fromkeys(f"{m['cpu']}, {m.get('cores')} cores" for m in machines if "cpu" in m)
    days = dict.fromkeys(str(m["at"])[:10] for m in machines if "at" in m)
    return " · ".join([*cpus, *days])


def _section(number: int, result: Result) -> str:
    name = _name(result)
    draw = _SECTIONS.get(name, _draw_rows)
    about = _HOW_TO_READ.get(name, "")
    method = (
        f'<p class="about">Method: {escape(str(result["method"]).rstrip("."))}.</p>'
        if "method" in result
        else ""
    )
    return (
        f'<section id="part-{number}"><h2>{escape(name)}</h2><p>{escape(about)}</p>{draw(result)}'
        f"{method}{_machine(result)}</section>"
    )


def tiles(figures: Mapping[str, tuple[str, str]]) -> str:
    """Draw a few figures large: each with what it is below, by name."""
    drawn = "".join(
        f'<div class="tile"><i>{escape(name)}</i><b>{escape(value)}</b><i>{escape(note)}</i></div>'
        for name, (value, note) in figures.items()
    )
    return f'<div class="tiles">{drawn}</div>' if figures else ""


def _machine(result: Result) -> str:
    machine = result.get("machine", {})
    names = {
        "cpu": "",
        "cores": "cores ",
        "system": "",
        "python": "",
        "commit": "commit ",
        "at": "",
    }
    told = ", ".join(f"{name}{machine[key]}" for key, name in names.items() if key in machine)
    packages = ", ".join(f"{name} {v}" for name, v in machine.get("packages", {}).items())
    repeats = len(result.get("repeats", [])) or 1
    load = machine.get("load_average", 0.0)
    return (
        f'<p class="about">Measured {repeats} time{"s" * (repeats > 1)} on {escape(told)}; '
        f"load average at the start {load:.2f}; {escape(packages)}.</p>"
    )


def _draw_glass(result: Result) -> str:
    rows = result["runs"]
    measured = {_label(row): row for row in rows if row.get("glass_ms")}
    large = {
        name: (f"{row['glass_ms']['p50']:.0f} ms", "p50, glass to glass")
        for name, row in measured.items()
    }
    samples = {name: row["samples_ms"] for name, row in measured.items() if row.get("samples_ms")}
    return (
        tiles(dict(list(large.items())[:TILES_MAX]))
        + distribution(samples, "glass to glass, ms")
        + table([_glass_row(row) for row in rows])
    )


def _glass_row(row: Row) -> dict[str, Any]:
    """What a reader wants of a row; the file has the rest."""
    short = {name: row[name] for name in (*_LABELS, "refused") if name in row}
    short |= {name: row[name] for name in _GLASS_FIGURES if name in row}
    if row.get("cores"):
        short["cores used"] = round(sum(row["cores"].values()), 2)
        short["browsers' part of it"] = f"{100 * row.get('browsers_cpu_share', 0):.0f} %"
    return short


def _draw_stages(result: Result) -> str:
    parts = [_draw_way(row) for row in result.get("runs", [])]
    if result.get("plants"):
        parts.append("<h3>Delays planted on purpose</h3>" + table(result["plants"]))
    parts += [_draw_own_part(row) for row in result.get("crowd", [])]
    return "".join(parts)


def _draw_own_part(row: Row) -> str:
    spreads = {which: row[f"{which}_datagram_ms"] for which in ("each", "last", "first")}
    drawn = table([{"datagram of a frame": which, **_in_ms(ms)} for which, ms in spreads.items()])
    return (
        f"<h3>From a datagram in until it has left for the last of {row['viewers']} viewers</h3>"
        f"{drawn}{_stage_table(row['stages'])}"
    )


def _draw_way(row: Row) -> str:
    title = f"<h3>{escape(_label(row))}</h3>"
    if "refused" in row:
        return f'{title}<p class="refused">refused: {escape(row["refused"])}</p>'
    large = {"glass to glass": (f"{row['glass_traced_ms']:.1f} ms", "p50 of these frames")}
    if "server_ms" in row:
        server = row["server_ms"]
        large["server's own part"] = (
            f"{server['p50']:.1f} ms",
            f"p50; p95 {server['p95']:.1f} ms",
        )
    large["sum of the stages"] = (
        f"{row['sum_of_medians_ms']} ms",
        f"{100 * row['apart_traced']:+.1f} % from glass to glass",
    )
    large["without tracing"] = (f"{shown(row['glass_untraced_ms'])} ms", "a window before it")
    drawn = waterfall(row["waterfall"], _owners(row["waterfall"]))
    return title + tiles(large) + drawn + _stage_table(row["stages"])


def _owners(stages: Mapping[str, float]) -> dict[str, str]:
    """Say whose each stage is; what no table knows is a filter's step, in the worker."""
    return {name: _WHOSE.get(name, "worker") for name in stages}


def _stage_table(stages: Mapping[str, Mapping[str, float]]) -> str:
    return table([{"stage": name, **_in_ms(values)} for name, values in stages.items()])


def _in_ms(values: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_ms": value for name, value in values.items()}


def _draw_fanout(result: Result) -> str:
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in [*result["runs"], *(r for rows in result.get("vs", {}).values() for r in rows)]:
        if "cpu_us_per_packet" in row:
            point = (float(row["viewers"]), float(row["cpu_us_per_packet"]))
            lines.setdefault(str(row["server"]), []).append(point)
    drawn = {name: sorted(set(points)) for name, points in lines.items()}
    knee = line_plot(drawn, "viewers", "µs of CPU per packet", marks=True)
    late = {
        f"p{share}": [
            (float(row["viewers"]), float(row["arrival_ms"]["last"][f"p{share}"]))
            for row in result["runs"]
            if "arrival_ms" in row
        ]
        for share in (50, 95)
    }
    if any(late.values()):
        knee += line_plot(late, "viewers", "ms until the last viewer has a frame", marks=True)
    return knee + table([_fanout_row(row) for row in result["runs"]])


def _fanout_row(row: Row) -> dict[str, Any]:
    short = {name: row[name] for name in (*_FANOUT_FIGURES, "refused") if name in row}
    last = row.get("arrival_ms", {}).get("last", {})
    return {**short, **{f"at_the_last_{name}_ms": ms for name, ms in last.items()}}


def _draw_network(result: Result) -> str:
    if "grid" not in result:
        return table(result.get("rows", []))
    parts = []
    for rate in dict.fromkeys(str(row["rate"]) for row in result["grid"]):
        rows = [row for row in result["grid"] if str(row["rate"]) == rate]
        losses = list(dict.fromkeys(str(row["loss"]) for row in rows))
        jitters = list(dict.fromkeys(str(row["jitter"]) for row in rows))
        parts.append(f"<h3>Rate: {escape(rate)}</h3>")
        for figure, unit in (("glass_p50_ms", "glass p50, ms"), ("freezes", "freezes per 30 s")):
            cells = {
                (str(r["loss"]), str(r["jitter"])): float(r[figure]) for r in rows if figure in r
            }
            parts.append(heat_map(cells, losses, jitters, unit))
    return "".join(parts) + table(result["grid"])


def _draw_soak(result: Result) -> str:
    samples = result.get("samples", {})
    parts = [table(result.get("slopes", []))]
    for name, points in samples.items():
        parts.append(line_plot({name: [tuple(p) for p in points]}, "minutes", name))
    return "".join(parts)


def _draw_rows(result: Result) -> str:
    lists = [
        table(rows)
        for rows in result.values()
        if isinstance(rows, list)
        and rows
        and isinstance(rows[0], dict)
        and rows is not result.get("repeats")
    ]
    summaries = [
        table([{"figure": name, **values}])
        for name, values in result.items()
        if isinstance(values, dict) and name != "machine"
    ]
    return "".join(lists + summaries)


_SECTIONS = {
    "glass": _draw_glass,
    "stages": _draw_stages,
    "fanout": _draw_fanout,
    "network": _draw_network,
    "soak": _draw_soak,
}


def _label(row: Row) -> str:
    return " ".join(str(row[name]) for name in _LABELS if name in row)
