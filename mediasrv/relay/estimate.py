"""How many bits per second the host may send: loss-based, told by REMB."""

# The video bitrate that a 720p host is offered from the start; without a seed, browsers need
# ten seconds and more to climb there.
MAX_BPS = 2_500_000
MIN_BPS = 150_000
# Thresholds and steps of the loss-based controller of draft-ietf-rmcat-gcc-02 section 6.
LOSS_HIGH = 0.10
LOSS_LOW = 0.02
GROWTH = 1.08


class UplinkEstimate:
    """What the path from the host carries, judged by the losses on it.

    Attributes:
        bitrate_bps: The present estimate.
    """

    def __init__(self, max_bps: int = MAX_BPS) -> None:
        self.bitrate_bps = max_bps
        self._max_bps = max_bps

    def update(self, fraction_lost: float) -> int:
        """Take the loss (0..1) of the last interval; returns the new estimate."""
        if fraction_lost > LOSS_HIGH:
            lower = int(self.bitrate_bps * (1 - 0.5 * fraction_lost))
            self.bitrate_bps = max(MIN_BPS, lower)
        elif fraction_lost < LOSS_LOW:
            self.bitrate_bps = min(self._max_bps, int(self.bitrate_bps * GROWTH))
        return self.bitrate_bps
