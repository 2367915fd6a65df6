"""Whether ``compare`` can be trusted: silent about two runs of one commit, loud about a slower one.

Again and again ``tracing``, which is short, runs three times in processes of its own: twice as it
is and once with more work for each packet on purpose. All three are really measured, so what the
machine does meanwhile is in them.
"""

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import compare
from benchmarks.rig.live_server import REPOSITORY

SECONDS = 0.35
# Of five, one that a neighbour disturbed makes 20 % look like noise; of nine it does not.
REPEATS = 9
METHOD = (
    f"tracing --repeat {REPEATS}, its results compared by compare.py, exit status 1 being a finding"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--slower", type=float, default=20.0, metavar="PERCENT")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, compare, count."""
    quiet = found = 0
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(options.times):
            first, second, slow = (Path(scratch) / f"{turn}-{name}.json" for name in "abs")
            for path, percent in ((first, 0.0), (second, 0.0), (slow, options.slower)):
                _measure(path, options.seconds, percent)
            equal, slower = _status(first, second), _status(first, slow)
            quiet, found = quiet + (equal == 0), found + (slower == 1)
            print(
                f"{turn + 1:3}: the same commit {('quiet', 'CALLED SLOWER', 'UNSURE')[equal]};"
                f" {options.slower:g} % more work {('MISSED', 'found', 'UNSURE')[slower]}",
                flush=True,
            )
    print(f"quiet {quiet} of {options.times} times, found {found} of {options.times} times")
    row = {"times": options.times, "slower_percent": options.slower, "quiet": quiet, "found": found}
    return {"runs": [row]}


def _measure(path: Path, seconds: float, slower: float) -> None:
    options = ["--seconds", str(seconds), "--repeat", str(REPEATS), "--slower", str(slower)]
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "tracing", *options, "--json", str(path)],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _status(before: Path, after: Path) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return compare.main([str(before), str(after)])
