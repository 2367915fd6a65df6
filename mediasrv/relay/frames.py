"""Join RTP packets into encoded frames, without waiting for the next frame to begin."""

from dataclasses import dataclass

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import h264, vp8
from mediasrv.relay.vp8 import PayloadRefused

# A keyframe of 1080p at 4 Mb/s has some 200 packets; beyond this it is an attack or a mistake.
PACKETS_MAX = 1024
# How long a hole may stay open: a NACK and its answer take a round trip, then a keyframe helps.
HOLE_MAX_S = 0.300


@dataclass(slots=True)
class _Held:
    ticks: int
    marker: bool
    payload: bytes
    arrived: float


class FrameAssembler:
    """Collect packets of one stream, in any order, and give out complete frames in order.

    A frame is complete when all packets up to its marker are there; a decoder gets it at once.
    After a hole that is not repaired in time, everything up to the next keyframe is dropped: what
    a decoder would make of it is broken pictures.

    Attributes:
        keyframe_needed: True while frames are being dropped for want of a keyframe.
        frames_dropped: Frames that were given up, complete or not.
    """

    def __init__(self, codec: Codec) -> None:
        self.keyframe_needed = True
        self.frames_dropped = 0
        self._codec = codec
        self._held: dict[int, _Held] = {}
        self._next: int | None = None

    def add(
        self, sequence: int, ticks: int, marker: bool, payload: bytes, now: float
    ) -> list[EncodedFrame]:
        """Take one packet (numbers unwrapped); returns the frames that it completed."""
        if self._next is not None and sequence < self._next:
            return []
        if payload:
            self._held[sequence] = _Held(ticks, marker, payload, now)
        elif self._next == sequence:
            # A padding probe fills a number, never a frame.
            self._next += 1
        else:
            self._held[sequence] = _Held(ticks, False, b"", now)
        if self.keyframe_needed:
            self._seek_keyframe()
        frames = self._take_complete()
        if self._held and not frames:
            self._give_up_holes(now)
        return frames

    def _seek_keyframe(self) -> None:
        """Start at the first keyframe that is held; what stands before it is of no use."""
        starts = h264.starts_keyframe if self._codec is Codec.H264 else vp8.starts_keyframe
        first = next((s for s in sorted(self._held) if starts(self._held[s].payload)), None)
        if first is None:
            if len(self._held) > PACKETS_MAX:
                self._held.clear()
            return
        self._next = first
        self.keyframe_needed = False
        self._drop_before(first)

    def _drop_before(self, sequence: int) -> None:
        for held in [s for s in self._held if s < sequence]:
            del self._held[held]

    def _take_complete(self) -> list[EncodedFrame]:
        frames: list[EncodedFrame] = []
        while sequences := self._complete_frame():
            packets = [self._held.pop(s) for s in sequences]
            self._next = sequences.stop
            frame = self._join([p for p in packets if p.payload])
            if frame is not None:
                frames.append(frame)
        return frames

    def _complete_frame(self) -> range:
        """Return the numbers of the next frame when none is missing, else an empty range."""
        if self._next is None or self.keyframe_needed:
            return range(0)
        sequence = self._next
        while (held := self._held.get(sequence)) is not None:
            sequence += 1
            if held.marker:
                return range(self._next, sequence)
        return range(0)

    def _join(self, packets: list[_Held]) -> EncodedFrame | None:
        try:
            if self._codec is Codec.H264:
                payload = h264.depacketize([p.payload for p in packets])
                keyframe = h264.frame_is_keyframe(payload)
            else:
                payload = b"".join(_vp8_payload(p.payload) for p in packets)
                keyframe = vp8.frame_is_keyframe(payload)
        except PayloadRefused:
            self._lose()
            return None
        return EncodedFrame(self._codec, packets[0].ticks, keyframe, payload)

    def _give_up_holes(self, now: float) -> None:
        # Insertion order is arrival order, so the first one has waited longest.
        oldest = next(iter(self._held.values()))
        if now - oldest.arrived > HOLE_MAX_S or len(self._held) > PACKETS_MAX:
            self._lose()

    def _lose(self) -> None:
        self.frames_dropped += 1
        self.keyframe_needed = True
        if self._next is not None:
            # The frame with the hole may itself be a keyframe: it must not be found again.
            self._drop_before(self._next + 1)
        self._next = None
        self._seek_keyframe()


def _vp8_payload(payload: bytes) -> bytes:
    return payload[vp8.parse_descriptor(payload).size_bytes :]
