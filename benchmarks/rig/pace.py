"""How fast the machine is just now: CPU time of a small piece of Python that never changes.

Whoever else computes on the same silicon makes everything slower, by up to two, for a second or for
an hour. A figure that is measured in turns with this one and told as a multiple of it stays: of 59
equal windows of 0.6 s beside a load that came and went, the relay's CPU time per packet scattered
by 5.7 % of its mean, relative to the pace by 1.1 %.
"""

import struct
from collections import deque
from time import monotonic, thread_time_ns

from benchmarks.rig.machine import percentile

SECONDS = 0.25
# As many as take half a millisecond: short beside what disturbs.
STEPS = 1000
# Whatever else runs can only add to a round.
UNDISTURBED = 0.1
_KEPT = 256
_HEADER = struct.Struct("!BBHII")
_PAYLOAD = bytes(100)


class _Note:
    __slots__ = ("packet", "ticks")

    def __init__(self, packet: bytes, ticks: int) -> None:
        self.packet = packet
        self.ticks = ticks


def round_us() -> float:
    """Return the thread's CPU time of one step.

    A step is of the kind that this server is made of: a header packed, bytes joined, an object made
    and kept in a dictionary and in a queue from which the oldest falls.
    """
    kept: dict[int, _Note] = {}
    order: deque[_Note] = deque(maxlen=_KEPT)
    began_ns = thread_time_ns()
    for number in range(STEPS):
        header = _HEADER.pack(128, 96, number & 0xFFFF, 3000 * number, 1)
        note = _Note(header + _PAYLOAD, 3000 * number)
        kept[number % _KEPT] = note
        order.append(note)
    return (thread_time_ns() - began_ns) / 1000 / STEPS


def pace_us(rounds: list[float]) -> float:
    """Return the pace that rounds tell: the tenth that was disturbed least."""
    return round(percentile(rounds, UNDISTURBED), 5)


def measure_pace_us(seconds: float = SECONDS) -> float:
    """Return the pace of now, from rounds over so many seconds."""
    ends, rounds = monotonic() + seconds, [round_us()]
    while monotonic() < ends:
        rounds.append(round_us())
    return pace_us(rounds)
