"""sendmmsg over the loopback: what the kernel is told must be what arrives."""

import errno
import os
import socket
import struct

import numpy as np
import pytest

from mediasrv.transport import mmsg
from mediasrv.transport.mmsg import MessageBatch, SocketAddress
from mediasrv.transport.udp_port import gso_available

HOSTS = ("127.0.0.1", "::1")


def udp_socket(host, **options):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.setblocking(False)
    for option, value in options.items():
        udp.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
    udp.bind((host, 0))
    return udp


@pytest.fixture
def sockets():
    made = []

    def make(host, **options):
        made.append(udp_socket(host, **options))
        return made[-1]

    yield make
    for udp in made:
        udp.close()


def drained(udp):
    out = []
    while True:
        try:
            out.append(udp.recv(65_535))
        except BlockingIOError:
            return out


def address_of(udp):
    return udp.getsockname()[:2]


class Memory:
    """Bytes with an address."""

    def __init__(self, content):
        self.array = np.frombuffer(bytes(content), np.uint8).copy()
        self.number = self.array.ctypes.data


def filled(batch, messages):
    """Fill with (address, memory, start, size, segment)."""
    names = np.array([(a.number, a.size) for a, *_ in messages], np.uint64)
    rows = [
        (memory.number + start, size, *(batch.control(segment) if segment else (0, 0)))
        for _, memory, start, size, segment in messages
    ]
    batch.fill(names, np.array(rows, np.uint64))


@pytest.mark.parametrize("host", HOSTS)
def test_an_address_is_written_as_the_kernel_knows_it(sockets, host):
    sender, receiver = sockets(host), sockets(host)
    batch, memory = MessageBatch(4), Memory(b"hello")
    address = SocketAddress(address_of(receiver))
    filled(batch, [(address, memory, 0, 5, 0)])
    assert batch.send(sender.fileno(), 0, 1) == 1
    assert drained(receiver) == [b"hello"]


def test_a_zone_names_an_interface_by_name_or_number():
    index = socket.if_nametoindex("lo")
    for zone in ("lo", str(index)):
        address = SocketAddress((f"fe80::1%{zone}", 4711))
        written = bytes(mmsg._ffi.buffer(address._memory, address.size))
        assert address.size == 28
        family, port, flow = struct.unpack("=H", written[:2]) + struct.unpack("!HI", written[2:8])
        assert (family, port, flow) == (socket.AF_INET6, 4711, 0)
        assert written[8:24] == socket.inet_pton(socket.AF_INET6, "fe80::1")
        assert struct.unpack("=I", written[24:]) == (index,)


def test_an_interface_that_is_not_there_is_an_error():
    with pytest.raises(OSError):  # noqa: PT011 - the text is the system's
        SocketAddress(("fe80::1%nowhere", 4711))


@pytest.mark.parametrize("host", HOSTS)
def test_messages_go_to_their_own_addresses_with_their_own_bytes(sockets, host):
    sender, receivers = sockets(host), [sockets(host) for _ in range(5)]
    batch, memory = MessageBatch(8), Memory(range(250))
    addresses = [SocketAddress(address_of(udp)) for udp in receivers]
    filled(batch, [(addresses[i], memory, 10 * i, 20 + i, 0) for i in range(5)])
    assert batch.send(sender.fileno(), 0, 5) == 5
    for i, udp in enumerate(receivers):
        assert drained(udp) == [bytes(range(10 * i, 10 * i + 20 + i))]


def test_only_the_messages_that_were_named_are_sent(sockets):
    sender, receiver = sockets(HOSTS[0]), sockets(HOSTS[0])
    batch, memory = MessageBatch(8), Memory(range(8))
    address = SocketAddress(address_of(receiver))
    filled(batch, [(address, memory, i, 1, 0) for i in range(8)])
    assert batch.send(sender.fileno(), 3, 6) == 3
    assert drained(receiver) == [b"\x03", b"\x04", b"\x05"]


def test_filling_again_leaves_nothing_of_what_was_there(sockets):
    sender, receiver = sockets(HOSTS[0]), sockets(HOSTS[0])
    batch, memory = MessageBatch(4), Memory(range(100))
    address = SocketAddress(address_of(receiver))
    filled(batch, [(address, memory, 0, 100, 40)] * 4)
    filled(batch, [(address, memory, 5, 90, 0)] * 2)
    assert batch.send(sender.fileno(), 0, 2) == 2
    assert drained(receiver) == [bytes(range(5, 95))] * 2


@pytest.mark.skipif(not gso_available(), reason="this kernel does not segment")
@pytest.mark.parametrize("host", HOSTS)
def test_the_kernel_cuts_a_run_into_datagrams(sockets, host):
    sender, receiver = sockets(host), sockets(host)
    batch, memory = MessageBatch(4), Memory(range(100))
    address = SocketAddress(address_of(receiver))
    filled(batch, [(address, memory, 0, 100, 30), (address, memory, 0, 100, 50)])
    assert batch.send(sender.fileno(), 0, 2) == 2
    content = bytes(range(100))
    assert drained(receiver) == [
        content[:30], content[30:60], content[60:90], content[90:], content[:50], content[50:],
    ]  # fmt: skip


def test_a_control_message_is_made_once_per_segment_size():
    batch = MessageBatch(2)
    assert batch.control(1200) == batch.control(1200)
    assert batch.control(1200) != batch.control(1199)


def test_the_error_of_the_first_message_comes_back(sockets):
    sender, receiver = sockets(HOSTS[0]), sockets(HOSTS[0])
    batch, memory = MessageBatch(4), Memory(bytes(70_000))
    address = SocketAddress(address_of(receiver))
    filled(batch, [(address, memory, 0, 70_000, 0), (address, memory, 0, 10, 0)])
    assert batch.send(sender.fileno(), 0, 2) == -errno.EMSGSIZE
    assert batch.send(-1, 0, 2) == -errno.EBADF
    # The next one can be sent.
    assert batch.send(sender.fileno(), 1, 2) == 1


def test_what_was_sent_before_an_error_is_counted(sockets):
    sender, receiver = sockets(HOSTS[0]), sockets(HOSTS[0])
    batch, memory = MessageBatch(4), Memory(bytes(70_000))
    address = SocketAddress(address_of(receiver))
    sizes = (10, 20, 70_000, 10)
    filled(batch, [(address, memory, 0, size, 0) for size in sizes])
    assert batch.send(sender.fileno(), 0, 4) == 2
    assert [len(d) for d in drained(receiver)] == [10, 20]


def test_a_full_socket_is_an_error_and_nothing_blocks(sockets):
    """A Unix socket's queue fills up for real; UDP over the loopback never does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        assert os.get_blocking(ours.fileno())
        batch, memory = MessageBatch(256), Memory(bytes(4000))
        batch.fill(
            np.zeros((256, 2), np.uint64),
            np.array([(memory.number, 4000, 0, 0)] * 256, np.uint64),
        )
        outcomes = [batch.send(ours.fileno(), 0, 256) for _ in range(20)]
        assert outcomes[-1] in (-errno.EAGAIN, -errno.ENOBUFS)


def test_a_system_without_it_is_noticed(monkeypatch):
    assert MessageBatch.is_available()

    class Nothing:
        """A C library without the call."""

    class Foreign:
        @staticmethod
        def dlopen(_):
            return Nothing()

    monkeypatch.setattr(mmsg, "_ffi", Foreign)
    assert not MessageBatch.is_available()
