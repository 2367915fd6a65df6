"""Plots with a name for each row: waterfalls, ranges, stacked bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.reporting import canvas
from benchmarks.reporting.canvas import RIGHT, TOP, WIDTH, Scale, ticks
from benchmarks.reporting.words import figure

ROW_HEIGHT = 22
FOOT = 42
# For the figure behind a bar that ends at the edge.
VALUE_WIDTH = 40
ROWS_MAX = 60


@dataclass(frozen=True, slots=True)
class Range:
    """A row of ``ranges``.

    Attributes:
        name: In front of it.
        middle: What is drawn as a dot, and said.
        ends: What the bar goes to: first a thick one, then a thin one.
        group: Rows of one group have one colour.
    """

    name: str
    middle: float
    ends: Sequence[float] = ()
    group: str = ""


def waterfall(
    title: str,
    stages: Mapping[str, float],
    unit: str,
    whose: Mapping[str, str] | None = None,
    owners: Sequence[str] = ("",),
) -> str:
    """Draw one bar after the other, each beginning where the one before ends.

    Args:
        title: Above it.
        stages: How long each takes, in order.
        unit: Of the values.
        whose: Owner by stage.
        owners: All there are; each has a colour.
    """
    stages = dict(list(stages.items())[:ROWS_MAX])
    if not stages:
        return canvas.nothing(title)
    edges = [0.0]
    for value in stages.values():
        edges.append(edges[-1] + value)
    drawing = _Rows(list(stages), (min(0.0, *edges), max(edges)), unit)
    whose = whose or {}
    for row, (name, value) in enumerate(stages.items()):
        fill = canvas.colour(owners.index(whose.get(name, "")))
        begin, end = sorted((drawing.at(edges[row]), drawing.at(edges[row + 1])))
        drawing.parts.append(_bar(begin, drawing.top(row) + 4, end - begin, ROW_HEIGHT - 8, fill))
        drawing.say(row, end, figure(round(value, 2)))
    return drawing.finished(title, _legend(owners, {whose.get(name, "") for name in stages}))


def ranges(title: str, rows: Sequence[Range], unit: str, mark: float | None = None) -> str:
    """Draw for each row a dot and bars to the right of it: median, p95 and p99, say.

    Args:
        title: Above it.
        rows: What is drawn, from the top.
        unit: Of the values.
        mark: A value to mark in all rows.
    """
    rows = rows[:ROWS_MAX]
    if not rows:
        return canvas.nothing(title)
    values = [value for row in rows for value in (row.middle, *row.ends)]
    values += [] if mark is None else [mark]
    drawing = _Rows([row.name for row in rows], (min(0.0, *values), max(values)), unit)
    groups = list(dict.fromkeys(row.group for row in rows))
    if mark is not None:
        drawing.mark(mark)
    for number, row in enumerate(rows):
        drawing.parts.append(_range(drawing, number, row, canvas.colour(groups.index(row.group))))
    return drawing.finished(title, _legend(groups, set(groups)))


def simple(title: str, values: Mapping[str, float], unit: str) -> str:
    """Draw a bar for each value."""
    return stacked(title, {name: {"": value} for name, value in values.items()}, unit, [""])


def stacked(
    title: str, bars: Mapping[str, Mapping[str, float]], unit: str, kinds: Sequence[str]
) -> str:
    """Draw a bar for each name, made of parts that have the same colour in all of them.

    Args:
        title: Above it.
        bars: Parts by their kind, by the name of their bar.
        unit: Of the values.
        kinds: All kinds there are; each has a colour.
    """
    bars = {name: parts for name, parts in list(bars.items())[:ROWS_MAX] if parts}
    if not bars:
        return canvas.nothing(title)
    whole = {name: sum(max(0.0, v) for v in parts.values()) for name, parts in bars.items()}
    drawing = _Rows(list(bars), (0.0, max(whole.values())), unit)
    for row, (name, parts) in enumerate(bars.items()):
        edge = 0.0
        for kind, value in parts.items():
            begin, edge = edge, edge + max(0.0, value)
            left, width = drawing.at(begin), drawing.at(edge) - drawing.at(begin)
            fill = canvas.colour(kinds.index(kind))
            drawing.parts.append(_bar(left, drawing.top(row) + 3, width, ROW_HEIGHT - 6, fill))
        drawing.say(row, drawing.at(edge), figure(whole[name]))
    used = {kind for parts in bars.values() for kind in parts}
    return drawing.finished(title, _legend(kinds, used))


class _Rows:
    """A row for each name, above one axis."""

    def __init__(self, names: Sequence[str], reach: tuple[float, float], unit: str) -> None:
        self._left = max(60.0, canvas.name_width(names))
        self._bottom = TOP + ROW_HEIGHT * len(names)
        self._unit = unit
        steps = ticks(*reach, wanted=5)
        self.at = Scale(steps[0], steps[-1], self._left, WIDTH - RIGHT - VALUE_WIDTH)
        self.parts = canvas.down_lines(steps, self.at, TOP, self._bottom)
        self.parts += [
            canvas.text(self._left - 8, self.top(row) + 15, name, "end")
            for row, name in enumerate(names)
        ]

    def top(self, row: int) -> float:
        """Return where a row begins."""
        return TOP + row * ROW_HEIGHT

    def say(self, row: int, end: float, words: str) -> None:
        """Write a figure behind what is drawn in a row."""
        self.parts.append(canvas.text(end + 5, self.top(row) + 15, words))

    def mark(self, value: float) -> None:
        """Mark a value in all rows."""
        x = self.at(value)
        self.parts.append(canvas.line(x, TOP, x, self._bottom, "mark"))

    def finished(self, title: str, legend: str) -> str:
        """Return the whole figure."""
        middle = (self._left + WIDTH - RIGHT - VALUE_WIDTH) / 2
        said = canvas.text(middle, self._bottom + 34, self._unit, "middle", canvas.SOFT)
        drawn = canvas.svg(
            WIDTH, self._bottom + FOOT, [*self.parts, said], f"{title}, {self._unit}"
        )
        return canvas.figure_of(title, drawn, legend)


def _range(drawing: _Rows, number: int, row: Range, fill: str) -> str:
    y, begin = drawing.top(number) + ROW_HEIGHT / 2, drawing.at(row.middle)
    parts = []
    for end, height, opacity in zip(row.ends, (8, 2), (0.35, 0.8), strict=False):
        left, right = sorted((begin, drawing.at(end)))
        parts.append(
            f'<rect x="{left:.1f}" y="{y - height / 2:.1f}" width="{right - left:.1f}"'
            f' height="{height}" fill="{fill}" opacity="{opacity}"/>'
        )
    parts.append(f'<circle cx="{begin:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}"/>')
    last = max(begin, *(drawing.at(end) for end in row.ends[:2]), begin)
    drawing.say(number, last + 2, figure(row.middle))
    return "".join(parts)


def _bar(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(1.0, width):.1f}" height="{height}"'
        f' rx="2" fill="{fill}"/>'
    )


def _legend(names: Sequence[str], used: set[str]) -> str:
    """Name the colours that are used, if there are several."""
    if len(used) < 2:
        return ""
    items = "".join(
        f'<span><i style="background:{canvas.colour(i)}"></i>{escape(canvas.clipped(name))}</span>'
        for i, name in enumerate(names)
        if name in used
    )
    return f'<p class="legend">{items}</p>'
