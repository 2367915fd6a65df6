"""The hot loop: one layout to many viewers, protected in place, sent in few system calls.

Per viewer there is one copy of the layout, ten header bytes and one encryption per packet, and one
entry of a sendmmsg(2) per run of equal sizes, which the kernel segments (GSO). The oracle is
relay.lanes.send_one_by_one, which makes a system call per run and viewer.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from mediasrv.relay.forwarder import SEQUENCE_TICKS_SSRC, shift_pictures
from mediasrv.relay.lanes import Target, send_one_by_one
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
SLOTS_MAX = 32


class Wire:
    """What a connected peer's packets need on their way: keys and address.

    Attributes:
        context: The peer's outbound SRTP context.
        path: The peer's address, as the port knows it.
        address: The same, as the kernel wants it.
        socket_id: Which of the port's sockets.
    """

    __slots__ = ("address", "context", "path", "socket_id")

    def __init__(self, context: SrtpContext, path: Path) -> None:
        self.context = context
        self.path = path
        self.address = SocketAddress(path.address)
        self.socket_id = path.socket_id


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
        buffer: Memory to lay packets out in; lost with every call.
    """

    def __init__(self, port: UdpPort, buffer: SharedBuffer) -> None:
        self.counters = BurstCounters()
        self._port = port
        self._shared = buffer
        self._messages = MessageBatch() if MessageBatch.is_available() else None
        self._length = new_length()

    def send(self, layout: Layout, targets: Sequence[Target]) -> Sequence[int]:
        """Send a layout to every target; see :class:`mediasrv.relay.lanes.Fanout`."""
        if self._messages is None or not self._port.gso or len(targets) < 2:
            return send_one_by_one(layout, targets)
        copies = _Copies(layout, self._shared)
        slots = min(SLOTS_MAX, copies.fitting, self._messages.capacity // len(layout.runs))
        lost: list[int] = []
        wave: list[tuple[int, Wire]] = []
        socket_id = -1
        for position, target in enumerate(targets):
            wire = cast("WiredPeer", target.outlet).wire
            if wire is None:
                lost.append(position)
                continue
            if wire.socket_id != socket_id or len(wave) == slots:
                self._transmit(layout, wave, lost)
                wave.clear()
                socket_id = wire.socket_id
            if copies.write(len(wave), wire.context, target, self._length):
                wave.append((position, wire))
            else:
                lost.append(position)
        self._transmit(layout, wave, lost)
        sent = len(targets) - len(lost)
        self.counters.packets_sent += sent * len(layout.spans)
        self.counters.bytes_sent += sent * layout.sent_bytes
        self.counters.targets_lost += len(lost)
        return lost

    def _transmit(self, layout: Layout, wave: Sequence[tuple[int, Wire]], lost: list[int]) -> None:
        """Send the slots of one wave; positions of targets that lost something go to ``lost``."""
        messages = self._messages
        if not wave or messages is None:
            return
        base, size, count = self._shared.address_number, len(layout.template), 0
        for _, wire in wave:
            for start, end, segment in layout.runs:
                messages.put(count, wire.address, base + start, end - start, segment)
                count += 1
            base += size
        file_descriptor = self._port.file_descriptor(wave[0][1].socket_id)
        first = 0
        while first < count:
            sent = messages.send(file_descriptor, first, count)
            if sent > 0:
                first += sent
            elif -sent in (errno.EAGAIN, errno.ENOBUFS):
                # The socket is full: the rest would be refused as well, and nothing may block.
                self._port.send_errors += count - first
                lost += [position for position, _ in wave[first // len(layout.runs) :]]
                return
            else:
                self._send_refused(layout, wave, first, lost)
                first += 1

    def _send_refused(
        self, layout: Layout, wave: Sequence[tuple[int, Wire]], entry: int, lost: list[int]
    ) -> None:
        """Send what the kernel refused in the port's own way, which knows what to do about it."""
        slot, run = divmod(entry, len(layout.runs))
        position, wire = wave[slot]
        start, end, segment = layout.runs[run]
        base = slot * len(layout.template)
        view = self._shared.view[base + start : base + end]
        if not self._port.send_run(view, segment, wire.path) and position not in lost:
            lost.append(position)


class _Copies:
    """Copies of one layout, side by side in the shared buffer.

    Attributes:
        fitting: How many there is room for.
    """

    def __init__(self, layout: Layout, shared: SharedBuffer) -> None:
        self.fitting = len(shared.memory) // len(layout.template)
        self._layout = layout
        self._shared = shared
        self._packets = [
            (at, sequence, ticks & 0xFFFFFFFF, size)
            for (at, sequence, ticks), (_, size) in zip(layout.fields, layout.spans, strict=True)
        ]
        # Pointers are objects; every slot's are made once and serve one wave after the other.
        self._pointers: list[list[Pointer]] = []

    def write(self, slot: int, context: SrtpContext, target: Target, length: Pointer) -> bool:
        """Write and protect the copy of one viewer; False when libsrtp refuses."""
        layout, memory = self._layout, self._shared.memory
        template = layout.template
        base = slot * len(template)
        if slot == len(self._pointers):
            address = self._shared.address + base
            self._pointers.append([address + offset for offset, _ in layout.spans])
        _, ssrc, offset, picture_offset = target
        memory[base : base + len(template)] = template
        if picture_offset:
            shift_pictures(memory, layout.pictures, picture_offset, base)
        pack_into, protect = SEQUENCE_TICKS_SSRC.pack_into, srtp_protect
        for (at, sequence, ticks, size), pointer in zip(
            self._packets, self._pointers[slot], strict=True
        ):
            pack_into(memory, base + at, (sequence + offset) & 0xFFFF, ticks, ssrc)
            length[0] = size
            if protect(context, pointer, length):
                return False
        return True
