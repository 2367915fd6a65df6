"""``python -m benchmarks suite --into DIR``: measure everything, one after the other, and report.

Each benchmark runs in a process of its own and leaves ``DIR/NAME.json`` and its output in
``DIR/NAME.log``; at the end there is ``DIR/report.html``. What is refused or fails is told there,
and the next one runs. What an earlier run with the same options has left is not measured again,
unless ``--again``; so a suite that was interrupted goes on where it was.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.reporting.reading import Row, rows, text
from benchmarks.reporting.words import counted
from benchmarks.rig.live_server import REPOSITORY
from benchmarks.rig.machine import describe_machine
from benchmarks.suite_steps import SUITE, Step

RECORD = "suite.json"
PAGE = "report.html"
# A benchmark that takes so much longer than it should hangs.
HANGS_AFTER = 4
HANGS_AFTER_AT_LEAST_S = 600.0
# For browsers and servers to end after Ctrl-C.
ENDS_IN_S = 15.0
INTERRUPTED_STATUS = 130
MEASURED, REFUSED, FAILED = "measured", "refused", "failed"
INTERRUPTED, NOT_RUN = "interrupted", "not run"

Command = Callable[[Step, Path], Sequence[str]]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a benchmark.

    Attributes:
        name: Of its files.
        outcome: ``measured``, ``refused``, ``failed``, ``interrupted`` or ``not run``.
        why: What it said last, when it was not measured.
        took_s: How long it ran.
        command: What comes after ``python -m benchmarks``, without the file.
    """

    name: str
    outcome: str
    why: str = ""
    took_s: float = 0.0
    command: str = ""


class Suite:
    """Runs steps, and records what became of them after each.

    Args:
        steps: What is run, in this order.
        into: Where everything is written.
        again: Measure what is there as well.
        command: Makes the command line of a step's process, which writes its result to a file.
        tell: Says a line to who waits.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        into: Path,
        command: Command,
        *,
        again: bool = False,
        tell: Tell = print,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self._steps = steps
        self._into = into
        self._command = command
        self._again = again
        self._tell = tell
        self._earlier = _recorded(into)

    def run(self) -> int:
        """Run all, write the page; returns the exit status."""
        self._into.mkdir(parents=True, exist_ok=True)
        for number, step in enumerate(self._steps, 1):
            self._tell(f"\n[{number}/{len(self._steps)}] {step.name}: {step.command}")
            outcome = self._outcome(step)
            self._tell(f"  {outcome.outcome} after {outcome.took_s:.0f} s. {outcome.why}".rstrip())
            self.outcomes.append(outcome)
            self._record()
            if outcome.outcome == INTERRUPTED:
                break
        self._report()
        found = {outcome.outcome for outcome in self.outcomes}
        if INTERRUPTED in found:
            return INTERRUPTED_STATUS
        return int(bool(found & {REFUSED, FAILED}))

    def _outcome(self, step: Step) -> Outcome:
        file = self._into / f"{step.name}.json"
        if step.lacks:
            return Outcome(step.name, NOT_RUN, step.lacks, command=step.command)
        if not self._again and _read(file) and self._was(step):
            why = "earlier; --again measures anew"
            return Outcome(step.name, MEASURED, why, command=step.command)
        file.unlink(missing_ok=True)
        began_s = time.monotonic()
        outcome = self._run(step, file)
        return replace(outcome, took_s=round(time.monotonic() - began_s, 1), command=step.command)

    def _was(self, step: Step) -> bool:
        """Tell whether an earlier run measured with the same command, as far as is known."""
        return text(self._earlier.get(step.name), "command") in {step.command, ""}

    def _run(self, step: Step, file: Path) -> Outcome:
        said = ""
        process = _Process(self._command(step, file), limit_s=_patience_s(step.minutes))
        try:
            with file.with_suffix(".log").open("w", encoding="utf-8") as log:
                for line in process.lines():
                    log.write(line)
                    said = line.strip() or said
                    self._tell(f"  {line.rstrip()}")
            return _judged(step.name, process, file, said)
        except KeyboardInterrupt:
            return Outcome(step.name, INTERRUPTED)
        finally:
            process.end()

    def _record(self) -> None:
        """Write what is known by now, with what earlier runs of other steps left."""
        to_come = {s.name: asdict(Outcome(s.name, NOT_RUN, command=s.command)) for s in self._steps}
        known = {outcome.name: asdict(outcome) for outcome in self.outcomes}
        outcomes = {**to_come, **self._earlier, **known}
        record = {
            "benchmark": "suite",
            "machine": describe_machine(),
            "outcomes": list(outcomes.values()),
        }
        (self._into / RECORD).write_text(json.dumps(record, indent=1) + "\n")

    def _report(self) -> None:
        """Write the page of everything that is there; the suite's own order first."""
        order = [RECORD, *(f"{item.name}.json" for item in SUITE)]
        found = {path.name: path for path in sorted(self._into.glob("*.json")) if _read(path)}
        ordered = [found.pop(name) for name in order if name in found]
        report.write([*ordered, *found.values()], self._into / PAGE)
        self._tell("")
        for outcome in self.outcomes:
            self._tell(f"{outcome.name:16} {outcome.outcome:12} {outcome.why}".rstrip())
        self._tell(f"wrote {self._into / PAGE}")


