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

Result = Mapping[str, Any]
Row = Mapping[str, Any]

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;color:#222}
h1{font-size:1.7em} h2{margin-top:2.2em;border-bottom:2px solid #0072b2} h3{margin-bottom:.2em}
table{border-collapse:collapse;margin:.8em 0;font-variant-numeric:tabular-nums}
td,th{padding:.25em .7em;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left} .refused{color:#a33;text-align:left}
svg{font:12px system-ui,sans-serif;max-width:100%;height:auto;display:block} .grid{stroke:#e4e4e4}
div{overflow-x:auto}
.about,.empty{color:#555} .legend span{margin-right:1.2em;white-space:nowrap}
.legend i{display:inline-block;width:.9em;height:.9em;margin-right:.4em;vertical-align:-.1em}
"""

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
    sections = "".join(_section(result) for result in results)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
        " style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width"><title>mediasrv benchmarks</title>'
        f"<style>{_STYLE}</style><h1>mediasrv benchmarks</h1>{sections}</html>\n"
    )


def _section(result: Result) -> str:
    name = str(result.get("benchmark", "unnamed"))
    draw = _SECTIONS.get(name, _draw_rows)
    about = _HOW_TO_READ.get(name, "")
    method = (
        f"<p class='about'>Method: {escape(str(result['method']))}.</p>"
        if "method" in result
        else ""
    )
    return (
        f"<section><h2>{escape(name)}</h2><p>{escape(about)}</p>{draw(result)}{method}"
        f"{_machine(result)}</section>"
    )


def _machine(result: Result) -> str:
    machine = result.get("machine", {})
    names = ("cpu", "cores", "system", "python", "commit", "at")
    told = ", ".join(f"{name} {machine[name]}" for name in names if name in machine)
    packages = ", ".join(f"{name} {v}" for name, v in machine.get("packages", {}).items())
    repeats = len(result.get("repeats", [])) or 1
    load = machine.get("load_average", 0.0)
    return (
        f"<p class='about'>Measured {repeats} time{'s' * (repeats > 1)} on {escape(told)}; "
        f"load average at the start {load:.2f}; {escape(packages)}.</p>"
    )


def _draw_glass(result: Result) -> str:
    rows = result["runs"]
    samples = {_label(row): row["samples_ms"] for row in rows if row.get("samples_ms")}
    return table(rows) + distribution(samples, "glass to glass, ms")


def _draw_stages(result: Result) -> str:
    parts = []
    for row in result.get("runs", []):
        parts.append(f"<h3>{escape(_label(row))}</h3>")
        if "refused" in row:
            parts.append(f"<p class='refused'>refused: {escape(row['refused'])}</p>")
            continue
        parts.append(waterfall(row["waterfall"]))
        parts.append(
            f"<p>The medians of the stages add up to {row['sum_of_medians_ms']} ms, "
            f"{100 * row['apart_traced']:+.1f} % from the {row['glass_traced_ms']} ms of the same "
            f"frames from glass to glass; without tracing it was {row['glass_untraced_ms']} ms.</p>"
        )
        parts.append(_stage_table(row["stages"]))
    if result.get("plants"):
        parts.append("<h3>Delays planted on purpose</h3>" + table(result["plants"]))
    for row in result.get("crowd", []):
        parts.append(f"<h3>The server's own part, {row['viewers']} viewers</h3>")
        parts.append(table([row]) + _stage_table(row["stages"]))
    return "".join(parts)


def _stage_table(stages: Mapping[str, Mapping[str, float]]) -> str:
    return table([{"stage": name, **values} for name, values in stages.items()])


def _draw_fanout(result: Result) -> str:
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in [*result["runs"], *(r for rows in result.get("vs", {}).values() for r in rows)]:
        if "cpu_us_per_packet" in row:
            point = (float(row["viewers"]), float(row["cpu_us_per_packet"]))
            lines.setdefault(str(row["server"]), []).append(point)
    drawn = {name: sorted(set(points)) for name, points in lines.items()}
    knee = line_plot(drawn, "viewers", "µs of CPU per packet", marks=True)
    return table(result["runs"]) + knee


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


def table(rows: Sequence[Row]) -> str:
    """Draw rows as a table; a refused one says why instead of figures."""
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat if "refused" not in row for name in row))
    names = names or list(dict.fromkeys(name for row in flat for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(_table_row(row, names) for row in flat)
    return f"<div><table><tr>{head}</tr>{body}</table></div>" if rows else ""


def _table_row(row: Row, names: Sequence[str]) -> str:
    if "refused" in row:
        known = [name for name in names if name in row]
        told = "".join(f"<td>{escape(_shown(row[name]))}</td>" for name in known)
        rest = max(1, len(names) - len(known))
        why = escape(str(row["refused"]))
        return f"<tr>{told}<td class='refused' colspan='{rest}'>refused: {why}</td></tr>"
    return "<tr>" + "".join(f"<td>{escape(_shown(row.get(n, '')))}</td>" for n in names) + "</tr>"


def _flat(row: Row) -> dict[str, Any]:
    """Put small dictionaries of numbers into columns of their own; leave out what is long."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            numbers = {k: v for k, v in value.items() if isinstance(v, int | float)}
            if 0 < len(numbers) <= 4 and len(numbers) == len(value):
                flat.update({f"{name.removesuffix('_ms')} {key}": v for key, v in numbers.items()})
        elif not isinstance(value, list):
            flat[name] = value
    return flat


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _label(row: Row) -> str:
    names = ("path", "preset", "codec", "size")
    return " ".join(str(row[name]) for name in names if name in row)
