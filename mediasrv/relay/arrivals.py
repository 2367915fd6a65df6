"""When each packet of the host arrived, told back to it: transport-wide congestion control.

The host's browser computes from this how much its way to us carries, which no receiver can do as
well (draft-holmer-rmcat-transport-wide-cc-extensions-01).
"""

import struct

from mediasrv.relay.serial import Unwrapper

# Often enough to react within a round trip, seldom enough to cost nothing; libwebrtc: 50-250 ms.
FEEDBACK_EVERY_S = 0.05
# More than a second of 20 Mb/s; what is beyond is told without its missing packets.
SPAN_MAX = 2000
# What comes later than behind so many others is left untold. A message about a late packet tells
# again of those after it, which would be taken for losses otherwise.
LATE_MAX = 500
_DELTA_S = 0.00025
_REFERENCE_S = 0.064
_NOT_RECEIVED, _SMALL, _LARGE = 0, 1, 2
_SYMBOLS_PER_CHUNK = 7
_TWO_BIT_CHUNK = 0xC000
_HEAD = struct.Struct("!HH")


class ArrivalLog:
    """Collect arrivals and write the feedback for them.

    Attributes:
        feedbacks: Messages that were written.
    """

    def __init__(self) -> None:
        self.feedbacks = 0
        self._sequences = Unwrapper(16)
        self._arrived: dict[int, float] = {}
        # Told already; about the last LATE_MAX.
        self._told: dict[int, float] = {}
        self._next: int | None = None
        self._told_at = 0.0

    def arrived(self, sequence: int, now: float) -> None:
        """Note the arrival of a packet with this transport-wide sequence number (16 bits)."""
        unwrapped = self._sequences.unwrap(sequence)
        if self._next is None:
            self._next = unwrapped
        if unwrapped >= self._next - LATE_MAX and unwrapped not in self._told:
            self._arrived.setdefault(unwrapped, now)

    def feedback(self, now: float) -> bytes | None:
        """Return what is to be told now, the control information of one feedback message.

        None when nothing arrived since the last one, or when it is too early.
        """
        if not self._arrived or self._next is None or now - self._told_at < FEEDBACK_EVERY_S:
            return None
        self._told_at = now
        arrived, self._arrived = self._arrived, {}
        first, end = min(*arrived, self._next), max(arrived) + 1
        if first < self._next:
            arrived |= {sequence: at for sequence, at in self._told.items() if sequence >= first}
            end = max(end, self._next)
        first = max(first, end - SPAN_MAX)
        self._next = max(self._next, end)
        written = _write(first, end, arrived, self.feedbacks & 0xFF)
        self.feedbacks += 1
        self._remember(arrived)
        return written

    def _remember(self, arrived: dict[int, float]) -> None:
        self._told.update(arrived)
        if len(self._told) > 2 * LATE_MAX:
            oldest = max(self._told) - LATE_MAX
            self._told = {s: at for s, at in self._told.items() if s >= oldest}


def _write(first: int, end: int, arrived: dict[int, float], count: int) -> bytes:
    """Write the control information for packets from ``first`` to before ``end``.

    A packet whose distance to the one before does not fit into 16 bits (8 s) counts as lost.
    """
    earliest = min(at for sequence, at in arrived.items() if sequence >= first)
    reference = int(earliest / _REFERENCE_S)
    symbols: list[int] = []
    deltas = bytearray()
    last = round(reference * _REFERENCE_S / _DELTA_S)
    for sequence in range(first, end):
        at = arrived.get(sequence)
        delta = None if at is None else round(at / _DELTA_S) - last
        if delta is None or not -32768 <= delta <= 32767:
            symbols.append(_NOT_RECEIVED)
            continue
        last += delta
        if 0 <= delta <= 255:
            symbols.append(_SMALL)
            deltas.append(delta)
        else:
            symbols.append(_LARGE)
            deltas += delta.to_bytes(2, "big", signed=True)
    head = _HEAD.pack(first & 0xFFFF, len(symbols))
    head += (reference & 0xFFFFFF).to_bytes(3, "big") + bytes([count])
    return head + _chunks(symbols) + bytes(deltas)


def _chunks(symbols: list[int]) -> bytes:
    """Write symbols as status vector chunks of two bits each."""
    chunks = bytearray()
    for start in range(0, len(symbols), _SYMBOLS_PER_CHUNK):
        chunk = _TWO_BIT_CHUNK
        for i, symbol in enumerate(symbols[start : start + _SYMBOLS_PER_CHUNK]):
            chunk |= symbol << 2 * (_SYMBOLS_PER_CHUNK - 1 - i)
        chunks += chunk.to_bytes(2, "big")
    return bytes(chunks)
