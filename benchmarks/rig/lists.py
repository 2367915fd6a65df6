"""Lists on a command line, with commas between their parts."""

import argparse
from collections.abc import Callable, Iterable


def name_list(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Make what reads some of the known names, or ``all``."""
    names = list(known)

    def parse(text: str) -> list[str]:
        wanted = names if text == "all" else text.split(",")
        for name in wanted:
            if name not in names:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(names)}")
        return list(wanted)

    return parse


def count_list(text: str) -> list[int]:
    """Read numbers from 1."""
    counts = [int(part) for part in text.split(",")]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError("numbers from 1, with commas between them")
    return counts
