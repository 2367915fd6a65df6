"""Which requests for lost packets a viewer is granted."""

from dataclasses import dataclass

# mediasoup and LiveKit stop at about as many; a packet that was lost so often comes too late.
TRIES_MAX = 3
# Before the first measurement, and the least and the most that is believed.
RTT_DEFAULT_S = 0.1
RTT_MIN_S = 0.01
RTT_MAX_S = 1.0
# A viewer that asks for more packets than this at a time has lost its path, not packets.
REMEMBERED_MAX = 2048


@dataclass(slots=True)
class _Granted:
    at: float
    tries: int


class RepairPolicy:
    """Grant each packet a few times, and not again before the last grant can have arrived."""

    __slots__ = ("_granted",)

    def __init__(self) -> None:
        self._granted: dict[int, _Granted] = {}

    def allow(self, sequence: int, now: float, rtt_s: float) -> bool:
        """Tell whether the packet may be sent again now, and take it as sent."""
        granted = self._granted.get(sequence)
        if granted is None:
            if len(self._granted) >= REMEMBERED_MAX:
                self._forget_oldest()
            self._granted[sequence] = _Granted(now, 1)
            return True
        if granted.tries >= TRIES_MAX or now - granted.at < rtt_s:
            return False
        granted.at, granted.tries = now, granted.tries + 1
        return True

    def is_exhausted(self, sequence: int, now: float, rtt_s: float) -> bool:
        """Tell whether a packet was sent again as often as it may be, each time in vain."""
        granted = self._granted.get(sequence)
        return granted is not None and granted.tries >= TRIES_MAX and now - granted.at >= rtt_s

    def _forget_oldest(self) -> None:
        for sequence in sorted(self._granted)[: REMEMBERED_MAX // 2]:
            del self._granted[sequence]


class RoundTrip:
    """The round trip to a viewer, from what its reports echo (RFC 3550 section 6.4.1).

    Attributes:
        rtt_s: Smoothed, bounded.
    """

    __slots__ = ("_measured", "rtt_s")

    def __init__(self) -> None:
        self.rtt_s = RTT_DEFAULT_S
        self._measured = False

    @property
    def is_measured(self) -> bool:
        """Whether the viewer has echoed a report; else ``rtt_s`` is a guess."""
        return self._measured

    def echoed(self, last_report: int, delay: int, now: float) -> None:
        """Take a report block's echo of our sender report; both in 1/65536 s, 0 for none."""
        if last_report == 0:
            return
        elapsed = (int(now * 65536) - last_report - delay) & 0xFFFFFFFF
        if elapsed >= 1 << 31:
            return  # clocks that disagree, or a forged echo
        rtt_s = min(RTT_MAX_S, max(RTT_MIN_S, elapsed / 65536))
        self.rtt_s = rtt_s if not self._measured else self.rtt_s + (rtt_s - self.rtt_s) / 8
        self._measured = True
