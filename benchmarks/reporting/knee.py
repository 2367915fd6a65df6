"""Where more viewers make no sense any more: the knee of a fan-out."""

from collections.abc import Mapping
from typing import Any

from benchmarks.reporting.reading import number

# From here on more viewers would only make a queue longer.
KNEE_SHARE = 0.95
KNEE_LOSS = 0.001


def knee_of(row: Mapping[str, Any], fps: float) -> str | None:
    """Say why more viewers than in this row make no sense; None when they do.

    Args:
        row: A row of ``fanout``.
        fps: Frames that the publisher sends a second.
    """
    for reason in ("failed", "refused"):
        if reason in row:
            return str(row[reason])
    share, loss = number(row, "server_core_share") or 0.0, number(row, "loss") or 0.0
    if share >= KNEE_SHARE:
        return f"the server's core is {100 * share:.0f} % busy"
    if loss > KNEE_LOSS:
        return f"{100 * loss:.2f} % of the packets were lost"
    late_ms = number(row, "arrival_ms", "last", "p50") or 0.0
    if late_ms > 1000 / fps:
        return f"half of the frames are {late_ms:.0f} ms late at the last viewer"
    return None
