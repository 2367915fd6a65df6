"""Collects what the proof tried and saw, and writes it down: ``pytest -p tests.privacy.report``.

A plugin and no conftest: those hear only of the tests below them, and parts of the proof are
elsewhere.
"""

import os
import platform
import subprocess
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from mediasrv import __version__
from tests.privacy.live import STRACE

REPORT = "MEDIASRV_PRIVACY_REPORT"
SECONDS = "MEDIASRV_PRIVACY_SECONDS"
SHORT_S = 5.0
PACKAGES = ("mediapipe", "numpy", "opencv-contrib-python", "av", "aiortc")

TITLES = {
    "C1": "The types refuse to be stored, copied and printed",
    "C2": "Who may import the detector, serialisation and logging",
    "C3": "Nothing is written: the worker's system calls, and the files around it",
    "C4": "Refusal by construction: every way out of the worker, guard by guard",
    "C5": "The worker is gone within a second, and the server has nothing in memory",
    "C6": "While live, no other process has landmarks in memory",
    "C7": "No core file, whatever ends the worker",
    "C8": "Nothing in swap",
    "C9": "Crash reports name type, file and line only",
    "C10": "Logs at DEBUG hold nothing of a face",
    "C11": "What goes over the network and the worker's channel",
    "C12": "The encoded picture carries nothing beside the picture",
    "C13": "No unfiltered frame gets past a filter that dies",
    "C14": "After stop nothing is left on disk",
}
# How what was tried begins where a leak was made on purpose, to see it caught.
MUTANT = "Leaky mutant"
# Other modules that belong to the proof; they run with it. What they try, and what was seen when
# all of them pass, is said here: they do not know of the report.
ELSEWHERE = {
    "tests/architecture/test_facial_data_fences.py": (
        "C1",
        "Every type that holds facial data: pickle, copy, iteration, formatting, tracebacks:",
        "refused or redacted.",
    ),
    "tests/unit/mediasrv/processing/test_sandbox.py": (
        "C4",
        "Leaky mutant, every way out of a process without any guard, then behind each guard "
        "alone, then behind all:",
        "open without; closed by each guard by itself, so one that is removed is missed by name.",
    ),
    "tests/unit/mediasrv/processing/test_syscall_filter.py": (
        "C4",
        "The call filter, step by step, for both processors:",
        "everything but its list is refused.",
    ),
    "tests/scenarios/test_locked_worker.py": (
        "C4",
        "Leaky mutant, the real worker without the sandbox, an attacker inside it:",
        "finds every way open; none in the locked one, and the gravest attempts end it.",
    ),
    "tests/unit/mediasrv/processing/test_channel.py": (
        "C11",
        "The worker's channel: every message, mutated and made up:",
        "only frames, enumerated settings, counters and durations pass.",
    ),
    "tests/unit/mediasrv/test_no_raw_picture.py": (
        "C13",
        "Rooms with the filter on, worker losses and host reconnects at any moment:",
        "no packet of the host's own picture.",
    ),
    "tests/scenarios/test_beauty_worker_failures.py": (
        "C13",
        "Leaky mutant, a stream that hands on frames while it has no worker; and 50 kills in a row "
        "at random moments, each codec:",
        "the mutant's raw pictures are seen; in the real stream there is none.",
    ),
}


@dataclass
class Check:
    """What came out of one check."""

    noted: dict[str, str] = field(default_factory=dict)
    passed: int = 0
    failed: int = 0

    def note(self, tried: str, seen: str) -> None:
        """Write down what was tried and seen; the same a second time is the same."""
        self.noted[tried] = seen

    @property
    def mutants(self) -> int:
        """How many leaks were made on purpose."""
        return sum(tried.startswith(MUTANT) for tried in self.noted)


CHECKS: dict[str, Check] = defaultdict(Check)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    marker = item.get_closest_marker("proof")
    if marker is not None:  # noted before anything can fail: a failure must not hide its check
        report.user_properties.append(("proof of", list(marker.args)))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and not report.failed:
        return
    properties: list[tuple[str, Any]] = report.user_properties
    checks = {check for name, of in properties if name == "proof of" for check in of}
    module = report.nodeid.split("::")[0]
    if module in ELSEWHERE:
        name, tried, seen = ELSEWHERE[module]
        checks.add(name)
        if report.passed:
            CHECKS[name].note(tried, seen)
    for _, (check, tried, seen) in _proofs(report):
        CHECKS[check].note(tried, seen)
    for check in checks:
        CHECKS[check].passed += report.passed
        CHECKS[check].failed += report.failed


def _proofs(report: pytest.TestReport) -> list:
    return [each for each in report.user_properties if each[0] == "proof"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = Path(os.environ[REPORT])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(write_report())
    if any(_verdict(CHECKS[name]) != "pass" for name in TITLES):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED  # a check that did not run is no proof


def write_report() -> str:
    """The whole report as Markdown."""
    strace = subprocess.run([STRACE, "-V"], capture_output=True, text=True, check=False).stdout
    lines = [
        "# Privacy proof",
        "",
        f"mediasrv {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. Live things were watched "
        f"for {os.environ.get(SECONDS, SHORT_S)} s each.",
        "",
        f"- Kernel: {platform.system()} {platform.release()}, {platform.machine()}",
        f"- Python {platform.python_version()}; "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        f"- {strace.splitlines()[0] if strace else 'strace: none'}",
        "",
        "| check | | tests | leaky mutants caught | result |",
        "|---|---|---|---|---|",
    ]
    for name, title in TITLES.items():
        check = CHECKS[name]
        tests = check.passed + check.failed
        lines.append(f"| {name} | {title} | {tests} | {check.mutants} | {_verdict(check)} |")
    for name, title in TITLES.items():
        lines += ["", f"## {name}. {title}: {_verdict(CHECKS[name])}", ""]
        lines += [f"- {tried} **{seen}**" for tried, seen in CHECKS[name].noted.items()]
        modules = [f"`{module}`" for module, (of, _, _) in ELSEWHERE.items() if of == name]
        if modules:
            lines.append(f"- All of {', '.join(modules)}.")
    lines += ["", "What cannot be proved from inside is said in PRIVACY.md.", ""]
    return "\n".join(lines)


def _verdict(check: Check) -> str:
    if check.failed:
        return "FAIL"
    if check.passed and not check.mutants:
        return "proves nothing"  # a check that has never seen a leak
    return "pass" if check.passed else "not run"
