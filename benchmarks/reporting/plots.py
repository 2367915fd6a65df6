"""Plots with two axes: lines, distributions, heat maps."""

from collections.abc import Mapping, Sequence
from math import ceil

from benchmarks.reporting import canvas
from benchmarks.reporting.canvas import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale, ticks
from benchmarks.reporting.words import exactly, figure

Points = Sequence[tuple[float, float]]

# More lines than there are colours and dashes for would be a tangle anyway.
LINES_MAX = len(canvas.COLOURS) * len(canvas.DASHES)
POINTS_MAX = 400
CELL_HEIGHT = 34


def distribution(
    title: str, samples: Mapping[str, Sequence[float]], unit: str, of_what: str
) -> str:
    """Draw what share of the values lies below each value, a line for each name."""
    lines: dict[str, Points] = {}
    for name, values in samples.items():
        thinned = _thinned(sorted(values)) if values else []
        lines[name] = [(value, 100 * (i + 1) / len(thinned)) for i, value in enumerate(thinned)]
    return line_plot(title, lines, unit, f"% {of_what}", from_zero_across=False)


def line_plot(
    title: str,
    lines: Mapping[str, Points],
    across: str,
    up: str,
    *,
    marks: bool = False,
    from_zero: bool = True,
    from_zero_across: bool = True,
    levels: Mapping[str, float] | None = None,
    moments: Mapping[str, float] | None = None,
) -> str:
    """Draw lines through points, with axes and a legend.

    Args:
        title: Above it.
        lines: Points by the name of their line.
        across: What the axis to the right says.
        up: What the upright one says.
        marks: Draw each point, too.
        from_zero: Begin the upright axis at zero, which shows sizes; else at the lowest value,
            which shows changes.
        from_zero_across: The same for the other one.
        levels: Values to mark on the upright axis, by what they are.
        moments: Values to mark on the other one.
    """
    lines = dict(list(lines.items())[:LINES_MAX])
    points = [point for drawn in lines.values() for point in drawn]
    if not points:
        return canvas.nothing(title)
    levels, moments = levels or {}, moments or {}
    xs = [*(x for x, _ in points), *moments.values()]
    ys = [*(y for _, y in points), *levels.values()]
    x_ticks = ticks(min(0.0, *xs) if from_zero_across else min(xs), max(xs))
    y_ticks = ticks(*_reach(ys, from_zero=from_zero))
    x_at = Scale(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT)
    y_at = Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = canvas.down_lines(x_ticks, x_at, TOP, HEIGHT - BOTTOM)
    parts += _upright(y_ticks, y_at, up)
    parts.append(canvas.text((LEFT + WIDTH) / 2, HEIGHT - 8, across, "middle", canvas.SOFT))
    for number, drawn in enumerate(lines.values()):
        parts.append(_line(number, [(x_at(x), y_at(y)) for x, y in drawn], marks=marks))
    parts += _marked(levels, moments, x_at, y_at)
    return canvas.figure_of(
        title,
        canvas.svg(WIDTH, HEIGHT, parts, f"{title}: {up} by {across}"),
        canvas.legend(list(lines)),
    )


def heat_map(
    title: str,
    cells: Mapping[tuple[str, str], float],
    rows: Sequence[str],
    columns: Sequence[str],
    missing: str = "refused",
) -> str:
    """Draw values by row and column: the darker, the more, from zero on."""
    if not cells:
        return canvas.nothing(title)
    left = max(44.0, canvas.name_width(rows))
    needed = max(44.0, canvas.name_width(columns))
    cell_width = max(needed, min(110.0, (WIDTH - left) / max(1, len(columns))))
    width = max(WIDTH, left + cell_width * len(columns))
    low, high = min(0.0, *cells.values()), max(cells.values())
    parts = [
        canvas.text(left + (i + 0.5) * cell_width, TOP + 10, name, "middle", canvas.SOFT)
        for i, name in enumerate(columns)
    ]
    for r, row in enumerate(rows):
        y = TOP + 20 + r * CELL_HEIGHT
        parts.append(canvas.text(left - 8, y + 21, row, "end", canvas.SOFT))
        for c, column in enumerate(columns):
            x = left + c * cell_width
            value = cells.get((row, column))
            share = 0.0 if value is None or high == low else (value - low) / (high - low)
            fill = "#eceff1" if value is None else _shade(share)
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{cell_width - 2:.1f}"'
                f' height="{CELL_HEIGHT - 2}" rx="3" fill="{fill}"/>'
            )
            ink = "#fff" if share > 0.5 else canvas.SOFT if value is None else canvas.INK
            said = missing if value is None else figure(value)
            parts.append(canvas.text(x + cell_width / 2 - 1, y + 21, said, "middle", ink))
    height = TOP + 24 + CELL_HEIGHT * len(rows)
    return canvas.figure_of(title, canvas.svg(width, height, parts, title))


def _reach(values: Sequence[float], *, from_zero: bool) -> tuple[float, float]:
    """Return what an axis goes from and to; what stays the same is drawn in the middle."""
    low, high = min(values), max(values)
    if from_zero:
        return min(0.0, low), high
    return (low, high) if high - low > 1e-3 * abs(high) else (low - 1, high + 1)


def _upright(y_ticks: Sequence[float], y_at: Scale, up: str) -> list[str]:
    parts = [
        canvas.line(LEFT, y_at(t), WIDTH - RIGHT, y_at(t), "grid")
        + canvas.text(LEFT - 6, y_at(t) + 4, exactly(t), "end", canvas.SOFT)
        for t in y_ticks
    ]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    said = canvas.text(0, 0, up, "middle", canvas.SOFT)
    return [*parts, f'<g transform="translate(13 {middle}) rotate(-90)">{said}</g>']


def _line(number: int, points: Points, *, marks: bool) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    colour = canvas.colour(number)
    drawn = (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"'
        f' stroke-linejoin="round" stroke-dasharray="{canvas.dash(number)}"/>'
    )
    if marks or len(points) == 1:
        drawn += "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points
        )
    return drawn


def _marked(
    levels: Mapping[str, float], moments: Mapping[str, float], x_at: Scale, y_at: Scale
) -> list[str]:
    parts = []
    for name, value in levels.items():
        parts.append(canvas.line(LEFT, y_at(value), WIDTH - RIGHT, y_at(value), "mark"))
        above = y_at(value) > TOP + 14
        parts.append(
            canvas.text(WIDTH - RIGHT - 4, y_at(value) + (-5 if above else 14), name, "end", MARK)
        )
    for name, value in moments.items():
        x = x_at(value)
        parts.append(canvas.line(x, TOP, x, HEIGHT - BOTTOM, "mark"))
        is_left = x < (LEFT + WIDTH) / 2
        side, anchor = (5, "start") if is_left else (-5, "end")
        parts.append(canvas.text(x + side, TOP + 12, name, anchor, MARK))
    return parts


MARK = "#a3261c"


def _shade(share: float) -> str:
    light, dark = (226, 238, 247), (8, 62, 110)
    mixed = (round(a + (b - a) * share) for a, b in zip(light, dark, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _thinned(values: Sequence[float]) -> list[float]:
    """Leave out values evenly: a line of thousands of points is no smoother."""
    step = max(1, ceil(len(values) / POINTS_MAX))
    thinned = list(values[::step])
    return thinned if thinned[-1] == values[-1] else [*thinned, values[-1]]
