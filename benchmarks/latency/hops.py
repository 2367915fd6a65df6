"""How many pictures came how far, so that it shows where those that are missing were lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


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


def _more(name: str, before: dict[str, Any], after: dict[str, Any]) -> int:
    return int(after.get(name, 0)) - int(before.get(name, 0))
