"""``python -m benchmarks NAME``: run one; without a name, list them.

All of them take ``--json``, ``--seconds`` and ``--repeat``, say what they run on and how they
measure, and leave out a figure whose own check failed.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.rig.interruption import interruptible
from benchmarks.rig.machine import describe_machine, say_machine
from benchmarks.rig.pace import measure_pace_us
from benchmarks.rig.refusal import MeasurementRefused
from benchmarks.rig.repeats import merge

# Name to what it measures; each is a module here with add_options(parser) and run(options), and
# SECONDS, the length of one measurement unless the command line says otherwise.
BENCHMARKS = {
    "fanout": "CPU time per forwarded packet, delay, memory and loss by number of viewers",
    "filtered": "time that the filter adds, CPU time per frame, rooms per core, encoder quality",
    "filters": "time per stage and preset, and quality in figures, of the beauty filters",
    "glass": "delay from a camera to a viewer's screen, by path, filter, codec and size",
    "interruptions": "how long the picture stands still at toggles and crashes of the filter",
    "join": "how long a viewer waits for the first picture (Chromium)",
    "narrow": "whether some viewers with little bandwidth make the others wait",
    "network": "what a viewer sees behind a bad network; --grid: loss x jitter x rate",
    "rush": "how long 200 viewers wait who come within two seconds",
    "stalled": "memory of the server while viewers stop reading, and what others notice",
    "soak": "what grows while viewers come and go and the filter is switched",
    "stages": "where each millisecond goes from glass to glass; planted delays found again",
    "tracing": "what tracing costs a packet while nobody traces, and while somebody does",
    "trial": "whether compare is silent about equal runs and finds a slowdown made on purpose",
    "viewers": "loss, and CPU time of the server, with many viewers in one room",
    "watch": "frames per second that browsers show, filter off and on",
}
# As shells tell it: 128 and SIGINT.
INTERRUPTED = 130
# They read what the others wrote, or run them.
TOOLS = {
    "compare": "say what got slower between two JSON files, beyond the noise they measured",
    "report": "make one HTML page with plots of JSON files",
    "suite": "run all of these one after the other, and make the page",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark that the command line names."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in TOOLS:
        tool = importlib.import_module(f"benchmarks.{arguments[0]}")
        return int(tool.main(arguments[1:]))
    options = _parser(arguments).parse_args(arguments)
    if options.name is None:
        for name, summary in {**BENCHMARKS, **TOOLS}.items():
            print(f"{name:14} {summary}")
        return 0
    machine = describe_machine()
    print(say_machine(machine), flush=True)
    with interruptible() as interrupted:
        try:
            result = _run(options)
        except MeasurementRefused as refused:
            print(f"refused: {refused}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            interrupted.set()
        except Exception:
            if not interrupted.is_set():
                raise
    if interrupted.is_set():
        print("interrupted: nothing was written", file=sys.stderr)
        return INTERRUPTED
    if options.json is not None:
        whole = {"benchmark": options.name, "machine": machine, **result}
        options.json.write_text(json.dumps(whole, indent=1) + "\n")
    broken = broken_of(result)
    for what in broken:
        print(f"broken: {what}", file=sys.stderr)
    return 1 if broken else 0


def broken_of(result: dict[str, Any]) -> list[str]:
    """Return the promises that a result, or any of its repeats, says were broken."""
    return [what for each in result.get("repeats", [result]) for what in each.get("broken", [])]


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    """Build the command line; only the benchmark that is named is imported."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", metavar="NAME")
    for name, summary in BENCHMARKS.items():
        if name not in arguments:
            names.add_parser(name, help=summary)
            continue
        module = importlib.import_module(f"benchmarks.{name}")
        own = names.add_parser(name, help=summary, description=module.__doc__)
        module.add_options(own)
        seconds: float = getattr(module, "SECONDS", 10.0)
        common = own.add_argument_group("options of every benchmark")
        common.add_argument("--json", type=Path, metavar="FILE", help="write the result here")
        common.add_argument(
            "--seconds", type=float, default=seconds, help=f"of each measurement ({seconds:g})"
        )
        common.add_argument("--repeat", type=_positive, default=1, help="measure so often (1)")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least once")
    return number


def _run(options: argparse.Namespace) -> dict[str, object]:
    """Measure as often as wanted; the result has medians, and each measurement in ``repeats``."""
    module = importlib.import_module(f"benchmarks.{options.name}")
    method = method_of(module)
    print(method, flush=True)
    results = []
    for turn in range(options.repeat):
        if options.repeat > 1:
            print(f"\nmeasurement {turn + 1} of {options.repeat}", flush=True)
        results.append(_paced(module, options))
    return {"method": method, **merge(results)}


def method_of(module: ModuleType) -> str:
    """Return how a benchmark measures: its METHOD, or what its docstring says below the summary."""
    words: str | None = getattr(module, "METHOD", None)
    return words or " ".join((module.__doc__ or "").partition("\n\n")[2].replace("``", "").split())


def _paced(module: ModuleType, options: argparse.Namespace) -> dict[str, object]:
    """Measure once, and the machine's pace before and after."""
    before_us = measure_pace_us()
    result: dict[str, object] = module.run(options)
    during = result.get("pace", {})
    assert isinstance(during, dict)
    pace = {"before_us": before_us, "after_us": measure_pace_us(), **during}
    return {**result, "pace": pace}


if __name__ == "__main__":
    sys.exit(main())
