"""Rows of figures as HTML tables; what was refused is told once for each reason, below them."""

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.reporting.reading import Entry, Row, inside, number
from benchmarks.reporting.words import UNKNOWN, counted, figure, heading, shown

# Dictionaries of so many numbers become columns of a plain table; longer ones are left out.
SPREAD_MAX = 4
ROWS_MAX = 200
# Named where they are told in one line; the rest only in full.
NAMES_MAX = 6
LONG_TEXT = 36
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class Column:
    """A heading, where a row has the figure, and how that is said.

    Args:
        title: The heading.
        path: Keys that lead to the figure.
        said: Says a number; what is no number is shown as it is.
    """

    def __init__(
        self, title: str, *path: str, said: Callable[[float | None], str] = figure
    ) -> None:
        self.title = title
        self._path = path
        self._said = said

    def value(self, row: Row) -> Any:
        """Return what stands in the row; None when nothing that could be shown does."""
        found = inside(row, *self._path)
        return found if isinstance(found, str | int | float) else None

    def cell(self, row: Row) -> str:
        """Return what a reader sees."""
        found = self.value(row)
        if found is None:
            return ""
        if isinstance(found, str | bool):
            return shown(found)
        return self._said(number(found))


def table(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Draw rows as a table that scrolls when it is too wide; empty columns are left out."""
    used = [column for column in columns if any(column.value(row) is not None for row in rows)]
    if not used:
        return ""
    words = {column for column in used if any(isinstance(column.value(r), str) for r in rows)}
    head = "".join(f"<th{_side(c in words)}>{escape(c.title)}</th>" for c in used)
    body = "".join(
        f"<tr>{''.join(_cell(column.cell(row), column in words) for column in used)}</tr>"
        for row in rows[:ROWS_MAX]
    )
    more = len(rows) - ROWS_MAX
    left_out = f'<p class="about">{counted(more, "more row")} in the file.</p>' if more > 0 else ""
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>{left_out}'


def plain_table(rows: Sequence[Row]) -> str:
    """Draw rows of which nothing is known: every figure has a column, named by its key."""
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    return table(flat, [Column(heading(name), name) for name in names])


def entry_table(
    found: Sequence[Entry], columns: Sequence[Column], title: str = "what was measured"
) -> str:
    """Draw the entries that have figures, their labels in front, and below what was refused."""
    kept = [{**entry.row, "label": entry.label} for entry in found if not entry.refused]
    return table(kept, [Column(title, "label"), *columns]) + refusals(found)


def refusals(found: Sequence[Entry]) -> str:
    """Say which rows were refused: each reason once, with everything that it hit."""
    alike: dict[str, list[Entry]] = {}
    for entry in found:
        if entry.refused:
            alike.setdefault(_kind(entry.refused), []).append(entry)
    if not alike:
        return ""
    items = "".join(
        f"<li><b>{escape(_common([_short(entry.refused) for entry in hit]))}:</b>"
        f" {escape(_listed([entry.label for entry in hit]))}{_in_full(hit)}</li>"
        for hit in alike.values()
    )
    count = counted(sum(len(hit) for hit in alike.values()), "measurement")
    return (
        f'<div class="refused"><p>{count} refused by their own checks, so without figures:</p>'
        f"<ul>{items}</ul></div>"
    )


def _kind(reason: str) -> str:
    """What reasons that differ in their figures only have in common."""
    return _NUMBER.sub("#", _short(reason))


def _common(reasons: Sequence[str]) -> str:
    """Say alike reasons as one: where their figures differ, from the least to the most."""
    columns = zip(*(_NUMBER.findall(reason) for reason in reasons), strict=True)
    ends = ((min(column, key=float), max(column, key=float)) for column in columns)
    spans = iter([low if low == high else f"{low} to {high}" for low, high in ends])
    return _NUMBER.sub(lambda _: next(spans), reasons[0])


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")


def _short(reason: str) -> str:
    return reason.partition(" (")[0][:200]


def _in_full(hit: Sequence[Entry]) -> str:
    lines = "".join(
        f"<li>{escape(entry.label)}: {escape(entry.refused[:1000])}</li>"
        for entry in hit[:ROWS_MAX]
        if _short(entry.refused) != entry.refused or len(hit) > 1
    )
    return f"<details><summary>in full</summary><ul>{lines}</ul></details>" if lines else ""


def table_in_two(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Draw a long and narrow table as two beside each other."""
    half = (min(len(rows), ROWS_MAX) + 1) // 2
    return grid(table(rows[:half], columns), table(rows[half:], columns))


def tiles(figures: Mapping[str, tuple[str, str]]) -> str:
    """Draw a few figures large: each with what it is above and a note below, by name."""
    drawn = "".join(
        f'<div class="tile"><i>{escape(name)}</i><b>{escape(value)}</b><i>{escape(note)}</i></div>'
        for name, (value, note) in figures.items()
    )
    return f'<div class="tiles">{drawn}</div>' if figures else ""


def grid(*parts: str) -> str:
    """Put plots and tables side by side where there is room."""
    drawn = "".join(f'<div class="cell">{part}</div>' for part in parts if part)
    return f'<div class="grid">{drawn}</div>' if drawn else ""


def titled(title: str, *parts: str) -> str:
    """Put a heading above parts, if there are any."""
    body = "".join(parts)
    return f"<h3>{escape(title)}</h3>{body}" if body else ""


def _cell(words: str, is_text: bool) -> str:
    side = ' class="text long"' if is_text and len(words) > LONG_TEXT else _side(is_text)
    return f"<td{side}>{escape(words)}</td>"


def _side(is_text: bool) -> str:
    return ' class="text"' if is_text else ""


def _flat(row: Row) -> dict[str, Any]:
    """Put small dictionaries of numbers into columns of their own; leave out what is long."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            known = {key: v for key, v in value.items() if number(v) is not None}
            if 0 < len(known) <= SPREAD_MAX and len(known) == len(value):
                flat.update({f"{name} {key}": v for key, v in known.items()})
        elif value is None:
            flat[str(name)] = UNKNOWN
        elif not isinstance(value, list):
            flat[str(name)] = value
    return flat
