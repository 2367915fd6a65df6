"""Rows of figures as HTML tables: short headings with units, and what was refused says why."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Row = Mapping[str, Any]

UNITS = {
    "_ms": "ms",
    "_us": "µs",
    "_s": "s",
    "_kib": "KiB",
    "_bps": "b/s",
    "_us_per_packet": "µs a packet",
}
# Dictionaries of so many numbers become columns; longer ones are left out.
SPREAD_MAX = 4


def table(rows: Sequence[Row]) -> str:
    """Draw rows as a table that scrolls when it is too wide."""
    flat = [_flat(row) for row in rows]
    measured = [row for row in flat if "refused" not in row]
    names = list(dict.fromkeys(name for row in measured or flat for name in row))
    words = {name for name in names if any(isinstance(row.get(name), str) for row in flat)}
    head = "".join(f"<th{_side(name in words)}>{escape(heading(name))}</th>" for name in names)
    body = "".join(_line(row, names, words) for row in flat)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>' if rows else ""


def heading(name: str) -> str:
    """Say a figure's name in words, its unit behind it: ``glass_ms p50`` is ``glass p50 (ms)``."""
    figure, _, part = name.partition(" ")
    unit = max((end for end in UNITS if figure.endswith(end)), key=len, default="")
    words = f"{figure.removesuffix(unit)} {part}".replace("_", " ").strip()
    return f"{words} ({UNITS[unit]})" if unit else words


def shown(value: object) -> str:
    """Say a value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(row: Row, names: Sequence[str], words: set[str]) -> str:
    if "refused" in row:
        known = [name for name in names if name in row]
        told = "".join(
            f"<td{_side(name in words)}>{escape(shown(row[name]))}</td>" for name in known
        )
        rest = max(1, len(names) - len(known))
        why = escape(str(row["refused"]))
        return f'<tr>{told}<td class="refused" colspan="{rest}">refused: {why}</td></tr>'
    cells = (f"<td{_side(n in words)}>{escape(shown(row.get(n, '')))}</td>" for n in names)
    return f"<tr>{''.join(cells)}</tr>"


def _side(is_text: bool) -> str:
    return ' class="text"' if is_text else ""


def _flat(row: Row) -> dict[str, Any]:
    """Put small dictionaries of numbers into columns of their own; leave out what is long."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            numbers = {k: v for k, v in value.items() if isinstance(v, int | float)}
            if 0 < len(numbers) <= SPREAD_MAX and len(numbers) == len(value):
                flat.update({f"{name} {key}": v for key, v in numbers.items()})
        elif not isinstance(value, list):
            flat[name] = value
    return flat
