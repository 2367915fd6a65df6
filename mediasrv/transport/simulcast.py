"""Simulcast in SDP: one video in several qualities, told apart by rid (RFC 8851, RFC 8853).

aiortc's parser skips these lines, so they are read from the text of their section.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mediasrv.errors import NegotiationError

# Browsers send three at most.
STREAMS_MAX = 4
# RFC 8852 section 3 sends it in every packet. One-byte header extensions hold 16 bytes.
_RID = re.compile(r"[A-Za-z0-9_-]{1,16}")


@dataclass(frozen=True, slots=True)
class SimulcastStream:
    """One quality of a video.

    Attributes:
        rid: Its name in SDP and in packets.
        paused: Whether nothing of it is sent at first (``~``).
    """

    rid: str
    paused: bool


def read_simulcast(lines: Iterable[str]) -> tuple[SimulcastStream, ...]:
    """Read what a peer would send, from the attribute lines of one media section.

    Of alternatives the first one counts, which the peer likes best.

    Returns:
        The streams in the order of the offer; empty without simulcast.

    Raises:
        NegotiationError: It is malformed, or there are too many.
    """
    rids: set[str] = set()
    wanted: list[str] = []
    for line in lines:
        if line.startswith("a=rid:"):
            rid, _, rest = line.removeprefix("a=rid:").partition(" ")
            if not _RID.fullmatch(rid) or rid in rids or len(rids) == STREAMS_MAX:
                raise NegotiationError("rids are malformed, repeated or too many")
            if rest.split(" ", 1)[0] == "send":
                rids.add(rid)
        elif line.startswith("a=simulcast:"):
            wanted.append(line.removeprefix("a=simulcast:").strip())
    if len(wanted) > 1:
        raise NegotiationError("a media section has two simulcast lines")
    return _read_streams(wanted[0], rids) if wanted else ()


def _read_streams(text: str, rids: set[str]) -> tuple[SimulcastStream, ...]:
    words = text.split()
    if len(words) not in (2, 4) or not set(words[::2]) <= {"send", "recv"}:
        raise NegotiationError("the simulcast line is malformed")
    listed = dict(zip(words[::2], words[1::2], strict=True)).get("send")
    if listed is None:
        return ()
    names = [alternatives.split(",", 1)[0] for alternatives in listed.split(";")]
    streams = tuple(SimulcastStream(n.removeprefix("~"), n.startswith("~")) for n in names)
    found = [stream.rid for stream in streams]
    if len(set(found)) != len(found) or not set(found) <= rids:
        raise NegotiationError("the simulcast line names what is not described once")
    return streams


def write_simulcast(streams: Sequence[SimulcastStream]) -> list[str]:
    """Write the answer's lines: all streams are received, those that were paused stay so."""
    if not streams:
        return []
    listed = ";".join(f"~{s.rid}" if s.paused else s.rid for s in streams)
    return [*(f"a=rid:{s.rid} recv" for s in streams), f"a=simulcast:recv {listed}"]
