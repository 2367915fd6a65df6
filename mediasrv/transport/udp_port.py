"""The server's one UDP port: a socket per local address, read in batches, sent with GSO.

A socket per address, all on the same port number, answers from the very address that the peer
wrote to, which ICE needs on machines with several addresses (IPv6 privacy addresses above all).
"""

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable, Sequence

from mediasrv.transport.ice import Path

logger = logging.getLogger(__name__)

# Room for one keyframe to several hundred viewers while the kernel hands packets on. The kernel
# caps it at net.core.{r,w}mem_max without an error.
SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
# Datagrams read before the loop gets its turn again: a flood must not starve everybody else.
DATAGRAMS_PER_WAKE_MAX = 64
# More than the largest datagram that is accepted, so that longer ones can be told from it.
RECEIVE_BYTES = 2048

SOL_UDP = 17
UDP_SEGMENT = 103  # linux/udp.h
# The kernel refuses more segments than UDP_MAX_SEGMENTS (64 until Linux 6.9, 128 since), and more
# bytes than a datagram has. A longer run still arrives, one packet by one.
GSO_SEGMENTS_MAX = 64
GSO_BYTES_MAX = 65_000
_SEGMENT_SIZE = struct.Struct("=H")

# The system cannot segment at all.
_GSO_UNSUPPORTED = frozenset({errno.EOPNOTSUPP})
# The route of this path cannot: IPsec, or a device without checksum offload before Linux 6.11. The
# path is remembered, so that one peer behind a tunnel does not slow down everybody.
_GSO_NO_ROUTE = frozenset({errno.EIO})
# This run does not fit (a segment over the path's MTU, say); the next one may.
_GSO_UNFIT = frozenset({errno.EINVAL, errno.EMSGSIZE})
# Peers come and go; one that is forgotten costs one refused call more.
_UNSEGMENTED_PATHS_MAX = 1024


class UdpPort:
    """All sockets of the server's port.

    Args:
        port: Port number; 0 lets the system choose one, the same for every address.
        receive: Called with each datagram and the path it came by; must not raise.

    Attributes:
        port: The number in use once open.
        send_errors: Datagrams or runs that the kernel refused.
        gso: Whether runs leave in one system call.
        on_sent: Called after every run while somebody traces.
    """

    def __init__(self, port: int, receive: Callable[[bytes, Path], None]) -> None:
        self.port = port
        self.send_errors = 0
        self.gso = gso_available()
        self.on_sent: Callable[[], None] | None = None
        self._receive = receive
        self._sockets: list[socket.socket] = []
        self._bound: dict[str, int] = {}
        self._not_bound: set[str] = set()
        self._unsegmented: set[Path] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def addresses(self) -> list[str]:
        """Local addresses with an open socket."""
        return list(self._bound)

    def open(self, addresses: Sequence[str]) -> None:
        """Bind every address; those that vanish or cannot be bound are left out, with a warning.

        May be called again when interfaces have changed: known addresses are kept.

        Raises:
            OSError: Not one address could be bound.
        """
        self._loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for address in addresses:
            if address in self._bound:
                continue
            try:
                self._bind(address, self._loop)
            except OSError as exc:
                failure = exc
                if address not in self._not_bound:
                    self._not_bound.add(address)
                    logger.warning("no media on %s port %d: %s", address, self.port, exc)
        if not self._bound:
            raise failure or OSError("no local address to bind")

    def _bind(self, address: str, loop: asyncio.AbstractEventLoop) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            udp.setblocking(False)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
            udp.bind((address, self.port))
        except OSError:
            udp.close()
            raise
        self.port = udp.getsockname()[1]
        socket_id = len(self._sockets)
        self._sockets.append(udp)
        self._bound[address] = socket_id
        loop.add_reader(udp.fileno(), self._drain, udp, socket_id)

    def close(self) -> None:
        """Close every socket; calling it again does nothing."""
        for udp in self._sockets:
            if self._loop is not None and udp.fileno() >= 0:
                self._loop.remove_reader(udp.fileno())
            udp.close()
        self._sockets.clear()
        self._bound.clear()

    def file_descriptor(self, socket_id: int) -> int:
        """The number of one socket; -1 when the port is closed, which every send refuses."""
        return self._sockets[socket_id].fileno() if socket_id < len(self._sockets) else -1

    def _drain(self, udp: socket.socket, socket_id: int) -> None:
        receive = self._receive
        for _ in range(DATAGRAMS_PER_WAKE_MAX):
            try:
                datagram, source = udp.recvfrom(RECEIVE_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                # An ICMP error of an earlier send; the socket itself is well.
                continue
            receive(datagram, Path(socket_id, (source[0], source[1])))

    def send(self, datagram: bytes | memoryview, path: Path) -> bool:
        """Send one datagram; False when the kernel had no room or no route, and it is lost."""
        try:
            self._sockets[path.socket_id].sendto(datagram, path.address)
        except (OSError, IndexError):
            self.send_errors += 1
            return False
        return True

    def send_run(self, run: memoryview, segment_bytes: int, path: Path) -> bool:
        """Send a run of datagrams, each ``segment_bytes`` long but the last, in one system call.

        Falls back to single sends where the interface cannot segment. False means that some or
        all of the run is lost; nothing blocks.
        """
        sent = self._send_run(run, segment_bytes, path)
        if self.on_sent is not None:
            self.on_sent()
        return sent

    def _send_run(self, run: memoryview, segment_bytes: int, path: Path) -> bool:
        if len(run) <= segment_bytes:
            return self.send(run, path)
        if self.gso and path not in self._unsegmented:
            sent = self._send_segmented(run, segment_bytes, path)
            if sent is not None:
                return sent
        pieces = range(0, len(run), segment_bytes)
        # Every piece is tried: one that the kernel refuses does not take the others with it.
        return all([self.send(run[i : i + segment_bytes], path) for i in pieces])  # noqa: C419

    def _send_segmented(self, run: memoryview, segment_bytes: int, path: Path) -> bool | None:
        """Send a run in one system call; None when it has to go one by one."""
        option = [(SOL_UDP, UDP_SEGMENT, _SEGMENT_SIZE.pack(segment_bytes))]
        try:
            self._sockets[path.socket_id].sendmsg([run], option, 0, path.address)
        except OSError as exc:
            if exc.errno in _GSO_UNFIT:
                return None
            if exc.errno in _GSO_UNSUPPORTED:
                self.gso = False
                return None
            if exc.errno in _GSO_NO_ROUTE:
                self._remember_unsegmented(path)
                return None
            self.send_errors += 1
            return False
        except IndexError:
            self.send_errors += 1
            return False
        return True

    def _remember_unsegmented(self, path: Path) -> None:
        if len(self._unsegmented) >= _UNSEGMENTED_PATHS_MAX:
            self._unsegmented.clear()
        self._unsegmented.add(path)


def gso_available() -> bool:
    """Tell whether this kernel segments UDP sends (Linux 4.18 and later)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(SOL_UDP, UDP_SEGMENT, 0)
        except OSError:
            return False
    return True
