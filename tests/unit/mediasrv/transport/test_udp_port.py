"""The port on real loopback sockets; what the kernel refuses is played by a socket that refuses."""

import asyncio
import errno
import logging
import socket

import pytest

from mediasrv.relay import layout
from mediasrv.transport import udp_port
from mediasrv.transport.ice import Path
from mediasrv.transport.udp_port import UdpPort, gso_available

IPV4, IPV6 = "127.0.0.1", "::1"
NOBODY = "203.0.113.1"  # reserved for documentation: no interface has it


class Port(UdpPort):
    """A port that keeps what it receives, and can wait for it."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port, self._keep)
        self.received: list[tuple[bytes, Path]] = []
        self._arrived = asyncio.Event()

    def _keep(self, datagram: bytes, path: Path) -> None:
        self.received.append((datagram, path))
        self._arrived.set()

    async def wait_for(self, count: int) -> list[bytes]:
        async with asyncio.timeout(5):
            while len(self.received) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return [datagram for datagram, _ in self.received]


@pytest.fixture
async def port():
    opened = Port()
    opened.open([IPV4, IPV6])
    yield opened
    opened.close()


@pytest.fixture(params=[IPV4, IPV6])
def peer(request):
    """A socket of a peer on this machine."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((request.param, 0))
        udp.settimeout(5)
        yield udp


def path_to(port: UdpPort, peer: socket.socket) -> Path:
    address, number = peer.getsockname()[:2]
    return Path(port.addresses.index(address), (address, number))


class Refusing:
    """A socket whose sends fail: segmented ones, or all of them."""

    def __init__(self, inner: socket.socket, code: int, *, single: bool = False) -> None:
        self.inner = inner
        self.code = code
        self.single = single
        self.calls = 0

    def sendmsg(self, *arguments: object) -> int:
        self.calls += 1
        raise OSError(self.code, "no")

    def sendto(self, *arguments: object) -> int:
        if self.single:
            raise OSError(self.code, "no")
        return self.inner.sendto(*arguments)  # type: ignore[call-overload, no-any-return]

    def fileno(self) -> int:
        return self.inner.fileno()

    def close(self) -> None:
        self.inner.close()


def refuse(port: UdpPort, path: Path, code: int, *, single: bool = False) -> Refusing:
    refusing = Refusing(port._sockets[path.socket_id], code, single=single)
    port._sockets[path.socket_id] = refusing  # type: ignore[call-overload]
    return refusing


# Binding.


async def test_all_addresses_share_one_number(port):
    assert port.port > 0
    assert port.addresses == [IPV4, IPV6]
    assert [udp.getsockname()[1] for udp in port._sockets] == [port.port, port.port]


async def test_a_given_number_is_kept():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((IPV4, 0))
        number = probe.getsockname()[1]
    port = Port(number)
    port.open([IPV4])
    assert port.port == number
    port.close()


async def test_an_address_that_cannot_be_bound_is_left_out_with_one_warning(caplog):
    port = Port()
    with caplog.at_level(logging.WARNING):
        port.open([NOBODY, IPV4])
        port.open([NOBODY, IPV4])
    assert port.addresses == [IPV4]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert NOBODY in caplog.text
    port.close()


@pytest.mark.parametrize("addresses", [[NOBODY], []])
async def test_a_port_without_any_address_is_an_error(addresses):
    port = Port()
    with pytest.raises(OSError, match=r"no local address|Cannot assign"):
        port.open(addresses)
    assert port.addresses == []


async def test_a_number_that_is_taken_is_an_error(port):
    other = Port(port.port)
    with pytest.raises(OSError, match="in use"):
        other.open([IPV4])


async def test_an_interface_that_comes_up_is_bound_with_the_same_number(port):
    growing = Port()
    growing.open([IPV4])
    before = list(growing._sockets)
    growing.open([IPV4, IPV6])
    assert growing.addresses == [IPV4, IPV6]
    assert growing._sockets[:1] == before
    assert growing._sockets[1].getsockname()[1] == growing.port
    growing.close()


