"""Whom a datagram belongs to, and how long a session lasts; no client but what the test writes."""

import asyncio
import socket

import pytest
from aioice import stun

from mediasrv.transport.endpoint import INTERFACES_S, TransportEndpoint
from mediasrv.transport.heap import CROWD_GONE_BY_S, CROWD_PEERS
from mediasrv.transport.ice import PATHS_MAX, Path
from mediasrv.transport.peer import PeerTransport
from tests.hostile import short_id
from tests.node_stage import Clock
from tests.unit.mediasrv.transport.peers import Handler, check, simple_offer

LOOPBACK = ["127.0.0.1"]
DTLS = b"\x16\xfe\xfd" + bytes(40)
RTP = b"\x80\x60" + bytes(40)
RTCP = b"\x80\xc8" + bytes(40)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def endpoint(clock):
    async with TransportEndpoint(0, clock, local_addresses=lambda: LOOPBACK) as opened:
        yield opened


@pytest.fixture
def udp():
    """A socket of somebody on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.settimeout(5)
        yield somebody


def path(port: int) -> Path:
    return Path(0, ("127.0.0.1", port))


def opened(endpoint: TransportEndpoint) -> tuple[PeerTransport, Handler]:
    handler = Handler()
    return endpoint.open_peer(simple_offer(), handler), handler


def counted(endpoint: TransportEndpoint) -> dict[str, int]:
    return {name: count for name, count in endpoint.counters.as_dict().items() if count}


# Finding the peer.


async def test_a_check_is_answered_to_the_address_it_came_from(endpoint, udp):
    peer, _ = opened(endpoint)
    udp.sendto(check(peer), ("127.0.0.1", endpoint.port))
    await asyncio.sleep(0.01)
    answer = stun.parse_message(udp.recv(1000))
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == udp.getsockname()
    assert answer.check_message_integrity(peer.ice.credentials.password.encode())
    assert peer.ice.selected == Path(0, udp.getsockname())
    assert counted(endpoint) == {"checks_answered": 1}


@pytest.mark.parametrize(
    ("datagram", "counter"),
    [
        (b"", "refused_datagrams"),
        (b"\x80", "refused_datagrams"),
        (bytes(7), "refused_datagrams"),
        (RTP + bytes(1460), "refused_datagrams"),
        (b"\x50" * 40, "refused_datagrams"),
        (b"\xff" * 40, "refused_datagrams"),
        (bytes(40), "malformed_stun"),
        (bytes(stun.Message(stun.Method.BINDING, stun.Class.INDICATION)), "malformed_stun"),
        (bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)), "unknown_session"),
        (DTLS, "unknown_path"),
        (RTP, "unknown_path"),
        (RTCP, "unknown_path"),
    ],
    ids=short_id,
)
async def test_what_belongs_to_nobody_is_dropped_and_counted(endpoint, udp, datagram, counter):
    peer, handler = opened(endpoint)
    endpoint._receive(datagram, Path(0, udp.getsockname()))
    assert counted(endpoint) == {counter: 1}
    assert (peer.ice.selected, handler.told) == (None, [])
    # Nobody is answered: the port is no amplifier.
    udp.setblocking(False)
    with pytest.raises(BlockingIOError):
        udp.recv(1)


async def test_a_badly_signed_check_proves_nothing(endpoint):
    peer, _ = opened(endpoint)
    endpoint._receive(check(peer, password="wrong"), path(5000))
    endpoint._receive(DTLS, path(5000))
    assert counted(endpoint) == {"badly_signed": 1, "unknown_path": 1}
    assert peer.ice.selected is None


async def test_after_a_check_the_path_belongs_to_its_peer(endpoint):
    peer, _ = opened(endpoint)
    other, _ = opened(endpoint)
    endpoint._receive(check(peer), path(5000))
    endpoint._receive(check(other), path(6000))
    endpoint._receive(RTP, path(5000))
    endpoint._receive(RTCP, path(5000))
    endpoint._receive(RTP, path(6000))
    # Neither has keys yet.
    assert peer.counters.unprotect_failed == 2
    assert other.counters.unprotect_failed == 1
    assert counted(endpoint) == {"checks_answered": 2}


async def test_nobody_takes_the_path_of_somebody_else(endpoint):
    host, _ = opened(endpoint)
    viewer, _ = opened(endpoint)
    endpoint._receive(check(host), path(5000))
    # With the host's address forged, and a session of one's own.
    endpoint._receive(check(viewer, nominates=True), path(5000))
    assert viewer.ice.selected is None
    endpoint._receive(RTP, path(5000))
    assert host.counters.unprotect_failed == 1
    assert counted(endpoint) == {"checks_answered": 1, "taken_path": 1}


async def test_a_path_is_free_when_its_peer_has_ended(endpoint):
    before, _ = opened(endpoint)
    endpoint._receive(check(before), path(5000))
    before.close("done")
    endpoint._receive(RTP, path(5000))
    endpoint._receive(check(before), path(5000))
    assert counted(endpoint) == {"checks_answered": 1, "unknown_path": 1, "unknown_session": 1}
    after, _ = opened(endpoint)
    endpoint._receive(check(after), path(5000))
    assert after.ice.selected == path(5000)


async def test_the_oldest_of_too_many_paths_is_forgotten(endpoint):
    peer, _ = opened(endpoint)
    for i in range(PATHS_MAX + 1):
        endpoint._receive(check(peer, nominates=i == 3), path(5000 + i))
    endpoint._receive(RTP, path(5000))
    assert counted(endpoint) == {"checks_answered": PATHS_MAX + 1, "unknown_path": 1}
    endpoint._receive(RTP, path(5001))
    endpoint._receive(RTP, path(5000 + PATHS_MAX))
    assert peer.counters.unprotect_failed == 2
    assert len(endpoint._by_path) == PATHS_MAX


async def test_a_flood_of_dtls_is_dropped_and_counted(endpoint):
    peer, handler = opened(endpoint)
    endpoint._receive(check(peer), path(5000))
    for _ in range(100):
        endpoint._receive(DTLS, path(5000))
    assert peer.counters.dtls_dropped > 50
    assert handler.told == []


# Time.


async def test_a_session_that_nobody_completes_is_freed_within_15_s(endpoint, clock):
    _, silent = opened(endpoint)
    checked, half_open = opened(endpoint)
    endpoint._receive(check(checked), path(5000))
    clock.now += 13.9
    endpoint.expire(clock.now)
    assert len(endpoint.peers) == 2
    clock.now += 0.1
    endpoint.expire(clock.now)
    for handler in (silent, half_open):
        assert (handler.told, handler.reason) == (["closed"], "not connected in time")
    assert endpoint.peers == []
    assert endpoint._by_path == {}
    assert endpoint.counters.sessions_timed_out == 2
    await asyncio.sleep(0)


async def test_checks_alone_do_not_keep_a_session(endpoint, clock):
    peer, handler = opened(endpoint)
    for _ in range(20):
        endpoint._receive(check(peer), path(5000))
        clock.now += 1
        endpoint.expire(clock.now)
    assert handler.reason == "not connected in time"


async def test_the_timer_does_by_itself_what_is_due(clock, monkeypatch):
    monkeypatch.setattr("mediasrv.transport.endpoint.TICK_S", 0.001)
    async with TransportEndpoint(0, clock, local_addresses=lambda: LOOPBACK) as endpoint:
        _, handler = opened(endpoint)
        clock.now += 14
        await handler.until("closed")


async def test_a_crowd_that_is_in_leaves_no_free_memory_behind(clock, monkeypatch):
    trimmed = []
    monkeypatch.setattr("mediasrv.transport.endpoint.trim_heap", lambda: trimmed.append(clock.now))
    async with TransportEndpoint(0, clock, local_addresses=lambda: LOOPBACK) as endpoint:
        for _ in range(CROWD_PEERS):
            opened(endpoint)
        endpoint.expire(clock.now)
        assert trimmed == []
        clock.now += CROWD_GONE_BY_S
        endpoint.expire(clock.now)
        assert trimmed == [clock.now]


# Life.


async def test_leaving_closes_every_peer_and_the_port(clock):
    async with TransportEndpoint(0, clock, local_addresses=lambda: LOOPBACK) as endpoint:
        handlers = [opened(endpoint)[1] for _ in range(3)]
        number = endpoint.port
    assert [handler.reason for handler in handlers] == ["server shutdown"] * 3
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", number))


async def test_an_error_inside_leaves_nothing_open_and_comes_out_as_it_is(clock):
    endpoint = TransportEndpoint(0, clock, local_addresses=lambda: LOOPBACK)
    handler = Handler()

    async def fail() -> None:
        async with endpoint:
            endpoint.open_peer(simple_offer(), handler)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert handler.reason == "server shutdown"
    assert endpoint._port.addresses == []


async def test_cancelling_whoever_uses_it_leaves_nothing_open(clock):
    endpoint = TransportEndpoint(0, clock, local_addresses=lambda: LOOPBACK)
    handler = Handler()

    async def use() -> None:
        async with endpoint:
            endpoint.open_peer(simple_offer(), handler)
            await asyncio.Event().wait()

    using = asyncio.create_task(use())
    await asyncio.sleep(0)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert handler.reason == "server shutdown"
    assert endpoint._port.addresses == []


async def test_a_fault_at_the_end_of_one_peer_does_not_keep_the_others(clock, caplog):
    async with TransportEndpoint(0, clock, local_addresses=lambda: LOOPBACK) as endpoint:
        endpoint.open_peer(simple_offer(), Handler(failing=["closed"]))
        _, second = opened(endpoint)
        clock.now += 20
        endpoint.expire(clock.now)
        assert second.reason == "not connected in time"
        endpoint.open_peer(simple_offer(), Handler(failing=["closed"]))
        _, third = opened(endpoint)
    assert third.reason == "server shutdown"
    assert caplog.text.count("a fault of the handler in closed") == 2


async def test_a_port_that_cannot_be_opened_says_so(clock, endpoint):
    with pytest.raises(OSError, match="in use"):
        async with TransportEndpoint(endpoint.port, clock, local_addresses=lambda: LOOPBACK):
            pass


# What is announced.


async def test_local_addresses_are_announced_with_the_port(endpoint):
    (candidate,) = endpoint.candidates()
    assert (candidate.address, candidate.port) == ("127.0.0.1", endpoint.port)


async def test_public_addresses_are_announced_instead(clock):
    async with TransportEndpoint(
        0, clock, public_ips=["198.51.100.7", "2001:db8::7"], local_addresses=lambda: LOOPBACK
    ) as endpoint:
        announced = endpoint.candidates()
        assert [c.address for c in announced] == ["198.51.100.7", "2001:db8::7"]
        assert {c.port for c in announced} == {endpoint.port}


async def test_a_mapped_port_is_announced_and_the_real_one_used(clock, udp):
    async with TransportEndpoint(
        0, clock, public_port=40_000, local_addresses=lambda: LOOPBACK
    ) as endpoint:
        (candidate,) = endpoint.candidates()
        assert (candidate.address, candidate.port) == ("127.0.0.1", 40_000)
        assert endpoint.port != 40_000
        peer, _ = opened(endpoint)
        udp.sendto(check(peer), ("127.0.0.1", endpoint.port))
        await asyncio.sleep(0.01)
        assert peer.ice.selected == Path(0, udp.getsockname())


async def test_addresses_come_and_go(clock, caplog):
    local = ["127.0.0.1"]
    async with TransportEndpoint(0, clock, local_addresses=lambda: local) as endpoint:
        local = ["127.0.0.2", "127.0.0.1", "203.0.113.1"]
        assert [c.address for c in endpoint.candidates()] == ["127.0.0.1"]
        clock.now += INTERFACES_S
        # What cannot be bound is not announced.
        assert [c.address for c in endpoint.candidates()] == ["127.0.0.2", "127.0.0.1"]
        local = ["127.0.0.2"]
        clock.now += INTERFACES_S
        assert [c.address for c in endpoint.candidates()] == ["127.0.0.2"]
        assert isinstance(endpoint.gso, bool)
    assert "203.0.113.1" in caplog.text
