"""VP8 as a browser packs it, in layers, each packet marked: a viewer can tell what it got."""

import struct
from dataclasses import dataclass

from tests.relay_fakes import StudioCamera
from tests.virtual_time import VirtualTime

FPS = 30
PACKET_BYTES = 1100
KEYFRAME_TIMES = 6  # a keyframe takes this many times the bytes of a frame
# What each frame of four takes of the bitrate, in three temporal layers: base, top, middle, top.
LAYER_SHARES = (1.6, 0.8, 0.8, 0.8)
LAYERS = (0, 2, 1, 2)
# After ten bytes like those of a VP8 frame: frame, its reference, packet, of how many, when shot.
MARK = struct.Struct("!IIHHd")
HEAD_BYTES = 10


@dataclass(frozen=True)
class Slice:
    """One video packet, read."""

    timestamp: int
    begins: bool
    marker: bool
    keyframe: bool
    frame: int
    reference: int
    index: int
    count: int
    shot: float


def descriptor_bytes(payload: bytes) -> int:
    """Length of a VP8 payload descriptor (RFC 7741 section 4.2)."""
    if not payload[0] & 0x80:
        return 1
    size, extension = 2, payload[1]
    if extension & 0x80:
        size += 2 if payload[2] & 0x80 else 1
    return size + bool(extension & 0x40) + bool(extension & 0x30)


def read_slice(timestamp: int, marker: bool, payload: bytes) -> Slice:
    """Read what the model host wrote, behind whatever descriptor the relay made of its own."""
    body = payload[descriptor_bytes(payload) :]
    frame, reference, index, count, shot = MARK.unpack_from(body, HEAD_BYTES)
    begins = bool(payload[0] & 0x10)
    return Slice(timestamp, begins, marker, not body[0] & 1, frame, reference, index, count, shot)


class LayeredCamera(StudioCamera):
    """VP8 of a given bitrate, in one temporal layer or three (L1T3), each frame marked."""

    def __init__(self, time: VirtualTime, bitrate_bps: int, *, layers: int) -> None:
        # Numbers that wrap within the first seconds.
        super().__init__(sequence=65_300, timestamp=2**32 - 90_000, picture_id=32_700)
        self.time, self.layers = time, layers
        self._frame_bytes = bitrate_bps / 8 / FPS
        self._position = self._tl0 = 0
        self._base = self._middle = 0

    def next_frame(self, *, keyframe: bool) -> list[bytes]:
        """The packets of one frame."""
        if keyframe or self.layers == 1:
            self._position = 0
        layer = LAYERS[self._position]
        share = LAYER_SHARES[self._position] if self.layers > 1 else 1.0
        reference = self._middle if self._position == 3 else self._base
        if keyframe:
            reference, share = self.frame, KEYFRAME_TIMES
        if layer == 0:
            self._base, self._tl0 = self.frame, self._tl0 + 1 & 0xFF
        self._middle = self.frame if self._position == 2 else self._middle
        count = max(1, round(self._frame_bytes * share / PACKET_BYTES))
        payloads = [
            self._descriptor(layer, begins=i == 0)
            + self._body(reference, i, count, int(self._frame_bytes * share / count), keyframe)
            for i in range(count)
        ]
        self._position = (self._position + 1) % 4
        return self.pack(payloads)

    def _descriptor(self, layer: int, *, begins: bool) -> bytes:
        first = 0x90 if begins else 0x80
        picture = bytes([0x80 | self.picture_id >> 8, self.picture_id & 0xFF])
        if self.layers == 1:
            return bytes([first, 0x80]) + picture
        # Both refer to the base layer alone: a viewer may climb to them (RFC 7741, the Y bit).
        is_sync = self._position in (1, 2)
        return bytes([first, 0xE0]) + picture + bytes([self._tl0, layer << 6 | is_sync << 5])

    def _body(self, reference: int, index: int, count: int, size: int, keyframe: bool) -> bytes:
        # The start of a keyframe as a decoder knows it (RFC 6386 section 9.1): 1280x720.
        head = b"\x10\x00\x00\x9d\x01\x2a\x00\x05\xd0\x02" if keyframe else b"\x31" + bytes(9)
        mark = MARK.pack(self.frame, reference, index, count, self.time.now)
        assert len(head) == HEAD_BYTES
        return (head + mark).ljust(size, b".")
