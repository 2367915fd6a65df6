"""How many pictures came how far, so that it shows where those that are missing were lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

# Who loses pictures between two hops.
_LOSERS = {
    ("camera", "encoded"): "the host's encoder leaves out what it has no time or bits for",
    (
        "to the filter",
        "received",
    ): "of pictures that come together the filter takes the newest when it has no time for all",
    ("received", "decoded"): "the viewer's decoder had no time",
    ("decoded", "composited"): "the viewer's browser had no time to draw them",
    ("composited", "noted"): "the page of the benchmark had no time to read their codes",
}


@dataclass(frozen=True, slots=True)
class Counted:
    """What everybody on the way had counted at one moment.

    Attributes:
        host: The host's RTP statistics (getStats) of its best video.
        viewer: The viewer's.
        to_filter: Frames that the server gave to the filter; None without a server.
    """

    host: dict[str, Any]
    viewer: dict[str, Any]
    to_filter: float | None


def pictures_by_hop(
    camera: int, before: Counted, after: Counted, presented: Sequence[int]
) -> dict[str, int]:
    """Return how many pictures of a window reached each hop, in the order of the way.

    Neighbours may differ by the one or two that were between them when the window began or ended.

    Args:
        camera: Handed over by the camera.
        before: What had been counted when the window began.
        after: What had been when it ended.
        presented: ``presentedFrames`` of each callback of the screen (requestVideoFrameCallback):
            their own number shows whether the page missed any.
    """
    hops = {"camera": camera, "encoded": _more("framesEncoded", before.host, after.host)}
    if after.to_filter and before.to_filter is not None:
        hops["to the filter"] = round(after.to_filter - before.to_filter)
    hops["received"] = _more("framesReceived", before.viewer, after.viewer)
    hops["decoded"] = _more("framesDecoded", before.viewer, after.viewer)
    hops["composited"] = presented[-1] - presented[0] + 1 if presented else 0
    hops["noted"] = len(presented)
    return hops


def where_most_were_lost(pictures: Mapping[str, int]) -> str | None:
    """Say between which two hops most pictures were lost, and what does that; None for nowhere.

    Args:
        pictures: As :func:`pictures_by_hop` returns them.
    """
    losses = [
        (before - after, start, end)
        for (start, before), (end, after) in pairwise(pictures.items())
        if before > after
    ]
    if not losses:
        return None
    lost, start, end = max(losses)
    return f"{lost} of them between {start} and {end}: {_LOSERS.get((start, end), 'on the way')}"


def _more(name: str, before: dict[str, Any], after: dict[str, Any]) -> int:
    return int(after.get(name, 0)) - int(before.get(name, 0))
