"""VP8 in three temporal layers, and a decoder that knows which frame builds on which."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mediasrv.relay.packets import TrackPacket
from mediasrv.relay.rtp import RtpPacket
from tests.relay_fakes import unwrapped

# The pattern that libvpx and Chromium make of L1T3: layer, and whether it builds on layer 0 alone.
PATTERN = ((0, False), (2, True), (1, True), (2, False))
# By layer: how many frames back the one is that a frame builds on.
_BUILDS_ON = (4, 2, 1)
_MARK = struct.Struct("!IHHB")
_DESCRIPTOR_BYTES = 6
STEP_TICKS = 3000


@dataclass(frozen=True)
class Seen:
    """One packet of the pattern, as a viewer got it."""

    number: int
    ticks: int
    frame: int
    index: int
    count: int
    keyframe: bool
    picture_id: int
    layer: int
    sync: bool


@dataclass
class LayeredCamera:
    """Makes frames of the pattern as packets of the host; a keyframe begins the pattern anew."""

    sequence: int = 1000
    frame: int = 0
    picture_id: int = 7
    pattern: Sequence[tuple[int, bool]] = PATTERN
    _place: int = 0

    def shoot(self, *, keyframe: bool = False, count: int = 2) -> list[TrackPacket]:
        """The packets of the next frame."""
        self._place = 0 if keyframe else self._place
        layer, sync = self.pattern[self._place]
        mark = self._place | (0x80 if keyframe else 0)
        packets = []
        for index in range(count):
            head = bytes([0x90 if index == 0 else 0x80, 0xE0])
            head += struct.pack("!H", 0x8000 | self.picture_id & 0x7FFF)
            head += bytes([self.frame & 0xFF, layer << 6 | (0x20 if sync else 0)])
            body = bytes([0x10 if keyframe else 0x11])
            body += _MARK.pack(self.frame, index, count, mark)
            packets.append(
                TrackPacket(
                    self.sequence + index,
                    self.frame * STEP_TICKS,
                    index == count - 1,
                    "vp8",
                    (head + body).ljust(40 + index, b"."),
                    starts_keyframe=keyframe and index == 0,
                )
            )
        self.sequence += count
        self.frame += 1
        self.picture_id += 1
        self._place = (self._place + 1) % len(self.pattern)
        return packets


def seen(packets: Sequence[RtpPacket]) -> list[Seen]:
    """Read what a viewer got, in the order of its numbers."""
    out = []
    numbers = unwrapped([p.sequence for p in packets], 16)
    for number, packet in zip(numbers, packets, strict=True):
        frame, index, count, mark = _MARK.unpack_from(packet.payload, _DESCRIPTOR_BYTES + 1)
        picture_id = int.from_bytes(packet.payload[2:4], "big") & 0x7FFF
        layer, sync = packet.payload[5] >> 6, bool(packet.payload[5] & 0x20)
        keyframe = bool(mark & 0x80)
        out.append(
            Seen(number, packet.timestamp, frame, index, count, keyframe, picture_id, layer, sync)
        )
    return sorted(out, key=lambda s: s.number)


def frames(got: Sequence[Seen]) -> Iterator[list[Seen]]:
    """Group by frame, in the order of the numbers."""
    group: list[Seen] = []
    for piece in got:
        if group and piece.frame != group[0].frame:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def assert_playable(got: Sequence[Seen]) -> None:
    """Each frame is whole, builds on one that came, and no number or picture id is left out."""
    assert got
    assert [s.number for s in got] == list(range(got[0].number, got[0].number + len(got)))
    shown: set[int] = set()
    pictures = []
    for frame in frames(got):
        first = frame[0]
        assert [s.index for s in frame] == list(range(first.count)), "a frame has a hole"
        assert len({(s.picture_id, s.ticks) for s in frame}) == 1
        reference = first.frame - _BUILDS_ON[first.layer]
        assert first.keyframe or reference in shown, "its reference is missing"
        shown.add(first.frame)
        pictures.append(first.picture_id)
    begin = pictures[0]
    assert pictures == [begin + i & 0x7FFF for i in range(len(pictures))]


def layers_of(got: Sequence[Seen]) -> list[int]:
    """Return the layer of each frame."""
    return [frame[0].layer for frame in frames(got)]
