"""Numbers that wrap around: RTP sequence numbers, timestamps and picture ids (RFC 1982)."""


def signed_distance(start: int, end: int, bits: int) -> int:
    """Return the shortest way from ``start`` to ``end`` on a circle of ``2 ** bits`` numbers.

    Half way round counts as backwards, so an ambiguous jump never moves a stream forward.
    """
    half = 1 << (bits - 1)
    return ((end - start + half) & ((1 << bits) - 1)) - half


class Unwrapper:
    """Turn wrapping numbers into growing integers, tolerant of reordering.

    Attributes:
        last: The highest number so far, None before the first.
    """

    __slots__ = ("_bits", "last")

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self.last: int | None = None

    def unwrap(self, value: int) -> int:
        """Return ``value`` as an integer close to the last one; it may be lower."""
        result = self.place(value)
        self.last = result if self.last is None else max(self.last, result)
        return result

    def place(self, value: int) -> int:
        """Return the same as :meth:`unwrap` without taking ``value`` as one of the stream."""
        if self.last is None:
            return value
        return self.last + signed_distance(self.last, value, self._bits)
