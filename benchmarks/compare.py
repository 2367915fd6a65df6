"""``python benchmarks/compare.py A.json B.json``: what got slower from A to B, beyond the noise.

Both files come from the same benchmark, run with ``--repeat`` (five or more): the noise is what the
repeats of each differ by. A figure counts as slower when its mean rose by more than FLOOR and by
more than Student's t allows for repeats that scatter like these, at a chance of error that all
figures of the comparison share.

The machine's own pace (``benchmarks.rig.pace``) stands in the files too. CPU time that was measured
in turns with it is compared relative to it. Any other figure that rose by no more than the machine
became slower, beside its noise, is *unsure*: neither verdict would be true.

The exit status is 0 when nothing is slower, 1 when something is, 2 when the files cannot tell.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

# Student's quantile; scipy.stats has it too and takes two seconds to import.
from scipy.special import stdtrit

# Two runs of one commit, minutes apart, differ by this much without any reason in the code.
FLOOR = 0.08
# Chance that a comparison of equal things calls anything slower.
ERROR = 0.005
REPEATS_MIN = 3
# What has to be the same for a comparison to be about the code.
MACHINE = ("cpu", "cores", "system", "python")
# What tells rows apart; everything else in a row is measured.
LABELS = (
    *("path", "preset", "codec", "size", "sound", "faces", "viewers", "network", "filter"),
    *("server", "stage", "join", "loss", "jitter", "rate", "planted_ms", "mode"),
)
# Figures that should be low, by the end of their name or of the name of what they stand in.
COSTS = ("_ms", "_us", "_s", "us_per_packet", "_kib")
# Not costs although they sound like it: settings, counts of time, proofs of the measurement.
IGNORED = {
    *("seconds", "limit_p50_ms", "limit_p95_ms", "clock_bracket_ms", "longest_gap_ms"),
    *("reads_per_s", "packets_per_s", "publisher_late_ms", "jitter_ms", "forward_ms"),
    *("p99", "p99_ms", "max"),
    *("load", "browsers", "neighbours_share", "waterfall", "machine", "arrival_ms", "vs"),
    *("pacer_ms", "samples_ms", "joins_ms", "each", "repeats", "pace", "limits", "tolerance_ms"),
}
# Below this, in the figure's own unit, nobody notices and clocks do not resolve it.
SMALLEST = {"_ms": 0.1, "_us": 20.0, "_s": 0.001}


class CannotCompare(Exception):
    """The files do not hold repeats of the same benchmark."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both files.

    Attributes:
        name: Labels of its row and its own name.
        before: Mean of the repeats in A.
        after: Mean of the repeats in B.
        allowed: By which part of ``before`` it might differ by chance.
        slowdown: By which part the machine was slower in B, as far as that is in the figure.
    """

    name: str
    before: float
    after: float
    allowed: float
    slowdown: float = 0.0

    @property
    def ratio(self) -> float:
        """How much more it is, as a part of ``before``."""
        return self.after / self.before - 1

    @property
    def is_slower(self) -> bool:
        """Whether it rose beyond the noise, and beyond what the machine explains."""
        rest = (1 + self.ratio) / (1 + max(0.0, self.slowdown)) - 1
        return rest > self.allowed

    @property
    def is_unsure(self) -> bool:
        """Whether it rose beyond the noise, but not beyond what the machine explains."""
        return self.ratio > self.allowed and not self.is_slower

    @property
    def is_faster(self) -> bool:
        """Whether it fell beyond the noise."""
        return -self.ratio > self.allowed


def figures_of(result: dict[str, Any], pace_us: float | None = None) -> dict[str, list[float]]:
    """Return each cost's values, one for each repeat, by the labels of its row and its name.

    Args:
        result: Of one file.
        pace_us: CPU time that was measured in turns with the machine's pace is told as it would be
            at this pace; None leaves it as it was.
    """
    found: dict[str, list[float]] = {}
    for repeat in _repeats(result):
        during_us = repeat.get("pace", {}).get("during_us")
        relative = pace_us / during_us if pace_us is not None and during_us is not None else 1.0
        for name, value in _costs(repeat, "", cost=""):
            told = value * relative if _is_cpu_time(name) else value
            found.setdefault(name, []).append(told)
    return found


def _repeats(result: dict[str, Any]) -> list[dict[str, Any]]:
    return result.get("repeats") or [result]


def _is_cpu_time(name: str) -> bool:
    return name.rpartition(" ")[2].startswith("cpu_")


def _during_us(result: dict[str, Any]) -> float | None:
    """The pace that this file's CPU time can be related to."""
    paces = [repeat.get("pace", {}).get("during_us") for repeat in _repeats(result)]
    return fmean(paces) if None not in paces else None


def machine_slowdown(before: dict[str, Any], after: dict[str, Any]) -> float:
    """Return by which part the machine was slower in B; 0.0 when a file does not tell."""
    first, second = (
        [pace for repeat in _repeats(result) for pace in repeat.get("pace", {}).values()]
        for result in (before, after)
    )
    return fmean(second) / fmean(first) - 1 if first and second else 0.0


