"""What the server knows about one incoming stream: loss, jitter, gaps to ask for again."""

from dataclasses import dataclass

from mediasrv.relay.rtcp import ReportBlock, SenderReport
from mediasrv.relay.serial import Unwrapper

# Reordering of a few packets is normal on Wi-Fi; asking at once would double them.
NACK_DELAY_S = 0.010
# About the round trip of a host within one continent, until answers to requests were timed; then
# a request is repeated when its answer is overdue by half.
NACK_RETRY_S = 0.060
NACK_RETRY_MIN_S = 0.030
NACK_RETRY_MAX_S = 0.300
NACK_OVERDUE = 1.5
NACK_TRIES_MAX = 8
# mediasoup drops its list at 1,000 as well: beyond that a keyframe is cheaper than repair.
NACK_PENDING_MAX = 1000
# Each may take four bytes; one NACK has to stay below the MTU.
NACK_BATCH_MAX = 250


@dataclass(slots=True)
class _Missing:
    next_try: float
    tries: int = 0
    asked_at: float = 0.0


class NackGenerator:
    """Decide which missing packets to ask for, and when to ask again.

    Attributes:
        asked: Packets that were asked for, each counted once.
        gave_up: Packets that were asked for in vain; a decoder needs a keyframe after those.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.gave_up = 0
        self._highest: int | None = None
        self._missing: dict[int, _Missing] = {}
        self._retry_s = NACK_RETRY_S

    def received(self, sequence: int, now: float) -> None:
        """Note an unwrapped sequence number."""
        highest = self._highest
        if highest is None:
            self._highest = sequence
        elif sequence <= highest:
            found = self._missing.pop(sequence, None)
            if found is not None and found.tries == 1:
                self._time_answer(now - found.asked_at)
        else:
            if sequence - highest - 1 <= NACK_PENDING_MAX - len(self._missing):
                for missing in range(highest + 1, sequence):
                    self._missing[missing] = _Missing(now + NACK_DELAY_S)
            else:
                self._give_up_all(sequence - highest - 1)
            self._highest = sequence

    def _time_answer(self, elapsed_s: float) -> None:
        """Let the time from the first request to the packet say when an answer is overdue."""
        wanted_s = min(NACK_RETRY_MAX_S, max(NACK_RETRY_MIN_S, NACK_OVERDUE * elapsed_s))
        self._retry_s += (wanted_s - self._retry_s) / 4

    def _give_up_all(self, more: int) -> None:
        self.gave_up += len(self._missing) + more
        self._missing.clear()

    def due(self, now: float) -> list[int]:
        """Return the unwrapped numbers to ask for now, in order; what is too many comes later."""
        asked: list[int] = []
        for sequence, entry in list(self._missing.items()):
            if len(asked) == NACK_BATCH_MAX:
                break
            if entry.next_try > now:
                continue
            if entry.tries >= NACK_TRIES_MAX:
                del self._missing[sequence]
                self.gave_up += 1
                continue
            entry.tries += 1
            if entry.tries == 1:
                entry.asked_at = now
                self.asked += 1
            entry.next_try = now + self._retry_s
            asked.append(sequence)
        return sorted(asked)

    def forget_before(self, sequence: int) -> None:
        """Drop what is older than a keyframe: no decoder needs it any more."""
        for missing in [s for s in self._missing if s < sequence]:
            del self._missing[missing]


class Reception:
    """Statistics of one stream that the host sends (RFC 3550 sections 6.4 and A.3, A.8).

    Args:
        ssrc: Of the stream.
        clock_hz: Of its timestamps.

    Attributes:
        nacks: What is missing.
        packets_received: RTP packets, duplicates included.
        bytes_received: Payload bytes.
        sender_report: The host's last one.
    """

    def __init__(self, ssrc: int, clock_hz: int) -> None:
        self.ssrc = ssrc
        self.nacks = NackGenerator()
        self.packets_received = 0
        self.bytes_received = 0
        self.sender_report: SenderReport | None = None
        self._clock_hz = clock_hz
        self._sequences = Unwrapper(16)
        self._timestamps = Unwrapper(32)
        self._first: int | None = None
        self._jitter = 0.0
        self._transit: float | None = None
        self._expected_before = 0
        self._received_before = 0
        self._report_arrived = 0.0

    def received(self, sequence: int, timestamp: int, size: int, now: float) -> tuple[int, int]:
        """Note a packet; returns its sequence number and timestamp, unwrapped."""
        unwrapped = self._sequences.unwrap(sequence)
        ticks = self._timestamps.unwrap(timestamp)
        if self._first is None or unwrapped < self._first:
            self._first = unwrapped
        self.packets_received += 1
        self.bytes_received += size
        self.nacks.received(unwrapped, now)
        transit = now * self._clock_hz - ticks
        if self._transit is not None:
            self._jitter += (abs(transit - self._transit) - self._jitter) / 16
        self._transit = transit
        return unwrapped, ticks

    def unwrap_timestamp(self, timestamp: int) -> int:
        """Place the timestamp of a sender report among the packets' ones."""
        return self._timestamps.place(timestamp)

    @property
    def highest(self) -> int:
        """The highest sequence number so far, unwrapped; 0 before the first packet."""
        return self._sequences.last or 0

    @property
    def lost(self) -> int:
        """Packets that have not come, less those that came twice (RFC 3550 section 6.4.1)."""
        if self._first is None:
            return 0
        return self.highest - self._first + 1 - self.packets_received

    def received_report(self, report: SenderReport, now: float) -> None:
        """Note a sender report, for the round trip that the host computes from our reports."""
        self.sender_report = report
        self._report_arrived = now

    def report_block(self, now: float) -> ReportBlock | None:
        """Return what to report since the last call; None before the first packet."""
        last = self._sequences.last
        if self._first is None or last is None:
            return None
        expected = last - self._first + 1
        expected_now = expected - self._expected_before
        lost_now = expected_now - (self.packets_received - self._received_before)
        self._expected_before, self._received_before = expected, self.packets_received
        fraction = 0
        if expected_now > 0 and lost_now > 0:
            fraction = min(255, lost_now * 256 // expected_now)
        last_report = delay = 0
        if self.sender_report is not None:
            last_report = self.sender_report.ntp >> 16 & 0xFFFFFFFF
            delay = int((now - self._report_arrived) * 65536)
        return ReportBlock(
            self.ssrc, fraction, self.lost, last, int(self._jitter), last_report, delay
        )
