"""The hot loop: one layout to many viewers, protected in place, sent in few system calls.

Per viewer there is one copy of the layout, six header bytes and one encryption per packet, and one
entry of a sendmmsg(2) per run of equal sizes, which the kernel segments (GSO). Copies and headers
of a wave of viewers are written by numpy, all at once; what stays the same from layout to layout
(keys, addresses, offsets) is looked up once. The oracle is relay.lanes.PlainGroup, which makes a
system call per run and viewer.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from mediasrv.relay.lanes import Group, PlainGroup, Target
from mediasrv.relay.layout import SEQUENCE_OFFSET, SSRC_OFFSET, Layout
from mediasrv.relay.vp8 import PICTURE_ID_BITS
from mediasrv.transport.aiortc_seam import (
    Lengths,
    Pointer,
    SharedBuffer,
    SrtpContext,
    SrtpSession,
    srtp_protect,
)
from mediasrv.transport.ice import Path
from mediasrv.transport.mmsg import MessageBatch, SocketAddress
from mediasrv.transport.udp_port import UdpPort

# Copies of a layout that lie in the buffer at a time: enough to share one system call, few enough
# to stay in a core's second-level cache.
COPIES_MAX_BYTES = 192 * 1024
# And their packets: what a wave of the smallest ones comes to.
PACKETS_MAX = 2048
# Below, preparing costs more than it saves.
TARGETS_MIN = 4

_Integers: TypeAlias = npt.NDArray[np.int64]
# What differs from viewer to viewer in an RTP header, and which bytes from the number on that is.
_NUMBERS = np.dtype([("sequence", ">u2"), ("ssrc", ">u4")])
_SSRC_AT = SSRC_OFFSET - SEQUENCE_OFFSET
_NUMBER_BYTES = np.array([0, 1, *range(_SSRC_AT, _SSRC_AT + 4)])


class Wire:
    """What a connected peer's packets need on their way: keys and address.

    Attributes:
        context: The peer's outbound SRTP context.
        path: The peer's address, as the port knows it.
        address: The same, as the kernel wants it.

    Args:
        session: Whose keys; kept, since the context lives only as long as its session.
        path: The peer's address.
    """

    __slots__ = ("_session", "address", "context", "path")

    def __init__(self, session: SrtpSession, path: Path) -> None:
        self._session = session
        self.context: SrtpContext = session.outbound_context
        self.path = path
        self.address = SocketAddress(path.address)


class WiredPeer(Protocol):
    """What a burst needs to know of an outlet."""

    @property
    def wire(self) -> Wire | None:
        """None while nothing can be sent; :meth:`Burst.rewired` is told of every change."""


@dataclass(slots=True)
class BurstCounters:
    """What left in bursts, of all peers."""

    packets_sent: int = 0
    bytes_sent: int = 0
    targets_lost: int = 0


class Burst:
    """Sends to many peers of one port.

    Args:
        port: The shared port.
        buffer: Memory to lay packets out in; lost with every send.

    Attributes:
        counters: What left.
        wirings: How often the wire of some peer has changed.
    """

    def __init__(self, port: UdpPort, buffer: SharedBuffer) -> None:
        self.counters = BurstCounters()
        self.wirings = 0
        self.port = port
        self.buffer = buffer
        self.messages = MessageBatch() if port.gso and MessageBatch.is_available() else None
        self.lengths = Lengths(PACKETS_MAX)

    def rewired(self) -> None:
        """Take note that a peer has connected, moved or gone: groups look their targets up anew.

        Asking each of several hundred peers for its wire would cost as much per layout as
        describing all of their messages to the kernel.
        """
        self.wirings += 1

    def group(self, targets: Sequence[Target]) -> Group:
        """Get ready to send to these targets; see :class:`mediasrv.relay.lanes.Fanout`."""
        if self.messages is None or len(targets) < TARGETS_MIN:
            return PlainGroup(targets)
        return BurstGroup(self, self.messages, targets)


class _Route:
    """Targets of a group behind one socket.

    Attributes:
        socket_id: Which one.
        positions: Of the targets in the group.
        wires: Of the targets.
        contexts: SRTP context of each.
        ssrcs: Of each, in network order.
        offsets: Added to the sequence numbers.
        picture_offsets: Added to the picture ids.
        moves_pictures: Whether any picture offset is not 0.
        names: Where the kernel finds each one's address, and how long that is.
    """

    def __init__(self, socket_id: int, members: Sequence[tuple[int, Wire, Target]]) -> None:
        self.socket_id = socket_id
        self.positions = [position for position, _, _ in members]
        self.wires = [wire for _, wire, _ in members]
        self.contexts = [wire.context for wire in self.wires]
        targets = [target for _, _, target in members]
        self.ssrcs = np.array([target.ssrc for target in targets], ">u4")
        self.offsets: _Integers = np.array([target.offset for target in targets], np.int64)
        self.picture_offsets: _Integers = np.array([t.picture_offset for t in targets], np.int64)
        self.moves_pictures = bool(self.picture_offsets.any())
        addresses = [(wire.address.number, wire.address.size) for wire in self.wires]
        self.names = np.array(addresses, np.uint64)


class BurstGroup:
    """Sends layouts to a fixed set of targets; see :class:`mediasrv.relay.lanes.Group`."""

    def __init__(self, burst: Burst, messages: MessageBatch, targets: Sequence[Target]) -> None:
        self._burst = burst
        self._messages = messages
        self._targets = targets
        self._peers = [cast("WiredPeer", target.outlet) for target in targets]
        self._wirings = -1
        self._unwired: list[int] = []
        self._routes: list[_Route] = []
        self._plain = PlainGroup(targets)

    def send(self, layout: Layout) -> Sequence[int]:
        """Send a layout to every target; returns the positions of those who lost some of it."""
        burst = self._burst
        if not burst.port.gso:
            return self._plain.send(layout)
        if self._wirings != burst.wirings:
            self._look_up()
        lost = self._unwired.copy()
        copies = _Copies(layout, burst, self._messages)
        for route in self._routes:
            for first in range(0, len(route.wires), copies.count):
                self._send_wave(copies, route, first, lost)
        sent = len(self._peers) - len(lost)
        burst.counters.packets_sent += sent * len(layout.spans)
        burst.counters.bytes_sent += sent * layout.sent_bytes
        burst.counters.targets_lost += len(lost)
        return lost

    def _look_up(self) -> None:
        """Sort the targets by socket."""
        self._wirings = self._burst.wirings
        self._unwired = []
        routes: dict[int, list[tuple[int, Wire, Target]]] = {}
        for position, (peer, target) in enumerate(zip(self._peers, self._targets, strict=True)):
            wire = peer.wire
            if wire is None:
                self._unwired.append(position)
            else:
                routes.setdefault(wire.path.socket_id, []).append((position, wire, target))
        self._routes = [_Route(socket_id, members) for socket_id, members in routes.items()]

    def _send_wave(self, copies: "_Copies", route: _Route, first: int, lost: list[int]) -> None:
        """Send to as many targets of a route as copies fit into the buffer, from ``first`` on."""
        messages, runs = self._messages, copies.runs
        wave = min(copies.count, len(route.wires) - first)
        slots = copies.write(route, first, wave)
        names = route.names[first : first + wave]
        if len(slots) < wave:
            lost += [route.positions[first + i] for i in sorted(set(range(wave)) - set(slots))]
            names = names[list(slots)]
        copies.describe(slots, names)
        count, entry, port = len(slots) * runs, 0, self._burst.port
        file_descriptor = port.file_descriptor(route.socket_id)
        while entry < count:
            sent = messages.send(file_descriptor, entry, count)
            if sent > 0:
                entry += sent
                continue
            slot, run = slots[entry // runs], entry % runs
            if -sent in (errno.EAGAIN, errno.ENOBUFS):
                # The socket is full: the rest would be refused as well, and nothing may block.
                port.send_errors += count - entry
                rest = [route.positions[first + slot] for slot in slots[entry // runs :]]
                lost += [position for position in rest if position not in lost]
                return
            # The port knows what to do about the errors of one path.
            view, segment = copies.run(slot, run)
            position = route.positions[first + slot]
            if not port.send_run(view, segment, route.wires[first + slot].path):
                lost += [position] if position not in lost else []
            entry += 1


class _Copies:
    """Copies of one layout, side by side in the shared buffer.

    Attributes:
        count: How many there is room for.
        runs: How many runs the layout has.
    """

    def __init__(self, layout: Layout, burst: Burst, messages: MessageBatch) -> None:
        self.runs = len(layout.runs)
        self._size = len(layout.template)
        self.count = min(
            COPIES_MAX_BYTES // self._size or 1,
            burst.lengths.capacity // len(layout.spans),
            messages.capacity // self.runs,
        )
        self._layout = layout
        self._buffer = burst.buffer
        self._lengths = burst.lengths
        self._messages = messages
        self._template = np.frombuffer(layout.template, np.uint8)
        positions = np.array([at for at, _ in layout.fields])
        self._columns = (positions[:, None] + _NUMBER_BYTES).reshape(-1)
        self._sequences = np.array([sequence for _, sequence in layout.fields])
        self._sizes = np.array([size for _, size in layout.spans])
        # Where the packets of all slots begin, as far as they were needed.
        self._pointers: list[Pointer] = []
        # The messages of all slots, a row each: where, how long, control message and its length.
        messages_of_one = [
            (start, end - start, *(messages.control(cut) if end - start > cut else (0, 0)))
            for start, end, cut in layout.runs
        ]
        self._rows = np.empty((self.count, self.runs, 4), np.uint64)
        self._rows[:] = messages_of_one
        first, step = burst.buffer.address_number, self._size
        self._rows[:, :, 0] += np.arange(first, first + self.count * step, step, np.uint64)[:, None]

    def write(self, route: _Route, first: int, count: int) -> Sequence[int]:
        """Write and protect copies for targets of a route; returns the slots that succeeded."""
        end = first + count
        copies = self._buffer.array[: count * self._size].reshape(count, self._size)
        copies[:] = self._template
        numbers = np.empty((count, len(self._sequences)), _NUMBERS)
        numbers["sequence"] = (self._sequences + route.offsets[first:end, None]) & 0xFFFF
        numbers["ssrc"] = route.ssrcs[first:end, None]
        copies[:, self._columns] = numbers.view(np.uint8)
        if route.moves_pictures:
            self._move_pictures(copies, route.picture_offsets[first:end])
        return self._protect(route.contexts[first:end])

    def _move_pictures(self, copies: npt.NDArray[np.uint8], offsets: _Integers) -> None:
        """Write the picture ids anew; see :func:`mediasrv.relay.layout.copy_layout`."""
        for at, picture_id, bits in self._layout.pictures:
            moved = picture_id + offsets
            if bits == PICTURE_ID_BITS:
                copies[:, at] = 0x80 | (moved >> 8) & 0x7F
                copies[:, at + 1] = moved & 0xFF
            else:
                copies[:, at] = moved & 0x7F

    def _protect(self, contexts: Sequence[SrtpContext]) -> Sequence[int]:
        """Encrypt a copy with each context; returns the slots where all packets went well."""
        count, packets = len(contexts), len(self._sizes)
        for slot in range(len(self._pointers) // packets, count):
            address = self._buffer.address + slot * self._size
            self._pointers += [address + start for start, _ in self._layout.spans]
        self._lengths.numbers[: count * packets].reshape(count, packets)[:] = self._sizes
        # A context per packet: the loop itself stays in C.
        repeated = chain.from_iterable(zip(*[contexts] * packets, strict=True))
        results = list(map(srtp_protect, repeated, self._pointers, self._lengths.pointers))
        if not any(results):
            return range(count)
        return [
            slot for slot in range(count) if not any(results[slot * packets : (slot + 1) * packets])
        ]

    def describe(self, slots: Sequence[int], names: npt.NDArray[np.uint64]) -> None:
        """Fill the messages for the copies in ``slots``, which go to ``names``."""
        is_all = len(slots) == slots[-1] + 1 if slots else True
        rows = self._rows[: len(slots)] if is_all else self._rows[list(slots)]
        if self.runs > 1:
            names = names.repeat(self.runs, axis=0)
        self._messages.fill(names, rows.reshape(-1, 4))

    def run(self, slot: int, run: int) -> tuple[memoryview, int]:
        """Return the bytes of a run of one copy, and its segment size."""
        start, end, segment = self._layout.runs[run]
        base = slot * self._size
        return self._buffer.view[base + start : base + end], segment
