"""Plots as SVG text, drawn here: nothing to install, nothing to load, one file to send around."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 44
# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#000000")
BAR_HEIGHT = 22
NAME_WIDTH = 150

Points = Sequence[tuple[float, float]]


def distribution(samples: Mapping[str, Sequence[float]], unit: str) -> str:
    """Draw what share of the values lies below each value, a line for each name."""
    lines: dict[str, Points] = {}
    for name, values in samples.items():
        thinned = _thinned(sorted(values)) if values else []
        lines[name] = [(value, (i + 1) / len(thinned)) for i, value in enumerate(thinned)]
    return line_plot(lines, unit, "share of frames", from_zero=False)


def line_plot(
    lines: Mapping[str, Points],
    across: str,
    up: str,
    *,
    marks: bool = False,
    from_zero: bool = True,
) -> str:
    """Draw lines through points, with axes and a legend."""
    points = [point for line in lines.values() for point in line]
    if not points:
        return _empty()
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_ticks = ticks(0 if from_zero else min(xs), max(xs))
    y_ticks = ticks(0, max(ys))
    x_at = _scale(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT)
    y_at = _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = _axes(x_ticks, y_ticks, x_at, y_at, across, up)
    for number, line in enumerate(lines.values()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if marks:
            parts += [
                f'<circle cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3.5" fill="{colour}"/>'
                for x, y in line
            ]
    return _svg(WIDTH, HEIGHT, parts) + legend(list(lines))


def waterfall(
    stages: Mapping[str, float], whose: Mapping[str, str] | None = None, unit: str = "ms"
) -> str:
    """Draw one bar after the other, each beginning where the one before ends.

    Args:
        stages: How long each takes, in order.
        whose: Owner by stage; each owner has a colour.
        unit: Of the values.
    """
    if not stages:
        return _empty()
    height = TOP + BAR_HEIGHT * len(stages) + BOTTOM
    edges = [0.0]
    for value in stages.values():
        edges.append(edges[-1] + value)
    x_ticks = ticks(min(0.0, *edges), max(edges))
    x_at = _scale(x_ticks[0], x_ticks[-1], NAME_WIDTH, WIDTH - 70)
    parts = [
        f'<line x1="{x_at(t):.1f}" x2="{x_at(t):.1f}" y1="{TOP}" y2="{height - BOTTOM}" '
        f'class="grid"/>' + _text(x_at(t), height - BOTTOM + 16, _number(t), "middle")
        for t in x_ticks
    ]
    owners = list(dict.fromkeys((whose or {}).get(name, "") for name in stages))
    for row, (name, value) in enumerate(stages.items()):
        colour = COLOURS[owners.index((whose or {}).get(name, "")) % len(COLOURS)]
        y = TOP + row * BAR_HEIGHT
        begin, end = sorted((x_at(edges[row]), x_at(edges[row + 1])))
        parts.append(
            f'<rect x="{begin:.1f}" y="{y + 3}" width="{max(1.0, end - begin):.1f}" '
            f'height="{BAR_HEIGHT - 6}" rx="2" fill="{colour}"/>'
        )
        parts.append(_text(NAME_WIDTH - 8, y + 15, name, "end"))
        parts.append(_text(end + 5, y + 15, f"{value:.2f}", "start"))
    parts.append(_text((NAME_WIDTH + WIDTH) / 2, height - 8, unit, "middle"))
    return _svg(WIDTH, height, parts) + legend(owners)


def heat_map(
    cells: Mapping[tuple[str, str], float], rows: Sequence[str], columns: Sequence[str], unit: str
) -> str:
    """Draw values by row and column: the darker, the more; what is missing stays white."""
    if not cells:
        return _empty()
    cell_width, cell_height = min(120, (WIDTH - NAME_WIDTH) // max(1, len(columns))), 34
    width, height = NAME_WIDTH + cell_width * len(columns), TOP + cell_height * (len(rows) + 1)
    low, high = min(cells.values()), max(cells.values())
    parts = [
        _text(NAME_WIDTH + (i + 0.5) * cell_width, TOP + 20, name, "middle")
        for i, name in enumerate(columns)
    ]
    parts.append(_text(NAME_WIDTH - 8, TOP + 20, unit, "end"))
    for r, row in enumerate(rows):
        y = TOP + (r + 1) * cell_height
        parts.append(_text(NAME_WIDTH - 8, y + 22, row, "end"))
        for c, column in enumerate(columns):
            value = cells.get((row, column))
            share = 0.0 if value is None or high == low else (value - low) / (high - low)
            x = NAME_WIDTH + c * cell_width
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell_width - 2}" height="{cell_height - 2}" '
                f'fill="{_shade(share) if value is not None else "#fff"}"/>'
            )
            shown = "refused" if value is None else _number(value)
            ink = "#fff" if share > 0.55 else "#222"
            parts.append(_text(x + cell_width / 2, y + 21, shown, "middle", ink))
    return _svg(width, height + 4, parts)


def legend(names: Sequence[str]) -> str:
    """Name the lines of a plot."""
    if len(names) < 2:
        return ""
    items = "".join(
        f'<span><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{escape(name)}</span>'
        for i, name in enumerate(names)
    )
    return f'<p class="legend">{items}</p>'


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Return round numbers that enclose ``low`` and ``high``, about ``wanted`` of them."""
    if high <= low:
        high = low + 1
    rough = (high - low) / wanted
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = floor(low / step), ceil(high / step)
    return [round(n * step, 10) for n in range(first, last + 1)]


class _scale:  # noqa: N801 (called like a function)
    """Map one interval to another."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self._low, self._begin = low, begin
        self._factor = (end - begin) / (high - low)

    def __call__(self, value: float) -> float:
        return self._begin + (value - self._low) * self._factor


def _axes(
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_at: _scale,
    y_at: _scale,
    across: str,
    up: str,
) -> list[str]:
    parts = []
    for t in x_ticks:
        x = x_at(t)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="grid"/>'
        )
        parts.append(_text(x, HEIGHT - BOTTOM + 16, _number(t), "middle"))
    for t in y_ticks:
        y = y_at(t)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        )
        parts.append(_text(LEFT - 6, y + 4, _number(t), "end"))
    parts.append(_text((LEFT + WIDTH) / 2, HEIGHT - 8, across, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">'
        f"{escape(up)}</text>"
    )
    return parts


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<div class="wide"><svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'style="max-width:{1.25 * width:.0f}px">' + "".join(parts) + "</svg></div>"
    )


def _empty() -> str:
    return '<p class="empty">Nothing was measured here.</p>'


def _shade(share: float) -> str:
    light, dark = (236, 244, 250), (8, 62, 110)
    mixed = (round(a + (b - a) * share) for a, b in zip(light, dark, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _thinned(values: Sequence[float], most: int = 400) -> list[float]:
    """Leave out values evenly: a line of thousands of points is no smoother."""
    step = max(1, ceil(len(values) / most))
    thinned = list(values[::step])
    return thinned if thinned[-1] == values[-1] else [*thinned, values[-1]]
