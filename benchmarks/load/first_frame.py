"""When the first picture of a viewer can be shown: the first keyframe that is there whole. Pure."""

from mediasrv.relay import vp8
from mediasrv.relay.rtp import RtpRefused, parse_rtp


class FirstFrame:
    """Looks at a VP8 stream, packet by packet, until its first frame can be decoded.

    Packets may come in any order. Frames before the first keyframe are of no use to a decoder.

    Attributes:
        first_ns: When the first packet came; 0 before.
        whole_ns: When the first keyframe was complete; 0 before.
    """

    def __init__(self) -> None:
        self.first_ns = self.whole_ns = 0
        self._frames: dict[int, _Frame] = {}

    def take(self, packet: bytes, at_ns: int) -> None:
        """Take one RTP packet, decrypted.

        Args:
            packet: Of the video, no retransmission stream.
            at_ns: When it arrived.
        """
        try:
            parsed = parse_rtp(packet)
        except RtpRefused:
            return
        if self.whole_ns or not parsed.payload:
            return
        self.first_ns = self.first_ns or at_ns
        frame = self._frames.setdefault(parsed.timestamp, _Frame())
        frame.seen.add(parsed.sequence)
        if vp8.starts_keyframe(parsed.payload):
            frame.first = parsed.sequence
        if parsed.marker:
            frame.last = parsed.sequence
        if frame.is_whole_keyframe:
            self.whole_ns = at_ns
            self._frames.clear()


class _Frame:
    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.first: int | None = None
        self.last: int | None = None

    @property
    def is_whole_keyframe(self) -> bool:
        if self.first is None or self.last is None:
            return False
        return len(self.seen) == ((self.last - self.first) & 0xFFFF) + 1