async def test_an_interface_that_goes_down_keeps_its_socket(port):
    port.open([IPV4])
    assert port.addresses == [IPV4, IPV6]


async def test_closing_twice_is_the_same_as_once(port):
    port.close()
    port.close()
    assert port.addresses == []
    assert not port.send(b"x", Path(0, (IPV4, 9)))
    assert not port.send_run(memoryview(bytes(30)), 10, Path(0, (IPV4, 9)))
    assert port.send_errors == 2
    Port().close()


# Receiving.


async def test_a_datagram_comes_with_its_path(port, peer):
    path = path_to(port, peer)
    peer.sendto(b"hello", (path.address[0], port.port))
    await port.wait_for(1)
    assert port.received == [(b"hello", path)]


async def test_datagrams_of_any_size_arrive_whole_or_recognisably_long(port, peer):
    for size in (0, 1, 1500, 1501, 5000):
        peer.sendto(bytes(size), (peer.getsockname()[0], port.port))
    sizes = [len(datagram) for datagram in await port.wait_for(5)]
    assert sizes == [0, 1, 1500, 1501, udp_port.RECEIVE_BYTES]


async def test_a_flood_lets_others_have_their_turn(port, peer):
    count = udp_port.DATAGRAMS_PER_WAKE_MAX + 10
    for i in range(count):
        peer.sendto(i.to_bytes(2, "big"), (peer.getsockname()[0], port.port))
    await port.wait_for(1)
    assert len(port.received) == udp_port.DATAGRAMS_PER_WAKE_MAX
    arrived = await port.wait_for(count)
    assert arrived == [i.to_bytes(2, "big") for i in range(count)]


async def test_an_error_of_an_earlier_send_does_not_stop_reading(port, peer, monkeypatch):
    class Failing:
        def __init__(self, inner: socket.socket) -> None:
            self.inner, self.failures = inner, 3

        def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
            if self.failures:
                self.failures -= 1
                raise ConnectionRefusedError
            return self.inner.recvfrom(size)

    path = path_to(port, peer)
    peer.sendto(b"after", (path.address[0], port.port))
    await asyncio.sleep(0)
    udp = port._sockets[path.socket_id]
    port._loop.remove_reader(udp.fileno())
    port._drain(Failing(udp), path.socket_id)
    assert port.received == [(b"after", path)]


# Sending.


async def test_a_datagram_leaves_from_the_address_that_the_peer_wrote_to(port, peer):
    path = path_to(port, peer)
    assert port.send(memoryview(b"hello"), path)
    datagram, source = peer.recvfrom(100)
    assert (datagram, source[:2]) == (b"hello", (path.address[0], port.port))


def receive(peer: socket.socket, count: int) -> list[bytes]:
    return [peer.recv(65535) for _ in range(count)]


@pytest.mark.parametrize("gso", [True, False])
@pytest.mark.parametrize(
    ("sizes", "segment_bytes"),
    [
        ([1200, 1200, 1200], 1200),
        ([1200, 1200, 7], 1200),
        ([1200, 1], 1200),
        ([900], 1200),
        ([1200], 1200),
        ([100] * 64, 100),
        ([100] * 65, 100),  # more segments than older kernels take
        ([1100] * 59 + [1], 1100),
        ([1400] * 50, 1400),  # 70,000 bytes: more than one send takes
    ],
)
async def test_a_run_arrives_as_single_datagrams(port, peer, gso, sizes, segment_bytes):
    port.gso = gso and port.gso
    packets = [bytes([i % 256]) * size for i, size in enumerate(sizes)]
    assert port.send_run(memoryview(b"".join(packets)), segment_bytes, path_to(port, peer))
    assert receive(peer, len(packets)) == packets
    assert port.send_errors == 0


def test_the_kernel_says_whether_it_can_segment(monkeypatch):
    class Old(socket.socket):
        def setsockopt(self, *arguments: object) -> None:
            raise OSError(errno.ENOPROTOOPT, "no")

    assert isinstance(gso_available(), bool)
    monkeypatch.setattr(socket, "socket", Old)
    assert not gso_available()


