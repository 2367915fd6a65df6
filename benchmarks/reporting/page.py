"""The page: a summary, a section for each benchmark, and what everything was measured on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.reporting.reading import Row, Source, inside, number, rows, text
from benchmarks.reporting.section import Section
from benchmarks.reporting.sections import KINDS, Kind, kind_of
from benchmarks.reporting.summary import summary
from benchmarks.reporting.tables import Column, table
from benchmarks.reporting.words import counted

_STYLE = Path(__file__).with_name("style.css")
# More would fill the head of the page; the table of files has them.
COMMITS_MAX = 3
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_FILE_COLUMNS = (
    Column("file", "file"),
    Column("benchmark", "benchmark"),
    Column("measured at", "at"),
    Column("commit", "commit"),
    Column("measured how often", "repeats"),
    Column("seconds each", "seconds"),
    Column("load average before", "load_average"),
    Column("on", "on"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the page.

    Attributes:
        anchor: Where links go to.
        kind: What it is about.
        sources: The files that it shows.
        section: What they gave.
    """

    anchor: str
    kind: Kind
    sources: Sequence[Source]
    section: Section


def page(sources: Sequence[Source]) -> str:
    """Return the whole page."""
    parts = _parts(sources)
    links = "".join(f'<a href="#{part.anchor}">{escape(part.kind.title)}</a>' for part in parts)
    drawn = "".join(_draw(part) for part in parts)
    told = [(part.anchor, part.kind, part.section) for part in parts]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>mediasrv benchmarks</title><style>{_STYLE.read_text()}</style></head><body>"
        f"<header><h1>mediasrv benchmarks</h1><p>{escape(_measured_on(sources))}</p></header>"
        f'<div class="page"><nav><a href="#summary">Summary</a>{links}'
        '<a href="#files">How it was measured</a></nav>'
        f"<main>{summary(told)}{drawn}{_files(sources)}</main></div></body></html>\n"
    )


def _parts(sources: Sequence[Source]) -> list[Part]:
    """Gather the files of each benchmark, in the order in which a reader wants them."""
    by_name: dict[str, list[Source]] = {}
    for source in sources:
        by_name.setdefault(text(source.result, "benchmark") or "unnamed", []).append(source)
    order = [*KINDS, *(name for name in by_name if name not in KINDS)]
    parts = []
    for number_, name in enumerate(name for name in order if name in by_name):
        kind = kind_of(name)
        # An unknown name may hold anything, an address may not.
        anchor = name if name in KINDS else f"part-{number_}"
        parts.append(Part(anchor, kind, by_name[name], kind.draw(by_name[name])))
    return parts


def _draw(part: Part) -> str:
    kind = part.kind
    methods = dict.fromkeys(text(s.result, "method").rstrip(".") for s in part.sources)
    method = "; ".join(method for method in methods if method)
    body = part.section.body or '<p class="empty">The files hold nothing that could be drawn.</p>'
    return (
        f'<section id="{part.anchor}"><h2>{escape(kind.title)}</h2>'
        f'<div class="head"><p class="question">{escape(kind.question)}</p>'
        f'<p class="about">{escape(kind.reading)}</p></div>{body}'
        + (f'<p class="about">Measured by: {escape(method)}.</p>' if method else "")
        + "</section>"
    )


def _measured_on(sources: Sequence[Source]) -> str:
    """Name the machines, the days of the measurements, and the commits."""
    machines = [inside(source.result, "machine") for source in sources]
    days = sorted({text(machine, "at")[:10] for machine in machines} - {""})
    commits = [c for c in dict.fromkeys(text(machine, "commit") for machine in machines) if c]
    told = [
        *dict.fromkeys(_name(machine) for machine in machines),
        days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else "",
        f"commit {', '.join(commits)}" if 0 < len(commits) <= COMMITS_MAX else "",
        counted(len(commits), "commit") if len(commits) > COMMITS_MAX else "",
    ]
    return " · ".join(one for one in told if one)


def _name(machine: object) -> str:
    cores = text(machine, "cores")
    return ", ".join(
        word for word in (text(machine, "cpu"), f"{cores} cores" * bool(cores)) if word
    )


def _files(sources: Sequence[Source]) -> str:
    listed: list[Row] = []
    for source in sources:
        machine = inside(source.result, "machine")
        about = machine if isinstance(machine, Mapping) else {}
        listed.append(
            {
                "file": source.name,
                "benchmark": text(source.result, "benchmark"),
                "at": text(about, "at").replace("T", " ").removesuffix("Z"),
                "commit": text(about, "commit"),
                "repeats": len(rows(source.result, "repeats")) or 1,
                "seconds": number(source.result, "seconds"),
                "load_average": number(about, "load_average"),
                "on": _name(about),
            }
        )
    versions = dict.fromkeys(_versions(inside(source.result, "machine")) for source in sources)
    told = "".join(f"<p>{escape(line)}.</p>" for line in versions if line)
    warned = _warning(sources)
    return (
        '<section id="files"><h2>How it was measured</h2>'
        f"{warned}{told}{table(listed, _FILE_COLUMNS)}"
        '<p class="about">Times in UTC. A load average above one before a measurement says that'
        " others used the machine. benchmarks/README.md tells the method of each, and its known"
        " limits.</p></section>"
    )


def _versions(machine: object) -> str:
    packages = inside(machine, "packages")
    found = packages.items() if isinstance(packages, Mapping) else ()
    told = [_name(machine), text(machine, "system"), text(machine, "python")]
    told += [f"{name} {version}" for name, version in found]
    return ", ".join(word for word in told if word)


def _warning(sources: Sequence[Source]) -> str:
    """Say when figures of the page should not be held against each other."""
    machines = [inside(source.result, "machine") for source in sources]
    differ = [
        what
        for what, found in (
            ("machines", {_name(machine) for machine in machines}),
            ("commits", {text(machine, "commit") for machine in machines}),
        )
        if len(found - {""}) > 1
    ]
    if not differ:
        return ""
    return (
        f'<p class="warned">The files come from several {" and ".join(differ)}: figures of'
        " different ones are not to be held against each other.</p>"
    )
