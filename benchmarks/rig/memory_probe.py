"""Tells from within a server's process how much memory is in use, and plants a leak to be found.

What a process has from the system (RSS) says little for minutes: freed memory stays with the C
library, and a leak first fills what is free there. So this counts what is in use: bytes that the C
library has handed out, and blocks of Python's own allocator (up to 512 bytes each, in which small
objects live). Python's collector runs before each count, so that garbage is not taken for growth.

The server has no such switch: the benchmark starts it with these functions called before.
"""

import ctypes
import gc
import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from mediasrv.transport.peer import PeerTransport

ANSWER_TIMEOUT_S = 10.0
KIB = 1024


class _MallocCounts(ctypes.Structure):
    # struct mallinfo2 of glibc 2.33, malloc.h.
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
            *("uordblks", "fordblks", "keepcost"),
        )
    ]


def open_probe(path: str) -> None:
    """Answer everybody who connects to the Unix socket ``path``, in a thread."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    threading.Thread(target=_serve, args=(listener,), name="memory probe", daemon=True).start()


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(json.dumps(count_memory()).encode())


def count_memory() -> dict[str, float]:
    """Return what this process has in use: ``heap_kib`` where glibc tells, and ``blocks``."""
    gc.collect()
    counts: dict[str, float] = {"blocks": sys.getallocatedblocks()}
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return counts
    mallinfo2.restype = _MallocCounts
    found = mallinfo2()
    return {"heap_kib": (found.uordblks + found.hblkhd) / KIB, **counts}


def read_memory(path: Path) -> dict[str, float]:
    """Ask a server's probe."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        connection.connect(str(path))
        with connection.makefile("rb") as answer:
            return {name: float(value) for name, value in json.loads(answer.read()).items()}


def plant_leak(size_bytes: str) -> None:
    """Keep so many bytes of every transport that ends."""
    kept: list[bytearray] = []
    transports: Any = PeerTransport
    close = transports._finish

    def leak(peer: PeerTransport, reason: str) -> None:
        if not peer.is_closed:
            kept.append(bytearray(int(size_bytes)))
        close(peer, reason)

    transports._finish = leak


# What a server is to call first, see benchmarks.rig.live_server.
OPEN = f"{__name__}:{open_probe.__name__}"
LEAK = f"{__name__}:{plant_leak.__name__}"
