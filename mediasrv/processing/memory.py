"""How much memory a process holds."""

import os
from pathlib import Path


def resident_bytes(pid: int) -> int:
    """Return what a process has in memory now.

    From the kernel's accounts (Linux, proc(5): the second field of statm, in pages). 0 where there
    are none, or when the process is gone.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
