"""Looks for the canary in the memory of other processes: ``python -m tests.privacy.scan PID ...``.

A process of its own, because whoever looks for something has it in memory.
"""

import json
import sys
from pathlib import Path

from tests.privacy.canary import needles

PIECE_BYTES = 8 * 1024 * 1024
OVERLAP_BYTES = 64


def scan_bytes(data: bytes) -> list[str]:
    """Names of the encodings in which the canary is in ``data``."""
    return [name for name, needle in needles().items() if needle in data]


def scan_process(pid: int) -> tuple[set[str], int]:
    """The same for all memory of a process that it could write to, and how many bytes that is."""
    found: set[str] = set()
    seen_bytes = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in _writable(pid):
            at = start
            while at < end:
                try:
                    memory.seek(at)
                    piece = memory.read(min(PIECE_BYTES, end - at))
                except OSError:  # a mapping that nobody can read, or that has just gone
                    break
                if not piece:
                    break
                found.update(scan_bytes(piece))
                seen_bytes += len(piece)
                at += max(len(piece) - OVERLAP_BYTES, 1) if at + len(piece) < end else len(piece)
    return found, seen_bytes


def _writable(pid: int) -> list[tuple[int, int]]:
    ranges = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, *_ = line.split()
        if "w" in rights and "[v" not in line:
            start, _, end = span.partition("-")
            ranges.append((int(start, 16), int(end, 16)))
    return ranges


def main() -> None:
    answers = {}
    for argument in sys.argv[1:]:
        found, seen_bytes = scan_process(int(argument))
        answers[argument] = {"found": sorted(found), "seen_bytes": seen_bytes}
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
