"""One viewer's numbers: the track's sequence numbers and picture ids, minus what it is not sent.

A viewer that is left out of a layer, or that begins again at a keyframe, must see numbers without
holes, and the request for a lost packet that comes back in its numbers must find the packet.
"""

from collections import deque
from dataclasses import dataclass

from mediasrv.relay.serial import signed_distance

# A viewer on the base layer alone gets a new stretch fifteen times a second, and the history that
# requests are answered from holds one second.
STRETCHES_MAX = 64


@dataclass(slots=True)
class Stretch:
    """Packets of the track whose numbers differ from the viewer's by one constant.

    Attributes:
        first: The track's sequence number that it begins with.
        end: The one after its last; None while it grows.
        offset: The viewer's sequence number minus the track's.
        picture_offset: The viewer's picture id minus the track's.
    """

    first: int
    end: int | None
    offset: int
    picture_offset: int


class Numbering:
    """The numbers of one track at one viewer.

    Args:
        first_number: The viewer's first sequence number.

    Attributes:
        next_number: The viewer's number after the highest one sent.
        current: The stretch that grows; an empty one before :meth:`begin`.
    """

    __slots__ = ("_skipped_picture", "_stretches", "current", "next_number")

    def __init__(self, first_number: int) -> None:
        self.next_number = first_number
        self.current = Stretch(0, 0, first_number, 0)
        self._stretches: deque[Stretch] = deque(maxlen=STRETCHES_MAX)
        self._skipped_picture: int | None = None

    def begin(self, sequence: int, picture_offset: int | None = None) -> Stretch:
        """Go on with the track's packet ``sequence``, without a hole after what was sent.

        What is older is not placed any more: it may bear numbers that are used by now.

        Args:
            sequence: Of the track.
            picture_offset: The viewer's picture id minus the track's; None leaves it as it is.
        """
        self._stretches.clear()
        offset = self.next_number - sequence
        pictures = self.current.picture_offset if picture_offset is None else picture_offset
        self.current = Stretch(sequence, None, offset, pictures)
        self._stretches.append(self.current)
        return self.current

    def tear(self) -> None:
        """Leave one number out: the end of a frame will not come, and a hole says so."""
        self.next_number += 1

    def skip(self, first: int, end: int, picture_id: int | None) -> None:
        """Leave out the packets from ``first`` to before ``end``, of one picture.

        Packets that come late, behind some that were sent, leave the hole that they are: the
        numbers after it are used.
        """
        current = self.current
        if first < current.first or first + current.offset < self.next_number:
            return
        picture_offset = current.picture_offset
        if picture_id is not None and picture_id != self._skipped_picture:
            picture_offset -= 1
            self._skipped_picture = picture_id
        offset = current.offset - (end - first)
        if current.first == first:
            # Nothing was sent since the last packets that were left out.
            current.first, current.offset, current.picture_offset = end, offset, picture_offset
            return
        current.end = first
        self.current = Stretch(end, None, offset, picture_offset)
        self._stretches.append(self.current)

    def sent(self, sequence: int, stretch: Stretch) -> None:
        """Note that a packet of ``stretch`` was sent."""
        self.next_number = max(self.next_number, sequence + stretch.offset + 1)

    def place(self, sequence: int) -> Stretch | None:
        """Find the stretch of a packet of the track; None when the viewer is not to get it."""
        for stretch in reversed(self._stretches):
            if sequence >= stretch.first:
                inside = stretch.end is None or sequence < stretch.end
                return stretch if inside else None
        return None

    def find(self, number: int) -> tuple[int, Stretch] | None:
        """Find the track's packet behind a viewer's wrapped sequence number.

        Returns:
            The packet's sequence number and stretch; None for what was not sent, or long ago.
        """
        unwrapped = self.next_number + signed_distance(self.next_number & 0xFFFF, number, 16)
        if unwrapped >= self.next_number:
            return None
        for stretch in reversed(self._stretches):
            sequence = unwrapped - stretch.offset
            if sequence >= stretch.first:
                inside = stretch.end is None or sequence < stretch.end
                return (sequence, stretch) if inside else None
        return None
