"""The server's one UDP port: a socket per local address, read in batches, sent with GSO.

A socket per address, all on the same port number, answers from the very address that the peer
wrote to, which ICE needs on machines with several addresses (IPv6 privacy addresses above all).
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Sequence

from mediasrv.transport.ice import Path

# Room for one keyframe to several hundred viewers while the kernel hands packets on. The kernel
# halves what it grants to an unprivileged process to net.core.{r,w}mem_max without an error.
SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
# Datagrams read before the loop gets its turn again: a flood must not starve everybody else.
DATAGRAMS_PER_WAKE_MAX = 64
# One more than the largest datagram that is accepted, so that longer ones can be told from it.
RECEIVE_BYTES = 2048

SOL_UDP = 17
UDP_SEGMENT = 103  # linux/udp.h
# The kernel refuses more segments than UDP_MAX_SEGMENTS (64 until Linux 6.9, 128 since).
GSO_SEGMENTS_MAX = 64
GSO_BYTES_MAX = 65_000
_SEGMENT_SIZE = struct.Struct("=H")

# The interface cannot segment at all: send packets one by one from now on.
_GSO_UNSUPPORTED = frozenset({errno.EIO, errno.EOPNOTSUPP})
# This path cannot take this run (a segment over its MTU, say): only this run goes one by one, so
# that one peer with an odd route does not slow down everybody.
_GSO_UNFIT = frozenset({errno.EINVAL, errno.EMSGSIZE})


class UdpPort:
    """All sockets of the server's port.

    Args:
        port: Port number; 0 lets the system choose one, the same for every address.
        receive: Called with each datagram and the path it came by; must not raise.

    Attributes:
        port: The number in use once open.
        send_errors: Datagrams or runs that the kernel refused.
        gso: Whether runs leave in one system call.
    """

    def __init__(self, port: int, receive: Callable[[bytes, Path], None]) -> None:
        self.port = port
        self.send_errors = 0
        self.gso = gso_available()
        self._receive = receive
        self._sockets: list[socket.socket] = []
        self._bound: dict[str, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def addresses(self) -> list[str]:
        """Local addresses with an open socket."""
        return list(self._bound)

    def open(self, addresses: Sequence[str]) -> None:
        """Bind every address; those that vanish or cannot be bound are left out.

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
        if len(run) <= segment_bytes:
            return self.send(run, path)
        if self.gso:
            option = [(SOL_UDP, UDP_SEGMENT, _SEGMENT_SIZE.pack(segment_bytes))]
            try:
                self._sockets[path.socket_id].sendmsg([run], option, 0, path.address)
            except OSError as exc:
                if exc.errno in _GSO_UNSUPPORTED:
                    self.gso = False
                elif exc.errno not in _GSO_UNFIT:
                    self.send_errors += 1
                    return False
            except IndexError:
                self.send_errors += 1
                return False
            else:
                return True
        pieces = range(0, len(run), segment_bytes)
        # Every piece is tried: one that the kernel refuses does not take the others with it.
        return all([self.send(run[i : i + segment_bytes], path) for i in pieces])  # noqa: C419


def gso_available() -> bool:
    """Tell whether this kernel segments UDP sends (Linux 4.18 and later)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(SOL_UDP, UDP_SEGMENT, 0)
        except OSError:
            return False
    return True
