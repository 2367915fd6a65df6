"""Sends the stream in time from a thread, and notes when each frame left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

from benchmarks.load.stream import (
    AUDIO_PACKETS_PER_S,
    AUDIO_TICKS,
    FPS,
    VIDEO_TICKS,
    Stream,
)
from mediasrv.relay import rtcp, vp8
from mediasrv.relay.rtp import write_extensions

# What browsers use: 1,200 bytes with header, extension and SRTP tag at most.
PAYLOAD_MAX_BYTES = 1150
REPORT_S = 1.0
VIDEO_TYPE, AUDIO_TYPE = 96, 111
ABS_SEND_TIME_ID, AUDIO_LEVEL_ID = 2, 1
# RFC 3550 counts NTP time from 1900.
NTP_OFFSET_S = 2_208_988_800


@dataclass(slots=True)
class SentLog:
    """What left when, on the realtime clock that the kernel stamps arrivals with.

    Attributes:
        frames: Timestamp of each video frame, and nanoseconds before its first packet left.
        packets: Packets sent so far, both kinds.
        late_us_max: The worst delay behind the schedule.
        restarts: How often the loop began again because a keyframe was asked for.
        requested_ns: When keyframe requests (PLI and FIR) arrived.
    """

    frames: list[tuple[int, int]] = field(default_factory=list)
    packets: int = 0
    late_us_max: float = 0.0
    restarts: int = 0
    requested_ns: list[int] = field(default_factory=list)


class PacedSender:
    """Sends video frames and Opus packets on an absolute schedule until told to stop.

    Args:
        stream: What is sent, over and over.
        ssrcs: By kind.
        send_rtp: Protects and sends a packet of ``"video"`` or ``"audio"``; called in the thread.
        send_rtcp: The same for compound RTCP packets.
    """

    def __init__(
        self,
        stream: Stream,
        ssrcs: dict[str, int],
        send_rtp: Callable[[str, bytes], None],
        send_rtcp: Callable[[str, bytes], None],
    ) -> None:
        self.log = SentLog()
        self._stream = stream
        self._ssrcs = ssrcs
        self._send_rtp = send_rtp
        self._send_rtcp = send_rtcp
        self._sequences = {"video": 1000, "audio": 2000}
        self._sent = {"video": [0, 0], "audio": [0, 0]}
        self._position = self._pictures = self._sounds = 0
        self._keyframe_wanted = Event()
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="paced sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sending and wait for the thread."""
        self._stopped.set()
        self._thread.join(5)

    def request_keyframe(self) -> None:
        """Begin the loop again with the next frame. May be called from any thread."""
        self.log.requested_ns.append(time.time_ns())
        self._keyframe_wanted.set()

    def _run(self) -> None:
        began = time.monotonic()
        reported = began
        while not self._stopped.is_set():
            video_due = began + self._pictures / (FPS * self._stream.tempo)
            # Half a packet off, so that sound and picture do not leave at the same instant.
            audio_due = began + (self._sounds + 0.5) / (AUDIO_PACKETS_PER_S * self._stream.tempo)
            due = min(video_due, audio_due)
            wait_s = due - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            late_us = 1e6 * (time.monotonic() - due)
            self.log.late_us_max = max(self.log.late_us_max, late_us)
            if video_due <= audio_due:
                self._send_frame()
            else:
                self._send_sound()
            if due - reported >= REPORT_S:
                reported = due
                self._report()

    def _send_frame(self) -> None:
        if self._keyframe_wanted.is_set():
            self._keyframe_wanted.clear()
            self._position = 0
            self.log.restarts += 1
        frame = self._stream.frames[self._position]
        self._position = (self._position + 1) % len(self._stream.frames)
        ticks = self._ticks("video")
        payloads = vp8.packetize(frame, self._pictures & 0x7FFF, PAYLOAD_MAX_BYTES)
        last = len(payloads) - 1
        self.log.frames.append((ticks, time.time_ns()))
        for i, payload in enumerate(payloads):
            stamp = (int(time.time() * (1 << 18)) & 0xFFFFFF).to_bytes(3, "big")
            block = write_extensions([(ABS_SEND_TIME_ID, stamp)])
            self._send("video", VIDEO_TYPE | (0x80 if i == last else 0), ticks, block, payload)
        self._pictures += 1

    def _send_sound(self) -> None:
        sound = self._stream.sounds[self._sounds % len(self._stream.sounds)]
        block = write_extensions([(AUDIO_LEVEL_ID, b"\x9e")])
        self._send("audio", AUDIO_TYPE, self._ticks("audio"), block, sound)
        self._sounds += 1

    def _ticks(self, kind: str) -> int:
        """Return the timestamp of what is sent next."""
        count, step = {
            "video": (self._pictures, VIDEO_TICKS),
            "audio": (self._sounds, AUDIO_TICKS),
        }[kind]
        return round(count * step / self._stream.tempo) & 0xFFFFFFFF

    def _send(self, kind: str, second: int, ticks: int, block: bytes, payload: bytes) -> None:
        sequence = self._sequences[kind]
        self._sequences[kind] = (sequence + 1) & 0xFFFF
        header = (
            bytes([0x90, second])
            + sequence.to_bytes(2, "big")
            + ticks.to_bytes(4, "big")
            + self._ssrcs[kind].to_bytes(4, "big")
        )
        self._send_rtp(kind, header + block + payload)
        sent = self._sent[kind]
        sent[0] += 1
        sent[1] += len(payload)
        self.log.packets += 1

    def _report(self) -> None:
        ntp = int((time.time() + NTP_OFFSET_S) * (1 << 32))
        for kind, ssrc in self._ssrcs.items():
            packets, octets = self._sent[kind]
            report = rtcp.SenderReport(ssrc, ntp, self._ticks(kind), packets, octets)
            compound = rtcp.write_sender_report(report) + rtcp.write_cname(ssrc, "load")
            self._send_rtcp(kind, compound)
