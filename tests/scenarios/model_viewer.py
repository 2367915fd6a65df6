"""A viewer's browser as the relay knows it: packets in, RTCP out, frames on a screen.

It follows what Chromium's receiver does (video/nack_requester and video_stream_buffer_controller of
the WebRTC sources): NACK at once and by a timer, frames only whole and only with their reference, a
keyframe request after three seconds without a frame, or after 200 ms when nothing but a keyframe
would help.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

from benchmarks.rig.impairment import HEADERS_BYTES
from mediasrv.relay import rtcp, rtp
from tests.scenarios.marked_video import Slice, read_slice
from tests.scenarios.model_bandwidth import BandwidthEstimate
from tests.virtual_time import VirtualTime

NACK_RETRY_S = 0.100  # kDefaultRttMs: a receiver that sends nothing does not know better
NACK_TRIES_MAX = 10  # kMaxNackRetries
NACK_LIST_MAX = 1000  # kMaxNackPackets
PATIENCE_S = 3.0  # kMaxWaitForFrame
KEYFRAME_PATIENCE_S = 0.2  # kMaxWaitForKeyFrame
# A frame that is not the next one is shown when the next one has been late for this long.
SKIP_S = 0.15
REPORT_S = 1.0
FREEZE_S = 0.2
ABS_SEND_TIME_ID = 3
# What a browser's jitter buffer grows to where packets have to be sent again.
JITTER_BUFFER_S = 0.12


@dataclass(frozen=True)
class Shown:
    """A frame on the screen: when, which, and when it was shot."""

    at: float
    frame: int
    shot: float


@dataclass
class _Missing:
    asked_at: float
    tries: int = 1


@dataclass
class _Clock:
    """Wrapping numbers as growing integers."""

    bits: int
    newest: int | None = None

    def unwrap(self, number: int) -> int:
        if self.newest is None:
            self.newest = number
            return number
        half = 1 << self.bits - 1
        unwrapped = self.newest + (number - self.newest + half) % (1 << self.bits) - half
        self.newest = max(self.newest, unwrapped)
        return unwrapped


class ModelViewer:
    """Takes what arrives, shows frames, complains by RTCP.

    Args:
        time: Of the test.
        send_rtcp: Where its compound packets leave.
        audio_ssrc: Of the audio; the video's is the next one, any other is taken for RTX.
        reports_bandwidth: Whether it sends REMB.

    Attributes:
        shown: Every frame on its screen.
        heard: Sequence numbers of audio, unwrapped, each once.
        nacked: How many packets it asked for, once each.
        repaired: How many of those came.
        plis: When it asked for keyframes.
        torn: Frames whose end never came although no number is missing.
    """

    def __init__(
        self,
        time: VirtualTime,
        send_rtcp: Callable[[bytes], None],
        audio_ssrc: int,
        *,
        reports_bandwidth: bool = False,
    ) -> None:
        self.time = time
        self.audio_ssrc, self.video_ssrc = audio_ssrc, audio_ssrc + 1
        self.shown: list[Shown] = []
        self.heard: set[int] = set()
        self.nacked = self.repaired = self.torn = self.duplicates = 0
        self.plis: list[float] = []
        self.estimate = BandwidthEstimate() if reports_bandwidth else None
        self._send_rtcp = send_rtcp
        self._audio, self._video = _Clock(16), _Clock(16)
        self._slices: dict[int, Slice | None] = {}
        self._missing: dict[int, _Missing] = {}
        self._asked: set[int] = set()
        self._next: int | None = None
        self._decoded: set[int] = set()
        self._keyframe_required = True
        self._progress_at = self._stirred_at = time.now
        self._heard_at, self._heard_report = 0.0, 0
        self._first = self._received = 0
        # Packets expected and lost, as of the last report.
        self._told = (0, 0)
        time.every(0.02, self._every_20_ms)
        time.every(REPORT_S, self._report)
        if self.estimate is not None:
            time.every(0.5, self._report_bandwidth)

    def receive(self, datagram: bytes) -> None:
        """Take what came off the wire."""
        if 192 <= datagram[1] <= 223:
            self._receive_reports(datagram)
            return
        packet = rtp.parse_rtp(datagram)
        sent_at = packet.extensions.get(ABS_SEND_TIME_ID)
        if self.estimate is not None and sent_at is not None:
            # 24 bits of seconds in 6.18 fixed point.
            elapsed = int(self.time.now * (1 << 18)) - int.from_bytes(sent_at, "big") & 0xFFFFFF
            self.estimate.received(elapsed / (1 << 18), len(datagram) + HEADERS_BYTES)
        if packet.ssrc == self.audio_ssrc:
            self.heard.add(self._audio.unwrap(packet.sequence))
        elif packet.ssrc == self.video_ssrc:
            self._received += 1
            self._take(packet.sequence, packet, packet.payload)
        else:  # RFC 4588: the original number, then the original payload
            original = int.from_bytes(packet.payload[:2], "big")
            self._take(original, packet, packet.payload[2:])

    def _receive_reports(self, compound: bytes) -> None:
        for message in rtcp.parse_rtcp(compound):
            if isinstance(message, rtcp.SenderReport) and message.ssrc == self.video_ssrc:
                self._heard_at, self._heard_report = self.time.now, message.ntp >> 16 & 0xFFFFFFFF

    def _take(self, sequence: int, packet: rtp.RtpPacket, payload: bytes) -> None:
        newest = self._video.newest
        number = self._video.unwrap(sequence)
        if newest is None:
            self._first = number
        if newest is not None and number > newest + 1:
            self._miss(range(newest + 1, number))
        if self._missing.pop(number, None) is not None:
            self.repaired += number in self._asked
        if number in self._slices or (self._next is not None and number < self._next):
            self.duplicates += 1
            return
        read = read_slice(packet.timestamp, packet.marker, payload) if payload else None
        self._slices[number] = read
        self._advance()

    # Repair

    def _miss(self, numbers: range) -> None:
        if len(self._missing) + len(numbers) > NACK_LIST_MAX:
            self._missing.clear()
            self._request_keyframe()
            return
        self._missing.update({n: _Missing(self.time.now) for n in numbers})
        self.nacked += len(numbers)
        self._asked.update(numbers)
        self._nack(list(numbers))

    def _nack(self, numbers: list[int]) -> None:
        for start in range(0, len(numbers), 200):
            wanted = [n & 0xFFFF for n in numbers[start : start + 200]]
            self._complain(rtcp.write_nack(1, self.video_ssrc, wanted))

    def _every_20_ms(self) -> None:
        now = self.time.now
        again = []
        for number, missing in list(self._missing.items()):
            if now - missing.asked_at < NACK_RETRY_S:
                continue
            if missing.tries >= NACK_TRIES_MAX:
                del self._missing[number]
                continue
            missing.asked_at, missing.tries = now, missing.tries + 1
            again.append(number)
        if again:
            self._nack(again)
        self._advance()
        patience = KEYFRAME_PATIENCE_S if self._keyframe_required else PATIENCE_S
        if now - self._stirred_at >= patience:
            self._request_keyframe()

    def _request_keyframe(self) -> None:
        self._keyframe_required = True
        self._stirred_at = self.time.now
        self.plis.append(self.time.now)
        self._complain(rtcp.write_pli(1, self.video_ssrc))

    def _complain(self, message: bytes) -> None:
        """Send a message at once; as in browsers, a report of what came meanwhile goes before."""
        self._send_rtcp(rtcp.write_receiver_report(1, self._blocks()) + message)

    def _report(self) -> None:
        blocks = self._blocks()
        if blocks:
            self._send_rtcp(rtcp.write_receiver_report(1, blocks) + rtcp.write_cname(1, "model"))

    def _blocks(self) -> list[rtcp.ReportBlock]:
        newest = self._video.newest
        if newest is None:
            return []
        expected = newest + 1 - self._first
        lost = expected - self._received
        expected_since, lost_since = expected - self._told[0], lost - self._told[1]
        self._told = expected, lost
        fraction = max(0, min(255, lost_since * 256 // max(1, expected_since)))
        delay = int((self.time.now - self._heard_at) * 65536) if self._heard_report else 0
        return [
            rtcp.ReportBlock(
                self.video_ssrc,
                fraction,
                lost,
                newest & 0xFFFFFFFF,
                0,
                self._heard_report,
                delay,
            )
        ]

    def _report_bandwidth(self) -> None:
        assert self.estimate is not None
        bitrate_bps = self.estimate.update(0.5)
        if bitrate_bps is not None:
            remb = rtcp.write_remb(1, bitrate_bps, [self.video_ssrc])
            self._send_rtcp(rtcp.write_receiver_report(1, []) + remb)

    # The screen

    def _advance(self) -> None:
        while self._show_next() or self._skip():
            pass

    def _frame_at(self, start: int) -> tuple[list[Slice], int, bool]:
        """The slices of the frame that begins at ``start``, where it ends, and if that is known."""
        slices: list[Slice] = []
        number = start
        while number in self._slices:
            read = self._slices[number]
            if read is not None:
                if slices and read.timestamp != slices[0].timestamp:
                    return slices, number, True
                slices.append(read)
                if read.marker:
                    return slices, number + 1, True
            number += 1
        return slices, number, False

    def _show_next(self) -> bool:
        if self._next is None:
            return False
        slices, end, is_over = self._frame_at(self._next)
        if not slices or not is_over:
            return False
        if not self._is_whole(slices):
            self.torn += 1
        elif self._can_decode(slices[0]):
            self._show(slices[0])
        self._pass(end)
        return True

    @staticmethod
    def _is_whole(slices: list[Slice]) -> bool:
        marks = [(s.frame, s.index) for s in slices]
        return slices[0].begins and marks == [(slices[0].frame, i) for i in range(slices[0].count)]

    def _can_decode(self, first: Slice) -> bool:
        if first.keyframe:
            return True
        return not self._keyframe_required and first.reference in self._decoded

    def _skip(self) -> bool:
        """Go on behind what is missing: to a whole keyframe at once, to a frame after a while."""
        is_late = self.time.now - self._progress_at >= SKIP_S
        for number in sorted(self._slices):
            read = self._slices[number]
            if read is None or not read.begins or not (read.keyframe or is_late):
                continue
            slices, _, is_over = self._frame_at(number)
            if is_over and self._is_whole(slices) and self._can_decode(slices[0]):
                self._pass(number)
                return True
        return False

    def _pass(self, number: int) -> None:
        """Everything before ``number`` is over; nobody needs it any more."""
        self._next = number
        self._slices = {n: s for n, s in self._slices.items() if n >= number}
        self._missing = {n: m for n, m in self._missing.items() if n >= number}

    def _show(self, first: Slice) -> None:
        if first.keyframe:
            self._keyframe_required = False
            self._decoded.clear()
        self._decoded.add(first.frame)
        # A keyframe of another quality may be of the image that was shown last.
        least = self.shown[-1].frame + (not first.keyframe) if self.shown else 0
        assert first.frame >= least, "time runs backwards"
        self.shown.append(Shown(self.time.now, first.frame, first.shot))
        self._progress_at = self._stirred_at = self.time.now

    # What a test asks

    def between(self, start: float, end: float) -> list[Shown]:
        return [s for s in self.shown if start <= s.at < end]

    def frames_per_second(self, start: float, end: float) -> float:
        return len(self.between(start, end)) / (end - start)

    def gaps_s(self, start: float, end: float) -> list[float]:
        """Times between frames on the screen, also before the first and after the last.

        Frames wait for the jitter buffer's delay, so what comes late by less leaves no gap.
        """
        seen = self.between(start, end)
        if not seen:
            return [end - start]
        least_s = min(s.at - s.shot for s in seen)
        due = [max(s.at, s.shot + least_s + JITTER_BUFFER_S) for s in seen]
        times = [start + JITTER_BUFFER_S, *accumulate(due, max), end + JITTER_BUFFER_S]
        return [b - a for a, b in pairwise(times)]

    def freezes(self, start: float, end: float) -> int:
        return sum(gap >= FREEZE_S for gap in self.gaps_s(start, end))

    def audio_share(self) -> float:
        """How much of the audio between its first and its last packet came."""
        return len(self.heard) / (max(self.heard) - min(self.heard) + 1)
