"""Looks for the canary in the memory of other processes: ``python -m tests.privacy.scan PID ...``.

A process of its own, because whoever looks for something has it in memory.
"""

import contextlib
import json
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.privacy.canary import needles

PIECE_BYTES = 8 * 1024 * 1024
OVERLAP_BYTES = 64
# Memory that was never touched reads as zeros, in blocks of this size or larger.
BLOCK_BYTES = 64 * 1024
# Of everything packed, so much is unpacked: landmarks of one picture are 6 KiB.
UNPACKED_BYTES = 64 * 1024

_CONTAINERS = {
    b"x\x01": "zlib",
    b"x\x9c": "zlib",
    b"x\xda": "zlib",
    b"\x1f\x8b": "gzip",
    b"PK": "zip",
}
_WINDOWS = {"zlib": zlib.MAX_WBITS, "gzip": 16 + zlib.MAX_WBITS, "zip": -zlib.MAX_WBITS}
_PACKED = re.compile(rb"x[\x01\x9c\xda]|\x1f\x8b\x08|PK\x03\x04")


def scan_bytes(data: bytes) -> list[str]:
    """Names of the encodings in which the canary is in ``data``, packed or not."""
    sought = needles()
    found = {name for name, needle in sought.items() if needle in data}
    for container, content in unpacked(data):
        found.update(f"{container}: {name}" for name, needle in sought.items() if needle in content)
    return sorted(found)


def unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Whatever in ``data`` begins like a zlib or gzip stream or a file in a zip, unpacked."""
    for match in _PACKED.finditer(data):
        at = match.start()
        name = _CONTAINERS[match[0][:2]]
        if name == "zip":
            name_bytes, extra_bytes = struct.unpack_from("<2H", data[at + 26 : at + 30] + bytes(4))
            at += 30 + name_bytes + extra_bytes
        with contextlib.suppress(zlib.error):
            unpacker = zlib.decompressobj(_WINDOWS[name])
            yield name, unpacker.decompress(data[at : at + UNPACKED_BYTES], UNPACKED_BYTES)


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
                for stretch in stretches(piece):
                    found.update(scan_bytes(stretch))
                seen_bytes += len(piece)
                at += max(len(piece) - OVERLAP_BYTES, 1) if at + len(piece) < end else len(piece)
    return found, seen_bytes


def stretches(piece: bytes) -> Iterator[bytes]:
    """Cut out blocks of nothing but zeros; what stays begins and ends with a bit of them."""
    begin: int | None = None
    for at in range(0, len(piece), BLOCK_BYTES):
        block = piece[at : at + BLOCK_BYTES]
        is_empty = block.count(0) == len(block)
        if begin is None and not is_empty:
            begin = max(0, at - OVERLAP_BYTES)
        elif begin is not None and is_empty:
            yield piece[begin : at + OVERLAP_BYTES]
            begin = None
    if begin is not None:
        yield piece[begin:]


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
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found, seen_bytes = scan_process(int(argument))
            answers[argument] = {"found": sorted(found), "seen_bytes": seen_bytes}
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
