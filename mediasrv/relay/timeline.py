"""One continuous numbering for a track, whatever feeds it.

A track's packets come from the host itself, from the beauty worker, or from the host's next
connection. Viewers must see one stream: sequence numbers without gaps, timestamps and VP8 picture
ids that go on. Each source gets offsets when it takes over, so that viewers need only one of their
own.
"""

from dataclasses import dataclass
from typing import NamedTuple

from mediasrv.relay import vp8
from mediasrv.relay.packets import TrackPacket
from mediasrv.relay.serial import signed_distance

# What a takeover looks like in time when nothing says better: one frame at 30 Hz.
SPLICE_S = 1 / 30
TL0_BITS = 8


@dataclass(slots=True)
class _Counter:
    """A VP8 counter that goes on across sources; ``last`` is the newest value given out."""

    offset: int = 0
    last: int | None = None
    spliced: bool = False

    def map(self, value: int, bits: int) -> int:
        if self.spliced and self.last is not None:
            self.offset = self.last + 1 - value
        self.spliced = False
        mapped = (value + self.offset) & ((1 << bits) - 1)
        if self.last is None or signed_distance(self.last, mapped, bits) > 0:
            self.last = mapped
        return mapped

    def follow(self, bits: int) -> int:
        """Return the next value, for a source that has no counter of its own."""
        self.last = 0 if self.last is None else (self.last + 1) & ((1 << bits) - 1)
        self.spliced = True
        return self.last


class Position(NamedTuple):
    """The newest counters that a track has given out; None before the first."""

    ticks: int | None
    picture_id: int | None
    tl0: int | None


class Timeline:
    """Offsets of one track's present source.

    Args:
        clock_hz: Of the timestamps.

    Attributes:
        next_sequence: The number after the highest one given out.
    """

    def __init__(self, clock_hz: int) -> None:
        self.next_sequence = 0
        self._clock_hz = clock_hz
        self._offset: int | None = None
        self._first_of_source = 0
        self._ticks_offset = 0
        self._last_ticks: int | None = None
        self._last_at = 0.0
        self._picture = _Counter()
        self._tl0 = _Counter()
        self._new_clock = True
        self._splice_s = SPLICE_S

    def splice(self, *, new_clock: bool) -> None:
        """Let the next packet come from another source.

        Args:
            new_clock: True when its timestamps count from elsewhere (another connection of the
                host); False when they are the same clock (the filter switched on or off).
        """
        self._offset = None
        self._new_clock, self._splice_s = self._new_clock or new_clock, SPLICE_S
        self._picture.spliced = self._tl0.spliced = True

    def follow_clock(self, other: "Timeline") -> None:
        """Let the next source's timestamps begin where those of another track are by then."""
        self._last_ticks, self._last_at = other._last_ticks, other._last_at
        self._new_clock, self._splice_s = True, 0.0

    @property
    def position(self) -> Position:
        """Where the track is, for one that goes on from it."""
        return Position(self._last_ticks, self._picture.last, self._tl0.last)

    def map(self, sequence: int, ticks: int, now: float) -> tuple[int, int] | None:
        """Place a packet of the present source.

        Args:
            sequence: Of the source, unwrapped.
            ticks: Timestamp of the source, unwrapped.
            now: Seconds.

        Returns:
            Sequence number and timestamp of the track, both growing integers; None for a packet
            from before the source took over.
        """
        if self._offset is None:
            self._offset = self.next_sequence - sequence
            self._first_of_source = sequence
        elif sequence < self._first_of_source:
            return None
        placed = sequence + self._offset
        self.next_sequence = max(self.next_sequence, placed + 1)
        return placed, self.map_ticks(ticks, now)

    def follow(self, ticks: int, now: float) -> tuple[int, int]:
        """Place a packet of a source without sequence numbers of its own."""
        self._offset = None
        sequence = self.next_sequence
        self.next_sequence += 1
        return sequence, self.map_ticks(ticks, now)

    def map_ticks(self, ticks: int, now: float) -> int:
        """Place a timestamp; a new clock continues where the old one would be by now."""
        if self._new_clock:
            if self._last_ticks is not None:
                elapsed_s = max(self._splice_s, now - self._last_at)
                self._ticks_offset = self._last_ticks + int(elapsed_s * self._clock_hz) - ticks
            self._new_clock = False
        placed = ticks + self._ticks_offset
        if self._last_ticks is None or placed > self._last_ticks:
            self._last_ticks, self._last_at = placed, now
        return placed

    @property
    def clock_known(self) -> bool:
        """Whether timestamps of the present source can be placed."""
        return not self._new_clock

    def place_ticks(self, ticks: int) -> int:
        """Place a timestamp that belongs to no packet, such as a sender report's."""
        return ticks + self._ticks_offset

    def place_picture(self, packet: TrackPacket) -> None:
        """Let the VP8 picture ids of a packet go on, and note its picture and layer.

        The payload stays the same object while nothing was spliced.

        Raises:
            vp8.PayloadRefused: The payload descriptor is cut off.
        """
        descriptor = vp8.parse_descriptor(packet.payload)
        picture, tl0 = descriptor.picture_id, descriptor.tl0_index
        if picture is not None:
            picture = self._picture.map(picture, descriptor.picture_id_bits)
        if tl0 is not None:
            tl0 = self._tl0.map(tl0, TL0_BITS)
        if (picture, tl0) != (descriptor.picture_id, descriptor.tl0_index):
            packet.payload = vp8.rewrite_descriptor(
                packet.payload, descriptor, picture or 0, tl0 or 0
            )
        packet.picture_id, packet.picture_id_bits = picture, descriptor.picture_id_bits
        packet.layer, packet.layer_sync = descriptor.layer or 0, descriptor.layer_sync

    def next_picture_id(self) -> int:
        """Return the picture id of the next frame of a local source."""
        return self._picture.follow(vp8.PICTURE_ID_BITS)

    def next_layer(self, layer: int, *, sync: bool) -> vp8.FrameLayer:
        """Return how the next frame of a local source stands among its temporal layers."""
        is_base = layer == 0 or self._tl0.last is None
        index = self._tl0.follow(TL0_BITS) if is_base else self._tl0.last
        return vp8.FrameLayer(layer, sync, index or 0)
