"""``python -m benchmarks NAME``: run one; without a name, list them."""

import argparse
import importlib
import json
import sys
from pathlib import Path

from benchmarks.machine import describe_machine

# Name to what it measures; each is a module here with add_options(parser) and run(options).
BENCHMARKS = {
    "fanout": "CPU time per forwarded packet, delay, memory and loss by number of viewers",
    "filtered": "time that the filter adds, CPU time per frame, rooms per core, encoder quality",
    "filters": "time per stage and preset, and quality in figures, of the beauty filters",
    "interruptions": "how long the picture stands still at toggles and crashes of the filter",
    "join": "how long a viewer waits for the first picture (Chromium)",
    "network": "what a viewer sees behind loss, bursts, delay, a narrow link, a blackout",
    "rush": "how long 200 viewers wait who come within two seconds",
    "stalled": "memory of the server while viewers stop reading, and what others notice",
    "viewers": "loss, and CPU time of the server, with many viewers in one room",
    "watch": "frames per second that browsers show, filter off and on",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", metavar="NAME")
    modules = {}
    for name, summary in BENCHMARKS.items():
        module = modules[name] = importlib.import_module(f"benchmarks.{name}")
        own = names.add_parser(name, help=summary, description=module.__doc__)
        own.add_argument("--json", type=Path, metavar="FILE", help="write the result here")
        module.add_options(own)
    options = parser.parse_args(arguments)
    if options.name is None:
        for name, summary in BENCHMARKS.items():
            print(f"{name:14} {summary}")
        return 0
    machine = describe_machine()
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, {machine['python']}")
    result = {"benchmark": options.name, "machine": machine, **modules[options.name].run(options)}
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
