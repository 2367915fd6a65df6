"""Many datagrams, or runs of them, in one system call: sendmmsg(2), which Python does not offer."""

import socket
import struct
from typing import Any

import cffi

from mediasrv.transport.ice import Address

# Entries of one call; the kernel takes UIO_MAXIOV = 1024 at most.
CAPACITY = 256
SOL_UDP = 17
UDP_SEGMENT = 103  # linux/udp.h

# Pointers are declared as numbers, so that setting one makes no object.
_ffi = cffi.FFI()
_ffi.cdef(
    """
    struct iovec { uintptr_t base; size_t length; };
    struct msghdr {
        uintptr_t name; unsigned int name_length;
        uintptr_t vector; size_t vector_length;
        uintptr_t control; size_t control_length;
        int flags;
    };
    struct mmsghdr { struct msghdr header; unsigned int sent; };
    struct segment_control { size_t length; int level; int type; uint16_t segment; };
    int sendmmsg(int socket, struct mmsghdr *messages, unsigned int count, int flags);
    """
)
_SEGMENT_BYTES = 2


def _number(pointer: Any) -> int:
    return int(_ffi.cast("uintptr_t", pointer))


class SocketAddress:
    """An address in the kernel's form.

    Attributes:
        number: Where it is in memory, for as long as this object lives.
        size: Its length in bytes.
    """

    __slots__ = ("_memory", "number", "size")

    def __init__(self, address: Address) -> None:
        host, port = address
        if ":" in host:
            name, _, zone = host.partition("%")
            scope = _scope_of(zone) if zone else 0
            packed = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0)
            packed += socket.inet_pton(socket.AF_INET6, name) + struct.pack("=I", scope)
        else:
            packed = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port)
            packed += socket.inet_pton(socket.AF_INET, host) + bytes(8)
        self._memory = _ffi.new("char[]", packed)
        self.number = _number(self._memory)
        self.size = len(packed)


def _scope_of(zone: str) -> int:
    return int(zone) if zone.isdigit() else socket.if_nametoindex(zone)


class MessageBatch:
    """Up to :attr:`capacity` entries, filled by number and sent together.

    Attributes:
        capacity: How many entries there are.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._library = _ffi.dlopen(None)
        self._messages = _ffi.new("struct mmsghdr[]", capacity)
        self._vectors = _ffi.new("struct iovec[]", capacity)
        self._headers = [self._messages[i].header for i in range(capacity)]
        self._vector = [self._vectors[i] for i in range(capacity)]
        for header, vector in zip(self._headers, self._vector, strict=True):
            header.vector, header.vector_length = _number(_ffi.addressof(vector)), 1
        self._controls: dict[int, Any] = {}
        self._control_numbers: dict[int, int] = {}
        head_bytes = _ffi.offsetof("struct segment_control", "segment")
        self._control_length = head_bytes + _SEGMENT_BYTES
        self._control_space = _ffi.sizeof("struct segment_control")

    @staticmethod
    def is_available() -> bool:
        """Tell whether this system has sendmmsg."""
        try:
            return bool(_ffi.dlopen(None).sendmmsg)
        except (AttributeError, OSError):
            return False

    def put(
        self, entry: int, address: SocketAddress, base: int, size: int, segment_bytes: int
    ) -> None:
        """Fill an entry.

        Args:
            entry: Its number.
            address: Where to; must live until it was sent.
            base: Where the bytes begin in memory; they must live as long.
            size: How many bytes.
            segment_bytes: Length of each datagram but the last, which may be shorter.
        """
        header, vector = self._headers[entry], self._vector[entry]
        header.name, header.name_length = address.number, address.size
        vector.base, vector.length = base, size
        if size > segment_bytes:
            number = self._control_numbers.get(segment_bytes)
            header.control = number if number is not None else self._control(segment_bytes)
            header.control_length = self._control_space
        else:
            header.control_length = 0

    def _control(self, segment_bytes: int) -> int:
        """Make the control message that lets the kernel cut a run; one per size, kept."""
        control = _ffi.new("struct segment_control *")
        control.length, control.level = self._control_length, SOL_UDP
        control.type, control.segment = UDP_SEGMENT, segment_bytes
        self._controls[segment_bytes] = control
        number = self._control_numbers[segment_bytes] = _number(control)
        return number

    def send(self, file_descriptor: int, first: int, end: int) -> int:
        """Send the entries from ``first`` to before ``end``; never blocks.

        Returns:
            How many were sent, or minus the error number of the first one.
        """
        sent = self._library.sendmmsg(
            file_descriptor, self._messages + first, end - first, socket.MSG_DONTWAIT
        )
        return int(sent) if sent > 0 else -_ffi.errno
