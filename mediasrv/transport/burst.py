"""The hot loop: one layout to many viewers, protected in place, sent in few system calls.

Per viewer there is one copy of the layout, ten header bytes and one encryption per packet, and one
entry of a sendmmsg(2) per run of equal sizes, which the kernel segments (GSO). What stays the same
from layout to layout (keys, addresses, offsets) is looked up once. The oracle is
relay.lanes.PlainGroup, which makes a system call per run and viewer.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from mediasrv.relay.forwarder import SEQUENCE_TICKS_SSRC, shift_pictures
from mediasrv.relay.lanes import Group, PlainGroup, Target
from mediasrv.relay.packets import Layout
from mediasrv.transport.aiortc_seam import (
    Pointer,
    SharedBuffer,
    SrtpContext,
    new_length,
    srtp_protect,
)
from mediasrv.transport.ice import Path
from mediasrv.transport.mmsg import MessageBatch, SocketAddress
from mediasrv.transport.udp_port import UdpPort

# Copies of a layout that lie in the buffer at a time: enough to share one system call, few enough
# to stay in a core's second-level cache.
COPIES_MAX = 32
# Below, preparing costs more than it saves.
TARGETS_MIN = 4


class Wire:
    """What a connected peer's packets need on their way: keys and address.

    Attributes:
        context: The peer's outbound SRTP context.
        path: The peer's address, as the port knows it.
        address: The same, as the kernel wants it.
    """

    __slots__ = ("address", "context", "path")

    def __init__(self, context: SrtpContext, path: Path) -> None:
        self.context = context
        self.path = path
        self.address = SocketAddress(path.address)


class WiredPeer(Protocol):
    """What a burst needs to know of an outlet."""

    @property
    def wire(self) -> Wire | None:
        """None while nothing can be sent."""


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
    """

    def __init__(self, port: UdpPort, buffer: SharedBuffer) -> None:
        self.counters = BurstCounters()
        self.port = port
        self.buffer = buffer
        self.messages = MessageBatch() if port.gso and MessageBatch.is_available() else None
        self.length = new_length()

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
        viewers: SRTP context, SSRC and offsets of each.
        names: Where the kernel finds each one's address, and how long that is.
    """

    def __init__(self, socket_id: int, members: Sequence[tuple[int, Wire, Target]]) -> None:
        self.socket_id = socket_id
        self.positions = [position for position, _, _ in members]
        self.wires = [wire for _, wire, _ in members]
        self.viewers = [
            (wire.context, target.ssrc, target.offset, target.picture_offset)
            for _, wire, target in members
        ]
        addresses = [(wire.address.number, wire.address.size) for wire in self.wires]
        self.names = np.array(addresses, np.uint64)


class BurstGroup:
    """Sends layouts to a fixed set of targets; see :class:`mediasrv.relay.lanes.Group`."""

    def __init__(self, burst: Burst, messages: MessageBatch, targets: Sequence[Target]) -> None:
        self._burst = burst
        self._messages = messages
        self._targets = targets
        self._peers = [cast("WiredPeer", target.outlet) for target in targets]
        self._wires: list[Wire | None] = []
        self._routes: list[_Route] = []
        self._plain = PlainGroup(targets)

    def send(self, layout: Layout) -> Sequence[int]:
        """Send a layout to every target; returns the positions of those who lost some of it."""
        burst = self._burst
        if not burst.port.gso:
            return self._plain.send(layout)
        wires = [peer.wire for peer in self._peers]
        if wires != self._wires:
            self._look_up(wires)
        lost = [position for position, wire in enumerate(wires) if wire is None]
        copies = _Copies(layout, burst.buffer, self._messages)
        for route in self._routes:
            for first in range(0, len(route.viewers), copies.count):
                self._send_wave(copies, route, first, lost)
        sent = len(wires) - len(lost)
        burst.counters.packets_sent += sent * len(layout.spans)
        burst.counters.bytes_sent += sent * layout.sent_bytes
        burst.counters.targets_lost += len(lost)
        return lost

    def _look_up(self, wires: list[Wire | None]) -> None:
        """Sort the targets by socket; some have connected, moved or gone since the last time."""
        self._wires = wires
        routes: dict[int, list[tuple[int, Wire, Target]]] = {}
        for position, (wire, target) in enumerate(zip(wires, self._targets, strict=True)):
            if wire is not None:
                routes.setdefault(wire.path.socket_id, []).append((position, wire, target))
        self._routes = [_Route(socket_id, members) for socket_id, members in routes.items()]

    def _send_wave(self, copies: "_Copies", route: _Route, first: int, lost: list[int]) -> None:
        """Send to as many targets of a route as copies fit into the buffer, from ``first`` on."""
        messages, runs = self._messages, copies.runs
        wave = route.viewers[first : first + copies.count]
        slots = copies.write(wave, self._burst.length)
        names = route.names[first : first + len(wave)]
        if len(slots) < len(wave):
            lost += [route.positions[first + i] for i in sorted(set(range(len(wave))) - set(slots))]
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

    def __init__(self, layout: Layout, buffer: SharedBuffer, messages: MessageBatch) -> None:
        self.runs = len(layout.runs)
        self.count = min(
            COPIES_MAX, len(buffer.memory) // len(layout.template), messages.capacity // self.runs
        )
        self._layout = layout
        self._buffer = buffer
        self._messages = messages
        # Per slot its memory and, per packet, all that its header and its encryption need: made
        # once, they serve one wave after the other.
        self._slots: list[tuple[memoryview, list[tuple[int, int, int, int, Pointer]]]] = []
        # The messages of all slots, a row each: where, how long, control message and its length.
        rows = np.array(
            [
                (start, end - start, *(messages.control(cut) if end - start > cut else (0, 0)))
                for start, end, cut in layout.runs
            ],
            np.uint64,
        )
        self._rows = np.tile(rows, (self.count, 1, 1))
        slots = np.arange(self.count, dtype=np.uint64) * np.uint64(len(layout.template))
        self._rows[:, :, 0] += slots[:, None] + np.uint64(buffer.address_number)

    def write(
        self, viewers: Sequence[tuple[SrtpContext, int, int, int]], length: Pointer
    ) -> Sequence[int]:
        """Write and protect a copy for each viewer; returns the slots where that succeeded."""
        while len(self._slots) < len(viewers):
            self._slots.append(self._slot(len(self._slots)))
        memory, template = self._buffer.memory, self._layout.template
        pack_into, protect = SEQUENCE_TICKS_SSRC.pack_into, srtp_protect
        refused: set[int] = set()
        for (context, ssrc, offset, picture_offset), (copy, packets) in zip(
            viewers, self._slots, strict=False
        ):
            copy[:] = template
            if picture_offset:
                base = packets[0][0] - self._layout.fields[0][0]
                shift_pictures(memory, self._layout.pictures, picture_offset, base)
            for at, sequence, ticks, size, pointer in packets:
                pack_into(memory, at, (sequence + offset) & 0xFFFF, ticks, ssrc)
                length[0] = size
                if protect(context, pointer, length):
                    refused.add(id(copy))
        if not refused:
            return range(len(viewers))
        return [slot for slot in range(len(viewers)) if id(self._slots[slot][0]) not in refused]

    def _slot(self, slot: int) -> tuple[memoryview, list[tuple[int, int, int, int, Pointer]]]:
        layout, buffer = self._layout, self._buffer
        base = slot * len(layout.template)
        packets = [
            (base + at, sequence, ticks & 0xFFFFFFFF, size, buffer.address + (base + start))
            for (at, sequence, ticks), (start, size) in zip(
                layout.fields, layout.spans, strict=True
            )
        ]
        return buffer.view[base : base + len(layout.template)], packets

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
        base = slot * len(self._layout.template)
        return self._buffer.view[base + start : base + end], segment
