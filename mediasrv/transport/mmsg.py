"""Many datagrams, or runs of them, in one system call: sendmmsg(2), which Python does not offer."""

import socket
import struct
from collections.abc import Callable
from typing import Any

import cffi
import numpy as np
import numpy.typing as npt

from mediasrv.transport.ice import Address

# Messages of one call; the kernel takes UIO_MAXIOV = 1024 at most.
CAPACITY = 256
SOL_UDP = 17
UDP_SEGMENT = 103  # linux/udp.h

# Pointers are declared as numbers, so that arrays of them can be set.
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
_POINTER_BYTES = _ffi.sizeof("uintptr_t")
_Numbers = npt.NDArray[np.uint64]


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
    """Up to :attr:`capacity` messages, filled and sent together.

    Attributes:
        capacity: How many there are.
        on_sent: Called after every system call while somebody traces.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.on_sent: Callable[[], None] | None = None
        self._library: Any = _ffi.dlopen(None)
        self._messages = _ffi.new("struct mmsghdr[]", capacity)
        self._vectors = _ffi.new("struct iovec[]", capacity)
        self._controls: dict[int, tuple[int, int]] = {}
        self._control_memory: list[Any] = []
        headers = _columns(self._messages, "struct msghdr", "struct mmsghdr")
        vectors = _columns(self._vectors, "struct iovec", "struct iovec")
        vector_bytes = _ffi.sizeof("struct iovec")
        headers["vector"] = _number(self._vectors) + np.arange(capacity) * vector_bytes
        headers["vector_length"] = 1
        # Columns, so that a field of many messages is set at once.
        self._name, self._name_length = headers["name"], headers["name_length"]
        self._control, self._control_length = headers["control"], headers["control_length"]
        self._base, self._length = vectors["base"], vectors["length"]

    @staticmethod
    def is_available() -> bool:
        """Tell whether this system has sendmmsg."""
        library: Any = _ffi.dlopen(None)
        try:
            return bool(library.sendmmsg)
        except AttributeError:
            return False

    def control(self, segment_bytes: int) -> tuple[int, int]:
        """Return where the control message is that lets the kernel cut a run, and its length."""
        found = self._controls.get(segment_bytes)
        if found is None:
            made: Any = _ffi.new("struct segment_control *")
            made.length = _ffi.offsetof("struct segment_control", "segment") + _SEGMENT_BYTES
            made.level, made.type, made.segment = SOL_UDP, UDP_SEGMENT, segment_bytes
            self._control_memory.append(made)
            found = _number(made), _ffi.sizeof("struct segment_control")
            self._controls[segment_bytes] = found
        return found

    def fill(self, names: _Numbers, rows: _Numbers) -> None:
        """Fill the first messages.

        Args:
            names: (N, 2): where the address is, and its length; see :class:`SocketAddress`.
            rows: (N, 4): where the bytes begin in memory and how many they are; where the control
                message is and its length, see :meth:`control`, zeros for a single datagram.
        """
        count = len(rows)
        self._name[:count], self._name_length[:count] = names.T
        self._base[:count], self._length[:count] = rows[:, 0], rows[:, 1]
        self._control[:count], self._control_length[:count] = rows[:, 2], rows[:, 3]

    def send(self, file_descriptor: int, first: int, end: int) -> int:
        """Send the messages from ``first`` to before ``end``; never blocks.

        Returns:
            How many were sent, or minus the error number of the first one.
        """
        sent = self._library.sendmmsg(
            file_descriptor, self._messages + first, end - first, socket.MSG_DONTWAIT
        )
        result = int(sent) if sent > 0 else -_ffi.errno
        if self.on_sent is not None:
            self.on_sent()
        return result


def _columns(memory: Any, fields_of: str, item: str) -> "npt.NDArray[np.void]":
    """View an array of C structures, whose items begin with ``fields_of``, by its fields."""
    sizes = {"unsigned int": "u4", "int": "i4"}
    fields = _ffi.typeof(fields_of).fields or []
    layout = np.dtype(
        {
            "names": [name for name, _ in fields],
            "formats": [sizes.get(field.type.cname, f"u{_POINTER_BYTES}") for _, field in fields],
            "offsets": [field.offset for _, field in fields],
            "itemsize": _ffi.sizeof(item),
        }
    )
    shared: Any = _ffi.buffer(memory)
    return np.frombuffer(shared, layout)
