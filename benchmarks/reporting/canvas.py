"""What all plots share: colours, scales, axes and SVG text. Nothing to install, nothing to load."""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10

from benchmarks.reporting.words import exactly

# Narrow enough for half a page, so that texts keep their size on a phone as well.
WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 56, 22, 14, 44
# Okabe and Ito's colours, which the colour-blind tell apart, without the yellow that white swallows
# and in an order that keeps their orange and vermilion apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b4559b", "#1c2733", "#56b4e9", "#b8860b")
DASHES = ("", "7 3", "2 3")
INK, SOFT = "#1c2733", "#4d5b68"
CHARACTER_PX = 6.9
NAME_MAX = 30


def colour(number: int) -> str:
    """Return the colour of the n-th thing."""
    return COLOURS[number % len(COLOURS)]


def dash(number: int) -> str:
    """Return the dashes of the n-th line: after the last colour they begin again, but dashed."""
    return DASHES[number // len(COLOURS) % len(DASHES)]


class Scale:
    """Maps one interval to another."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self._low, self._begin = low, begin
        self._factor = (end - begin) / (high - low)

    def __call__(self, value: float) -> float:
        """Return where a value is drawn."""
        return self._begin + (value - self._low) * self._factor


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Return round numbers that enclose ``low`` and ``high``, about ``wanted`` of them."""
    if high - low < max(1e-6, 1e-6 * abs(low)):
        high = low + max(1.0, 1e-3 * abs(low))
    rough = (high - low) / wanted
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = floor(low / step), ceil(high / step)
    return [round(n * step, 10) for n in range(first, last + 1)]


def text(x: float, y: float, words: str, anchor: str = "start", ink: str = INK) -> str:
    """Write a text, shortened when it is too long; the whole of it shows under the pointer."""
    short = clipped(words)
    whole = f"<title>{escape(words[:300])}</title>" if short != words else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{ink}">'
        f"{escape(short)}{whole}</text>"
    )


def clipped(words: str) -> str:
    """Cut a name that no plot has room for."""
    return words if len(words) <= NAME_MAX else f"{words[: NAME_MAX - 1]}…"


def name_width(names: Sequence[str]) -> float:
    """Return how wide a column of names has to be, in px."""
    return 14 + CHARACTER_PX * max((len(clipped(name)) for name in names), default=0)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Draw a straight line; ``kind`` is its class in the style sheet."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def down_lines(at: Sequence[float], scale: Scale, top: float, bottom: float) -> list[str]:
    """Draw the ticks of an axis that goes across, with their lines."""
    return [
        line(scale(t), top, scale(t), bottom, "grid")
        + text(scale(t), bottom + 16, exactly(t), "middle", SOFT)
        for t in at
    ]


def svg(width: float, height: float, parts: Sequence[str], what: str) -> str:
    """Make a picture of its parts; ``what`` says to those who cannot see it what it shows."""
    return (
        f'<div class="plot" style="max-width:{1.2 * width:.0f}px">'
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img"'
        f' aria-label="{escape(what)}">' + "".join(parts) + "</svg></div>"
    )


def figure_of(title: str, *parts: str) -> str:
    """Put a title above a plot."""
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(parts)}</figure>"


def legend(names: Sequence[str]) -> str:
    """Name the lines of a plot, each beside a piece of it."""
    if len(names) < 2:
        return ""
    items = "".join(
        f'<span><svg viewBox="0 0 24 10"><path d="M0 5h24" stroke="{colour(i)}" stroke-width="3"'
        f' stroke-dasharray="{dash(i)}"/></svg>{escape(clipped(name))}</span>'
        for i, name in enumerate(names)
    )
    return f'<p class="legend">{items}</p>'


def nothing(title: str) -> str:
    """Say that there is nothing to draw."""
    return figure_of(title, '<p class="empty">Nothing was measured here.</p>')