async def test_runs_of_the_relay_fit_into_one_call():
    assert layout.RUN_PACKETS_MAX <= udp_port.GSO_SEGMENTS_MAX
    assert layout.RUN_BYTES_MAX <= udp_port.GSO_BYTES_MAX


RUN = memoryview(b"a" * 10 + b"b" * 10 + b"c" * 4)
SINGLE = [b"a" * 10, b"b" * 10, b"c" * 4]


async def test_a_system_that_cannot_segment_is_asked_once(port, peer):
    port.gso = True
    path = path_to(port, peer)
    refusing = refuse(port, path, errno.EOPNOTSUPP)
    for _ in range(2):
        assert port.send_run(RUN, 10, path)
        assert receive(peer, 3) == SINGLE
    assert not port.gso
    assert refusing.calls == 1


async def test_a_route_that_cannot_segment_is_asked_once_and_slows_down_nobody_else(port, peer):
    port.gso = True
    path = path_to(port, peer)
    refusing = refuse(port, path, errno.EIO)
    for _ in range(2):
        assert port.send_run(RUN, 10, path)
        assert receive(peer, 3) == SINGLE
    assert refusing.calls == 1
    assert port.gso
    port.send_run(RUN, 10, Path(path.socket_id, ("192.0.2.1", 9)))
    assert refusing.calls == 2


async def test_routes_that_cannot_segment_do_not_fill_memory(port, peer):
    port.gso = True
    path = path_to(port, peer)
    refuse(port, path, errno.EIO, single=True)
    for number in range(1, udp_port._UNSEGMENTED_PATHS_MAX + 10):
        port.send_run(RUN, 10, Path(path.socket_id, (path.address[0], number)))
    assert len(port._unsegmented) == 9


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EMSGSIZE])
async def test_a_run_that_does_not_fit_its_path_goes_one_by_one(port, peer, code):
    port.gso = True
    path = path_to(port, peer)
    refusing = refuse(port, path, code)
    for _ in range(2):
        assert port.send_run(RUN, 10, path)
        assert receive(peer, 3) == SINGLE
    assert refusing.calls == 2
    assert port.gso
    assert port.send_errors == 0


@pytest.mark.parametrize(
    "code", [errno.EAGAIN, errno.ENOBUFS, errno.ENETUNREACH, errno.EPERM, errno.ECONNREFUSED]
)
async def test_what_the_kernel_refuses_is_lost_and_counted(port, peer, code):
    path = path_to(port, peer)
    refuse(port, path, code, single=True)
    for gso in (True, False):
        port.gso = gso
        port.send_errors = 0
        assert not port.send(b"x", path)
        assert not port.send_run(RUN, 10, path)
        assert port.send_errors == (2 if gso else 4)


async def test_an_impossible_destination_is_lost_and_counted(port):
    unreachable = [
        Path(0, (IPV4, 0)),
        Path(0, (IPV6, 9)),
        Path(7, (IPV4, 9)),
        Path(1, (IPV4, 9)),
    ]
    for path in unreachable:
        assert not port.send(b"x", path)
        assert not port.send_run(RUN, 10, path)
    assert port.send_errors >= 2 * len(unreachable)
    assert not port.send(bytes(70_000), Path(0, (IPV4, 9)))


async def test_one_refused_piece_does_not_take_the_others_with_it(port, peer):
    path = path_to(port, peer)

    class Once(Refusing):
        def sendto(self, *arguments: object) -> int:
            self.calls += 1
            if self.calls == 2:
                raise BlockingIOError
            return super().sendto(*arguments)

    port.gso = False
    port._sockets[path.socket_id] = Once(port._sockets[path.socket_id], 0)
    assert not port.send_run(RUN, 10, path)
    assert receive(peer, 2) == [SINGLE[0], SINGLE[2]]
    assert port.send_errors == 1
