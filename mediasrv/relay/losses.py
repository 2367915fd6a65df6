"""What a viewer loses, over times that say something."""

from mediasrv.relay.rtcp import ReportBlock

# Browsers put a report in front of every NACK: forty a second on a bad way, each of which covers a
# handful of packets, most of them lost or none.
WINDOW_S = 0.4


class LossWindow:
    """Turn the report blocks of one stream into shares of loss that can be compared."""

    __slots__ = ("_at", "_highest", "_lost")

    def __init__(self) -> None:
        self._at = 0.0
        self._highest: int | None = None
        self._lost = 0

    def update(self, block: ReportBlock, now: float) -> float | None:
        """Take a report block.

        Args:
            block: What the viewer says about the stream; its counters are cumulative (RFC 3550
                section 6.4.1).
            now: Seconds.

        Returns:
            The share (0..1) that was lost since the last share was told; None for as long as there
            is nothing new to tell.
        """
        if self._highest is not None:
            expected = block.highest_sequence - self._highest
            if expected >= 0 and (now - self._at < WINDOW_S or expected == 0):
                return None
            if expected > 0:
                lost = block.packets_lost - self._lost
                self._begin(block, now)
                # Duplicates make it negative; a receiver that counts wrongly, more than all.
                return min(1.0, max(0.0, lost / expected))
        self._begin(block, now)
        return None

    def _begin(self, block: ReportBlock, now: float) -> None:
        self._at, self._highest, self._lost = now, block.highest_sequence, block.packets_lost
