"""Reads results that may hold anything: what is missing, or no such thing, is nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

# Beyond this no figure of ours makes sense, and sums of it would overflow.
NUMBER_MAX = 1e15


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its name, without folder and ending, and what it holds."""

    name: str
    result: Row


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a result.

    Attributes:
        label: Tells it from all others of the section.
        row: Its figures; with repeats their medians.
        repeats: The same row of each repeat; empty when it was measured once.
        file: Name of the file that holds it.
    """

    label: str
    row: Row
    repeats: Sequence[Row]
    file: str

    @property
    def refused(self) -> str:
        """Why there are no figures; empty when there are."""
        return refusal(self.row)

    def over_repeats(self, *path: str) -> list[float]:
        """Return a figure of each repeat."""
        found = (number(row, *path) for row in self.repeats)
        return [value for value in found if value is not None]


def inside(value: Any, *path: str) -> Any:
    """Follow keys into nested dictionaries; None when the way ends early."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def number(value: Any, *path: str) -> float | None:
    """Return a number that can be drawn, or None."""
    found = inside(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    # Compared as it is: an integer may be too large for a float.
    return found if -NUMBER_MAX < found < NUMBER_MAX else None


def numbers(value: Any, *path: str) -> list[float]:
    """Return the numbers of a list."""
    found = inside(value, *path)
    if not isinstance(found, list):
        return []
    return [one for item in found if (one := number(item)) is not None]


def figures(value: Any, *path: str) -> dict[str, float]:
    """Return what of a dictionary is a number."""
    found = inside(value, *path)
    if not isinstance(found, Mapping):
        return {}
    return {str(key): one for key, item in found.items() if (one := number(item)) is not None}


def text(value: Any, *path: str) -> str:
    """Return a word or a number as text; empty when it is neither."""
    found = inside(value, *path)
    return str(found) if isinstance(found, str | int | float) else ""


def rows(value: Any, *path: str) -> list[Row]:
    """Return the dictionaries of a list."""
    found = inside(value, *path)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def refusal(row: Row) -> str:
    """Say why a row has no figures; empty when it has."""
    for word in ("refused", "failed"):
        if word in row:
            return text(row, word) or word
    return ""


def entries(sources: Sequence[Source], name: str, label: Callable[[Row], str]) -> tuple[Entry, ...]:
    """Return the rows of a list in all files; names that come twice are told apart."""
    found: dict[str, Entry] = {}
    for source in sources:
        again = [rows(repeat, name) for repeat in rows(source.result, "repeats")]
        for position, row in enumerate(rows(source.result, name)):
            called = _unused(label(row) or name, source.name, found)
            repeats = [each[position] for each in again if position < len(each)]
            found[called] = Entry(called, row, repeats, source.name)
    return tuple(found.values())


def _unused(label: str, file: str, taken: Mapping[str, Entry]) -> str:
    if label in taken:
        label = f"{label} ({file})"
    called, count = label, 1
    while called in taken:
        count += 1
        called = f"{label} {count}"
    return called


def measured(found: Sequence[Entry]) -> list[Entry]:
    """Return those that have figures."""
    return [entry for entry in found if not entry.refused]


def words(row: Row, *names: str) -> str:
    """Return some of a row's labels as one."""
    return " ".join(word for name in names if (word := text(row, name)))


def stated(sources: Sequence[Source], file: str, *path: str) -> float | None:
    """Return a number that a file says of all its rows: a limit, say."""
    found = (number(source.result, *path) for source in sources if source.name == file)
    return next((value for value in found if value is not None), None)
