"""Which requests for lost packets a viewer is granted."""

import math
from dataclasses import dataclass

# mediasoup and LiveKit stop at about as many; a packet that was lost so often comes too late.
TRIES_MAX = 3
# Before the first measurement, and the least and the most that is believed.
RTT_DEFAULT_S = 0.1
RTT_MIN_S = 0.01
RTT_MAX_S = 1.0
# From this share of losses on a repair is lost too often to be sent only once.
LOSSY = 0.02
# In units of 10 ms. Few steps, because viewers who wait for as long share one layout.
PATIENCE_STEP = 7
PATIENCE_STEPS_MAX = 5
# Receivers ask when the next packet comes, and look every 20 ms whether to ask again.
ASKING_S = 0.05
# A radio link that was bad will be so again.
PATIENT_FOR_S = 30.0
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


class RepairDelay:
    """For how long a viewer should wait for repairs before it shows what it has.

    Each frame at once is best where nothing is lost; else frames that are repaired would come too
    late, and the picture would stutter.

    Attributes:
        units: Of 10 ms; 0 for not at all.
    """

    __slots__ = ("_loss", "_lossy_at", "units")

    def __init__(self) -> None:
        self.units = 0
        self._loss = 0.0
        self._lossy_at = 0.0

    def lost(self, fraction: float, rtt_s: float, now: float) -> None:
        """Take the loss (0..1) of a receiver report and the round trip."""
        self._loss += (fraction - self._loss) / 4
        if self._loss >= LOSSY:
            self._lossy_at = now
            # Enough for a second request, when the first repair was lost as well.
            wanted_s = 2 * rtt_s + ASKING_S
            steps = min(PATIENCE_STEPS_MAX, math.ceil(wanted_s * 100 / PATIENCE_STEP))
            self.units = steps * PATIENCE_STEP
        elif now - self._lossy_at > PATIENT_FOR_S:
            self.units = 0


class RoundTrip:
    """The round trip to a viewer, from what its reports echo (RFC 3550 section 6.4.1).

    Attributes:
        rtt_s: Smoothed, bounded.
        queueing_s: How much longer the last one took than the shortest did: what waits on the way.
    """

    __slots__ = ("_least_s", "queueing_s", "rtt_s")

    def __init__(self) -> None:
        self.rtt_s = RTT_DEFAULT_S
        self.queueing_s = 0.0
        self._least_s: float | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the viewer has echoed a report; else ``rtt_s`` is a guess."""
        return self._least_s is not None

    def echoed(self, last_report: int, delay: int, now: float) -> None:
        """Take a report block's echo of our sender report; both in 1/65536 s, 0 for none."""
        if last_report == 0:
            return
        elapsed = (int(now * 65536) - last_report - delay) & 0xFFFFFFFF
        if elapsed >= 1 << 31:
            return  # clocks that disagree, or a forged echo
        rtt_s = min(RTT_MAX_S, max(RTT_MIN_S, elapsed / 65536))
        if self._least_s is None:
            self.rtt_s = self._least_s = rtt_s
        self.rtt_s += (rtt_s - self.rtt_s) / 8
        # A way that has become longer for good is not one with a queue.
        self._least_s = min(rtt_s, self._least_s + (rtt_s - self._least_s) / 64)
        self.queueing_s = rtt_s - self._least_s
