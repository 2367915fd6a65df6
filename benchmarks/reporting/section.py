"""What a benchmark gives to the page: lines for the summary, and its own section."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.reporting.reading import Source


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the summary.

    Attributes:
        name: What was measured.
        measured: The figure, with its unit.
        note: What a reader should know beside it.
        limit: What it was to be, where the file says so.
        kept: Whether it is; None without a limit.
        is_headline: Whether it stands large at the top as well.
    """

    name: str
    measured: str
    note: str = ""
    limit: str = ""
    kept: bool | None = None
    is_headline: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A section's part of the summary, what it shows, and how many rows were refused."""

    figures: Sequence[Figure] = field(default_factory=list)
    body: str = ""
    refused: int = 0


Draw = Callable[[Sequence[Source]], Section]