def _judged(name: str, process: "_Process", file: Path, said: str) -> Outcome:
    """Say what became of a process that has ended; ``said`` is its last line."""
    status = process.wait()
    if process.hung:
        return Outcome(name, FAILED, "it did not end in time and was ended")
    if status == 0 and _read(file):
        return Outcome(name, MEASURED)
    if said.startswith("refused: "):
        return Outcome(name, REFUSED, said.removeprefix("refused: "))
    return Outcome(name, FAILED, said or f"exit status {status}")


class _Process:
    """A benchmark's process, and all that it starts: they end together."""

    def __init__(self, command: Sequence[str], limit_s: float) -> None:
        self.hung = False
        # A session of its own: Ctrl-C reaches it through us, once.
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._timer = threading.Timer(limit_s, self._stop_waiting)
        self._timer.start()

    def lines(self) -> Iterable[str]:
        """Yield what it says."""
        assert self._process.stdout is not None
        return self._process.stdout

    def wait(self) -> int:
        """Wait for its end; returns the exit status."""
        return self._process.wait()

    def end(self) -> None:
        """End whatever of it still runs: politely, then not."""
        self._timer.cancel()
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                if self._process.poll() is None:
                    self._signal(number)
                    with suppress(subprocess.TimeoutExpired):
                        self._process.wait(ENDS_IN_S)
        finally:
            self._signal(signal.SIGKILL)
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _stop_waiting(self) -> None:
        self.hung = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def main(arguments: list[str] | None = None) -> int:
    """Run the suite; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks suite", description=__doc__)
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="minutes: short windows, fewer rows")
    parser.add_argument("--clip", type=Path, metavar="FILE", help="what cameras show: a face")
    parser.add_argument("--only", type=_names, help="names of benchmarks or files, with commas")
    parser.add_argument("--again", action="store_true", help="also measure what DIR already has")
    options = parser.parse_args(arguments)
    clip = None if options.clip is None else options.clip.resolve()
    if clip is not None and not clip.is_file():
        parser.error(f"{clip} is no file")
    steps = chosen(clip, options.only, quick=options.quick)
    if not steps:
        parser.error("nothing of this is in the quick suite")
    minutes = max(1, round(sum(step.minutes for step in steps if not step.lacks)))
    took = f"{counted(len(steps), 'step')}, about {counted(minutes, 'minute')}"
    _say(f"{took}; less for what {options.into} already has:")
    for step in steps:
        _say(f"  {step.name:16} {step.lacks or f'{step.minutes:4.1f} minutes'}")
    suite = Suite(steps, options.into.resolve(), _own_process, again=options.again, tell=_say)
    # So that whoever ends us, with timeout(1) say, gets what is there as well.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return suite.run()
    finally:
        signal.signal(signal.SIGTERM, before)


def chosen(clip: Path | None, only: set[str] | None, *, quick: bool) -> list[Step]:
    """Return what is to be run.

    Args:
        clip: What cameras show; None leaves out what needs one.
        only: Names of benchmarks or files; None takes all.
        quick: Take the short ones.
    """
    steps = [item.step(clip, quick=quick) for item in SUITE]
    return [
        step
        for step in steps
        if step is not None and (only is None or {step.name, step.benchmark} & only)
    ]


def _names(text: str) -> set[str]:
    known = {item.name for item in SUITE} | {item.benchmark for item in SUITE}
    names = set(text.split(","))
    if unknown := names - known:
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: none of {', '.join(sorted(known))}"
        )
    return names


def _own_process(step: Step, file: Path) -> Sequence[str]:
    options = [*step.arguments, "--json", str(file)]
    return [sys.executable, "-m", "benchmarks", step.benchmark, *options]


def _say(line: str) -> None:
    print(line, flush=True)


def _patience_s(minutes: float) -> float:
    return max(HANGS_AFTER_AT_LEAST_S, HANGS_AFTER * 60 * minutes)


def _recorded(into: Path) -> dict[str, Row]:
    """Return what became of the steps of earlier runs."""
    return {text(row, "name"): row for row in rows(_read(into / RECORD), "outcomes")}


def _read(file: Path) -> dict[str, Any]:
    """Return what a file holds; nothing when it is not there or is no result."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