def _costs(value: Any, where: str, cost: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        labels = " ".join(f"{k}={value[k]}" for k in LABELS if isinstance(value.get(k), str | int))
        inside = f"{where} [{labels}]" if labels else where
        for key, item in value.items():
            if key not in IGNORED and key not in LABELS:
                unit = next((end for end in COSTS if key.endswith(end)), cost)
                yield from _costs(item, f"{inside} {key}", unit)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield from _costs(item, where, cost)
    elif _is_number(value) and cost and value > SMALLEST.get(cost, 0.0):
        yield where.strip(), float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def compare(before: Any, after: Any) -> list[Change]:
    """Return every figure that both results hold often enough.

    Raises:
        CannotCompare: They are no results, of different benchmarks, or hold too few repeats.
    """
    if not isinstance(before, dict) or not isinstance(after, dict):
        raise CannotCompare("a result is one JSON object")
    if before.get("benchmark") != after.get("benchmark"):
        raise CannotCompare(f"{before.get('benchmark')} is not {after.get('benchmark')}")
    pace_us = _during_us(before) if _during_us(after) is not None else None
    first, second = figures_of(before, pace_us), figures_of(after, pace_us)
    common = {
        name: (values, second[name])
        for name, values in first.items()
        if name in second and min(len(values), len(second[name])) >= REPEATS_MIN
    }
    if not common:
        raise CannotCompare(f"no figure stands in both at least {REPEATS_MIN} times: --repeat 5")
    error = ERROR / len(common)
    slowdown = machine_slowdown(before, after)

    def change(name: str, a: Sequence[float], b: Sequence[float]) -> Change:
        paced = pace_us is not None and _is_cpu_time(name)
        allowed = max(FLOOR, noise(a, b, error))
        return Change(name, fmean(a), fmean(b), allowed, 0.0 if paced else slowdown)

    return [change(name, a, b) for name, (a, b) in common.items()]


def noise(before: Sequence[float], after: Sequence[float], error: float) -> float:
    """Return by which part of the mean of ``before`` equal things may differ.

    Args:
        before: Repeats, two or more.
        after: Repeats, two or more.
        error: Chance that equal things differ by more in this direction.
    """
    freedom = len(before) + len(after) - 2
    pooled = math.sqrt(
        ((len(before) - 1) * stdev(before) ** 2 + (len(after) - 1) * stdev(after) ** 2) / freedom
    )
    spread = pooled * math.sqrt(1 / len(before) + 1 / len(after))
    return float(stdtrit(freedom, 1 - error)) * spread / fmean(before)


def main(arguments: list[str] | None = None) -> int:
    """Compare two files; returns the exit status."""
    parser = argparse.ArgumentParser(prog="compare.py", description=__doc__)
    parser.add_argument("before", type=Path, metavar="A.json")
    parser.add_argument("after", type=Path, metavar="B.json")
    parser.add_argument("--all", action="store_true", help="also tell what has not changed")
    options = parser.parse_args(arguments)
    try:
        before, after = (json.loads(p.read_text()) for p in (options.before, options.after))
        changes = compare(before, after)
    except (OSError, ValueError, CannotCompare) as refused:
        print(f"cannot compare: {refused}", file=sys.stderr)
        return 2
    for change in sorted(changes, key=lambda change: -change.ratio):
        if change.is_slower or change.is_unsure or change.is_faster or options.all:
            print(_line(change))
    slower = sum(change.is_slower for change in changes)
    unsure = sum(change.is_unsure for change in changes)
    print(f"{len(changes)} figures compared, {slower} slower, {unsure} unsure")
    print(_about_the_machine(machine_slowdown(before, after)))
    for what in MACHINE:
        was, now = (result.get("machine", {}).get(what) for result in (before, after))
        if was != now:
            print(f"another machine: {what} was {was} in A and is {now} in B")
    return 1 if slower else 2 if unsure else 0


def _about_the_machine(slowdown: float) -> str:
    found = f"the machine itself was {100 * abs(slowdown):.1f} % "
    if slowdown > FLOOR:
        return f"{found}slower in B: measure again what is unsure"
    if slowdown < -FLOOR:
        return f"{found}faster in B: that may hide what became slower"
    return f"{found}{'slower' if slowdown > 0 else 'faster'} in B"


def _line(change: Change) -> str:
    word = "faster" if change.is_faster else "same"
    if change.ratio > change.allowed:
        word = "SLOWER" if change.is_slower else "unsure"
    return (
        f"{word:6} {100 * change.ratio:+6.1f} % (noise {100 * change.allowed:.1f} %) "
        f"{change.before:10.3f} -> {change.after:10.3f}  {change.name}"
    )


if __name__ == "__main__":
    sys.exit(main())
