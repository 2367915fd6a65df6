"""What the whole suite runs: a table."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Run:
    """Options of a benchmark's command line, and about how many minutes it takes with them."""

    options: str
    minutes: float


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the table.

    Attributes:
        name: Of its files.
        benchmark: What is run.
        whole: How it is run.
        quick: How it is run for a quick look; None leaves it out there.
        clip: Whether it has a camera that may or must show a clip.
    """

    name: str
    benchmark: str
    whole: Run
    quick: Run | None = None
    clip: Literal["none", "may", "must"] = "none"

    def step(self, clip: Path | None, *, quick: bool) -> "Step | None":
        """Return what is run; None when there is nothing for a quick look."""
        run = self.quick if quick else self.whole
        if run is None:
            return None
        shown = ["--clip", str(clip)] if self.clip != "none" and clip is not None else []
        lacks = "it needs --clip" if self.clip == "must" and clip is None else ""
        arguments = (*shlex.split(run.options), *shown)
        return Step(self.name, self.benchmark, arguments, run.minutes, lacks)


@dataclass(frozen=True, slots=True)
class Step:
    """A benchmark that is to be run.

    Attributes:
        name: Of its files.
        benchmark: What is run.
        arguments: What it is told.
        minutes: How long it takes, about.
        lacks: Why it cannot be run; empty when it can.
    """

    name: str
    benchmark: str
    arguments: tuple[str, ...]
    minutes: float
    lacks: str = ""

    @property
    def command(self) -> str:
        """What comes after ``python -m benchmarks``, but for the file; a clip by its name alone."""
        shown = (Path(word).name if Path(word).is_absolute() else word for word in self.arguments)
        return shlex.join([self.benchmark, *shown])


_REPEATED = "--paths chromium --presets off,natural --sizes 720p"
_FANOUT = "--viewers 10,50,100,200,300,400,500,600,700,800,1000 --vs janus"

# Where two files hold the same row, the page calls that of the first by its plain name.
SUITE = (
    Item(
        "glass",
        "glass",
        Run(f"{_REPEATED} --repeat 5", 6),
        quick=Run(f"{_REPEATED} --seconds 5", 0.6),
        clip="may",
    ),
    Item(
        "glass-matrix",
        "glass",
        Run("--paths chromium --presets all --codecs all --sizes all --seconds 8", 14),
        clip="may",
    ),
    Item(
        "glass-paths",
        "glass",
        Run("--paths direct,python --codecs all --seconds 10", 3),
        clip="may",
    ),
    Item(
        "stages",
        "stages",
        Run("--presets off,natural --codecs all", 3),
        quick=Run("--presets off,natural --seconds 5", 1),
        clip="may",
    ),
    Item(
        "stages-planted",
        "stages",
        Run("--presets none --plant all", 6),
        quick=Run("--presets none --plant unprotect", 1.2),
        clip="may",
    ),
    Item(
        "stages-crowd", "stages", Run("--crowd 50", 0.5), quick=Run("--crowd 50 --seconds 5", 0.4)
    ),
    Item(
        "join",
        "join",
        Run("--at-once 100", 2),
        quick=Run("--joins 4 --at-once 100", 0.7),
        clip="may",
    ),
    Item("rush", "rush", Run("", 0.5), quick=Run("", 0.5)),
    Item("fanout", "fanout", Run(_FANOUT, 9), quick=Run("--viewers 50,200 --seconds 4", 0.7)),
    Item("fanout-slow", "fanout", Run("--viewers 100,1000 --tempo 0.2", 1)),
    Item("narrow", "narrow", Run("", 2.2), quick=Run("--seconds 2", 1.7)),
    Item("stalled", "stalled", Run("", 1.4), quick=Run("--seconds 10", 0.5)),
    Item(
        "network",
        "network",
        Run("", 10),
        quick=Run('--only "clean,loss 5 %" --seconds 6', 0.7),
        clip="may",
    ),
    Item("network-grid", "network", Run("--grid --seconds 10", 6), clip="may"),
    Item(
        "filtered",
        "filtered",
        Run("", 2.5),
        quick=Run("--rooms 1 --seconds 4", 1.5),
        clip="must",
    ),
    Item(
        "filters",
        "filters",
        Run("", 3),
        quick=Run("--sizes 720p --faces 1 --presets natural,all --seconds 1", 0.3),
    ),
    Item(
        "interruptions",
        "interruptions",
        Run("", 1.5),
        quick=Run("--toggles 3 --kills 1", 0.6),
        clip="may",
    ),
    Item("tracing", "tracing", Run("--repeat 5", 0.4), quick=Run("", 0.1)),
    Item("trial", "trial", Run("", 2), quick=Run("--times 2", 0.4)),
    Item("soak", "soak", Run("--seconds 600", 10.3), quick=Run("--seconds 60", 1.2)),
)
