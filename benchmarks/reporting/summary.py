"""The top of the page: what was asked, what came out, what to conclude."""

from collections.abc import Sequence
from html import escape

from benchmarks.reporting.section import Figure, Section
from benchmarks.reporting.sections import Kind
from benchmarks.reporting.tables import tiles
from benchmarks.reporting.words import counted

TILES_MAX = 8

# Where it stands, what it is about, what came out.
Told = tuple[str, Kind, Section]


def summary(told: Sequence[Told]) -> str:
    """Draw the summary."""
    figures = [figure for _, _, section in told for figure in section.figures]
    large = {f.name: (f.measured, f.note) for f in figures if f.is_headline}
    return (
        '<section id="summary"><h2>Summary</h2>'
        + _conclusion(told, figures)
        + tiles(dict(list(large.items())[:TILES_MAX]))
        + _table(told)
        + "</section>"
    )


def _conclusion(told: Sequence[Told], figures: Sequence[Figure]) -> str:
    limited = [figure for figure in figures if figure.kept is not None]
    missed = [figure for figure in limited if not figure.kept]
    refused = sum(section.refused for _, _, section in told)
    benchmarks = counted(sum(anchor != "suite" for anchor, _, _ in told), "benchmark")
    items = [f"<li>{counted(len(figures), 'figure')} of {benchmarks}.</li>"]
    if limited:
        kept = len(limited) - len(missed)
        word = "missed" if missed else "kept"
        items.append(
            f'<li class="{word}">{kept} of {counted(len(limited), "limit")} that the files state'
            f" {'was' if kept == 1 else 'were'} kept.{_missed(missed)}</li>"
        )
    if refused:
        items.append(
            f'<li class="refused">{counted(refused, "measurement")} refused by their own checks:'
            " they have no figures here; their sections say why.</li>"
        )
    return f'<ul class="conclusion">{"".join(items)}</ul>'


def _missed(missed: Sequence[Figure]) -> str:
    if not missed:
        return ""
    said = "; ".join(f"{f.name}: {f.measured}, limit: {f.limit}" for f in missed)
    return f" Missed: {escape(said)}."


def _table(told: Sequence[Told]) -> str:
    groups = "".join(_group(*one) for one in told if one[2].figures or one[2].refused)
    head = "<tr><th>figure</th><th>measured</th><th>limit</th><th>to know</th></tr>"
    return (
        f'<div class="wide"><table class="summary"><thead>{head}</thead>{groups}</table></div>'
        if groups
        else ""
    )


def _group(anchor: str, kind: Kind, section: Section) -> str:
    question = f" <span>{escape(kind.question)}</span>" if kind.question else ""
    link = f'<a href="#{anchor}">{escape(kind.title)}</a>{question}'
    lines = "".join(_line(figure) for figure in section.figures)
    if section.refused:
        said = counted(section.refused, "measurement")
        lines += f'<tr class="refused"><td colspan="4">{said} refused</td></tr>'
    return f'<tbody><tr class="group"><th colspan="4">{link}</th></tr>{lines}</tbody>'


def _line(figure: Figure) -> str:
    verdict = ""
    if figure.kept is not None:
        word = "kept" if figure.kept else "missed"
        verdict = f'<b class="{word}">{word}</b> '
    return (
        f"<tr><td>{escape(figure.name)}</td><td><strong>{escape(figure.measured)}</strong></td>"
        f"<td>{verdict}{escape(figure.limit)}</td><td>{escape(figure.note)}</td></tr>"
    )
