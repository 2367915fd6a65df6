"""How long a process was ready to run while the machine had no processor for it."""

from pathlib import Path


def starved_for_s(pid: int) -> float:
    """Return the seconds that the main thread of a process has waited for a processor so far.

    From the scheduler's own accounts (Linux, Documentation/scheduler/sched-stats.rst: the second
    field, in nanoseconds). 0 where there are none, or when the process is gone.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
