"""Join RTP packets into encoded frames, without waiting for the next frame to begin."""

from dataclasses import dataclass

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import h264, vp8
from mediasrv.relay.vp8 import PayloadRefused

# A keyframe of 1080p at 4 Mb/s has some 200 packets; beyond this it is an attack or a mistake.
PACKETS_MAX = 1024
# How long a hole may stay open: a NACK and its answer take a round trip, then a keyframe helps.
HOLE_MAX_S = 0.300


@dataclass(frozen=True, slots=True)
class _Held:
    ticks: int
    marker: bool
    payload: bytes
    arrived: float


class FrameAssembler:
    """Collect packets of one stream, in any order, and give out complete frames in order.

    A frame is complete when all packets up to its marker are there; a decoder gets it at once.
    After a hole that is not repaired in time, everything up to the next keyframe is dropped: what
    a decoder would make of it is broken pictures. A keyframe that comes makes holes before it
    unimportant, so they do not hold it back.

    Attributes:
        frames_lost: Frames with a hole or a malformed payload; what is dropped while the next
            keyframe is awaited does not count.
    """

    def __init__(self, codec: Codec) -> None:
        self.frames_lost = 0
        self._codec = codec
        self._starts_keyframe = h264.starts_keyframe if codec is Codec.H264 else vp8.starts_keyframe
        # By sequence number, in the order of arrival.
        self._held: dict[int, _Held] = {}
        # First number of the frame that comes next; None while a keyframe is awaited.
        self._next: int | None = None

    def add(
        self, sequence: int, ticks: int, marker: bool, payload: bytes, now: float
    ) -> list[EncodedFrame]:
        """Take one packet (numbers unwrapped); returns the frames that it completed."""
        if self._next is not None and sequence < self._next:
            return []
        if not payload and sequence == self._next:
            self._next += 1
        else:
            # A padding probe fills a number, never a frame: its marker means nothing.
            held = _Held(ticks, marker and bool(payload), payload, now)
            self._held.setdefault(sequence, held)
        frames = self._take_complete()
        if self._starts_keyframe(payload) and self._is_cut_off(sequence, ticks):
            self.frames_lost += self._next is not None
            self._begin_at(sequence)
            frames += self._take_complete()
        if not frames:
            self._give_up_holes(now)
        return frames

    @property
    def keyframe_needed(self) -> bool:
        """Whether frames are being dropped for want of a keyframe."""
        return self._next is None

    def _is_cut_off(self, sequence: int, ticks: int) -> bool:
        """Tell whether a hole lies between the last frame given out and the one of ``ticks``."""
        if self._next is None:
            return True
        first = self._held.get(self._next)
        return sequence > self._next and (first is None or first.ticks != ticks)

    def _begin_at(self, sequence: int) -> None:
        """Go on at a keyframe; what stands before it is of no use."""
        self._next = sequence
        for before in [s for s in self._held if s < sequence]:
            del self._held[before]

    def _take_complete(self) -> list[EncodedFrame]:
        frames: list[EncodedFrame] = []
        while sequences := self._complete_frame():
            packets = [self._held.pop(s) for s in sequences]
            self._next = sequences.stop
            try:
                frames.append(self._join([p for p in packets if p.payload]))
            except PayloadRefused:
                self._lose_frame()
        return frames

    def _complete_frame(self) -> range:
        """Return the numbers of the next frame when none is missing, else an empty range."""
        if self._next is None:
            return range(0)
        sequence, ticks = self._next, None
        while (held := self._held.get(sequence)) is not None:
            if held.payload:
                if ticks is not None and held.ticks != ticks:
                    break  # the next frame: the sender has left the marker out
                ticks = held.ticks
            sequence += 1
            if held.marker:
                break
        else:
            return range(0)
        return range(self._next, sequence)

    def _join(self, packets: list[_Held]) -> EncodedFrame:
        if self._codec is Codec.H264:
            payload = h264.depacketize([p.payload for p in packets])
            keyframe = h264.frame_is_keyframe(payload)
        else:
            payload = b"".join(_vp8_payload(p.payload) for p in packets)
            keyframe = vp8.frame_is_keyframe(payload)
        if not payload:
            raise PayloadRefused("a frame without data")
        return EncodedFrame(self._codec, packets[0].ticks, keyframe, payload)

    def _give_up_holes(self, now: float) -> None:
        """Wait for no hole too long; what is left may still turn out to belong to a keyframe."""
        if self._next is not None and self._is_overdue(now):
            self._lose_frame()
        while self._next is None and self._is_overdue(now):
            del self._held[next(iter(self._held))]

    def _is_overdue(self, now: float) -> bool:
        # The order of arrival is kept, so the first one has waited longest.
        oldest = next(iter(self._held.values()), None)
        if oldest is None:
            return False
        return now - oldest.arrived > HOLE_MAX_S or len(self._held) > PACKETS_MAX

    def _lose_frame(self) -> None:
        self.frames_lost += 1
        self._next = None


def _vp8_payload(payload: bytes) -> bytes:
    return payload[vp8.parse_descriptor(payload).size_bytes :]
