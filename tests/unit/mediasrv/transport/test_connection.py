"""Whole connections on loopback, with aiortc's RTCPeerConnection as the client."""

import asyncio
import gc
import socket
import weakref
from contextlib import suppress

import pytest

from mediasrv.negotiation import negotiate_viewer
from mediasrv.relay.rtcp import write_pli, write_receiver_report
from mediasrv.transport.aiortc_seam import DtlsServer
from mediasrv.transport.answer import ServerIdentity, write_answer
from mediasrv.transport.endpoint import TransportEndpoint
from mediasrv.transport.ice import IceLiteAgent, Path
from mediasrv.transport.offer import parse_offer
from mediasrv.transport.peer import PeerState
from tests.hostile import short_id
from tests.loopback import LoopbackClient
from tests.node_stage import Clock
from tests.unit.mediasrv.transport.peers import (
    Handler,
    check,
    connect,
    connected,
    greeting,
    send_video,
    simple_offer,
)

RTCP = write_receiver_report(1, []) + write_pli(1, 2)
HELLO = b"\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20\x01" + bytes(31)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def endpoint(clock):
    async with TransportEndpoint(0, clock, local_addresses=lambda: ["127.0.0.1"]) as opened:
        yield opened


@pytest.fixture
async def live(endpoint):
    """A connection that is up."""
    connection = await connected(endpoint)
    yield connection
    await connection.close()


@pytest.fixture
def stranger():
    """Somebody else's socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        yield udp


# Connecting.


@pytest.mark.parametrize("sends", [True, False])
@pytest.mark.parametrize("kinds", [("video",), ("audio", "video"), ("audio",)])
async def test_a_client_connects(endpoint, kinds, sends):
    connection = await connected(endpoint, *kinds, sends=sends)
    assert connection.peer.state is PeerState.CONNECTED
    assert connection.peer.overhead_bytes == 16
    assert connection.handler.told == ["connected"]
    await connection.client.close()
    await connection.handler.until("closed")
    assert connection.handler.reason == "closed by the peer"
    assert endpoint.peers == []


@pytest.fixture
def no_collector():
    """What is freed is freed because nobody refers to it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("by_peer", [True, False])
@pytest.mark.parametrize("is_frugal", [True, False])
async def test_what_has_ended_is_freed_without_the_collector(endpoint, is_frugal, by_peer):
    connection = await connected(endpoint, sends=not is_frugal, is_frugal=is_frugal)
    if is_frugal:
        await connection.client.send(RTCP)
        await connection.handler.until("rtcp")
        assert connection.peer._dtls.is_retired
    freed = [asyncio.Event(), asyncio.Event()]
    for part, event in zip((connection.peer, connection.peer._dtls), freed, strict=True):
        weakref.finalize(part, event.set)
    del part
    if by_peer and not is_frugal:
        await connection.client.close()
        await connection.handler.until("closed")
    else:
        connection.peer.close("the test says so")
    del connection.peer
    async with asyncio.timeout(10):
        for event in freed:
            await event.wait()
    await connection.client.close()


async def test_packets_and_reports_go_both_ways(live):
    for _ in range(3):
        await live.media_flows()
    await live.client.send(RTCP)
    await live.handler.until("rtcp")
    assert live.handler.reports == [RTCP]
    live.peer.send_rtcp(RTCP)
    await live.client.until(lambda: bool(live.client.reports))
    assert live.client.reports == [RTCP]
    assert live.peer.counters.packets_received == 3
    assert live.peer.counters.packets_sent == 3
    assert live.peer.counters.sends_failed == 0


async def test_packets_keep_their_header_in_both_directions(live):
    packet = live.client.packet("video", 77, b"\x10payload", timestamp=123456, marker=True)
    await live.client.send(packet)
    await live.handler.until("rtp")
    assert live.handler.packets == [packet]
    assert send_video(live, [b"one", b"two"])
    one, two = await live.client.receive("video", 2)
    assert (one.payload, two.payload, one.ssrc, two.sequence) == (b"one", b"two", 7, 1)


@pytest.mark.parametrize(
    "addresses", [["::1"], ["::1", "127.0.0.1"], ["127.0.0.1", "::1"]], ids=" ".join
)
async def test_ipv6_and_ipv4_share_the_port(clock, addresses):
    async with TransportEndpoint(0, clock, local_addresses=lambda: addresses) as endpoint:
        connection = await connected(endpoint)
        await connection.media_flows()
        selected = connection.peer.ice.selected
        assert selected is not None
        if addresses == ["::1"]:
            assert ":" in selected.address[0]
        await connection.close()


async def test_many_peers_share_the_port(endpoint):
    connections = [await connected(endpoint) for _ in range(4)]
    for _ in range(2):
        for connection in connections:
            await connection.media_flows()
    for connection in connections:
        await connection.close()


# Failing.


async def test_a_client_with_another_certificate_gets_nothing(endpoint):
    forged = (("sha-256", ":".join(["00"] * 32)),)
    connection = await connect(endpoint, fingerprints=forged)
    await connection.handler.until("closed")
    assert connection.handler.told == ["closed"]
    assert connection.handler.reason == "the DTLS handshake failed"
    assert not send_video(connection, [b"secret"])
    connection.peer.send_rtcp(RTCP)
    assert connection.peer.counters.packets_sent == 0
    assert endpoint.peers == []
    await connection.close()


async def test_a_client_that_the_server_closes_is_told(live):
    live.peer.close("enough")
    assert live.handler.reason == "enough"
    await live.client.ended()
    live.peer.close("again")
    assert live.handler.told == ["connected", "closed"]
    assert not send_video(live, [b"late"])


@pytest.fixture
async def frugal(endpoint):
    """A connection that is up and has given up its DTLS connection."""
    connection = await connected(endpoint, is_frugal=True)
    assert not connection.peer._dtls.is_retired
    await connection.client.send(RTCP)
    await connection.handler.until("rtcp")
    assert connection.peer._dtls.is_retired
    yield connection
    await connection.close()


async def test_a_frugal_peer_is_sent_packets_and_told_of_the_end(frugal):
    await frugal.media_flows()
    frugal.peer.close("enough")
    assert frugal.handler.reason == "enough"
    await frugal.client.ended()


async def test_the_silence_of_a_frugal_client_is_believed_sooner_after_its_goodbye(
    endpoint, frugal, monkeypatch
):
    peer, doubted = frugal.peer, asyncio.Event()
    doubt = peer.ice.doubt
    monkeypatch.setattr(IceLiteAgent, "doubt", lambda agent: (doubt(), doubted.set()))
    await frugal.client.close()
    async with asyncio.timeout(5):
        await doubted.wait()
    endpoint.expire(peer.ice._last_check + 12)
    assert not peer.is_closed
    endpoint.expire(peer.ice._last_check + 13)
    assert frugal.handler.reason == "no sign of life from the peer"


async def test_a_late_handshake_record_casts_no_doubt(endpoint, frugal):
    peer = frugal.peer
    endpoint._receive(HELLO, peer.ice.selected)
    assert not peer.ice.consent_expired(peer.ice._last_check + 29)


async def test_clients_are_told_when_the_server_shuts_down(clock):
    async with TransportEndpoint(0, clock, local_addresses=lambda: ["127.0.0.1"]) as endpoint:
        connection = await connected(endpoint)
    assert connection.handler.reason == "server shutdown"
    await connection.client.ended()
    await connection.client.close()


async def test_a_silent_client_is_closed_after_30_s(endpoint, live, clock):
    checked_at = live.peer.ice._last_check
    endpoint.expire(checked_at + 30)
    assert live.handler.told == ["connected"]
    endpoint.expire(checked_at + 30.1)
    assert live.handler.reason == "no sign of life from the peer"
    assert endpoint.counters.sessions_timed_out == 1
    await live.client.ended()


async def test_a_connected_client_is_not_bound_by_the_time_to_connect(endpoint, live, clock):
    clock.now += 29
    endpoint.expire(clock.now)
    assert live.handler.told == ["connected"]


async def test_a_check_keeps_a_session(endpoint, live, clock):
    clock.now += 29
    selected = live.peer.ice.selected
    live.peer.ice.remote_fragment = ""
    endpoint._receive(check(live.peer), selected)
    clock.now += 29
    endpoint.expire(clock.now)
    assert live.handler.told == ["connected"]


async def test_closing_during_the_handshake_is_quiet(endpoint, monkeypatch):
    begun = asyncio.Event()

    async def handshake(self: DtlsServer, fingerprints: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(DtlsServer, "handshake", handshake)
    connection = await connect(endpoint)
    await connection.client.found()
    async with asyncio.timeout(5):
        await begun.wait()
    connection.peer.close("changed my mind")
    await asyncio.sleep(0)
    assert connection.handler.told == ["closed"]
    await connection.close()


async def test_a_handshake_that_ends_after_the_close_connects_nobody(endpoint, monkeypatch):
    # Python 3.11 may swallow the cancellation; the handshake may then even succeed.
    begun = asyncio.Event()
    shake_hands = DtlsServer.handshake

    async def handshake(self: DtlsServer, fingerprints: object) -> object:
        session = await shake_hands(self, fingerprints)  # type: ignore[arg-type]
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return session

    monkeypatch.setattr(DtlsServer, "handshake", handshake)
    connection = await connect(endpoint)
    async with asyncio.timeout(5):
        await begun.wait()
    connection.peer.close("changed my mind")
    await connection.client.ended()
    assert connection.handler.told == ["closed"]
    assert connection.peer.state is PeerState.CLOSED
    assert connection.peer.overhead_bytes == 0
    await connection.close()


async def test_closing_in_the_turn_in_which_a_datagram_arrives_ends_the_handshake(clock):
    # Python 3.11 then swallows the cancellation of the peer's task.
    hello = await greeting()
    async with asyncio.timeout(5):
        async with TransportEndpoint(0, clock, local_addresses=lambda: ["127.0.0.1"]) as endpoint:
            handler, path = Handler(), Path(0, ("127.0.0.1", 5000))
            peer = endpoint.open_peer(simple_offer(), handler)
            endpoint._receive(check(peer), path)
            endpoint._receive(hello, path)
            for _ in range(6):
                await asyncio.sleep(0)
            endpoint._receive(b"\x16" * 20, path)
            await asyncio.sleep(0)
            peer.close("changed my mind")
    assert handler.told == ["closed"]


# Faults of ours end one peer.


@pytest.mark.parametrize("event", ["connected", "rtp", "rtcp"])
async def test_a_fault_in_handling_one_peer_closes_that_peer_alone(endpoint, live, event, caplog):
    failing = await connect(endpoint, handler=Handler(failing=[event]))
    await failing.client.connected()
    if event == "rtp":
        await failing.client.send(failing.client.packet("video", 1, b"x"))
    if event == "rtcp":
        await failing.client.send(RTCP)
    await failing.handler.until("closed")
    assert failing.handler.reason == "internal error"
    assert f"a fault of the handler in {event}" in caplog.text
    await failing.client.ended()
    await live.media_flows()
    assert live.handler.reason is None
    await failing.close()


async def test_a_fault_in_the_handler_of_the_end_is_logged_and_over(endpoint, live, caplog):
    failing = await connect(endpoint, handler=Handler(failing=["closed"]))
    await failing.client.connected()
    await failing.client.close()
    await failing.handler.until("closed")
    assert "a fault of the handler in closed" in caplog.text
    await live.media_flows()


async def test_a_failed_handshake_is_a_negotiation_error_in_the_log_of_nobody(endpoint, caplog):
    connection = await connect(endpoint, fingerprints=(("sha-256", "00"),))
    await connection.handler.until("closed")
    assert caplog.text == ""
    await connection.close()


# Sending.


async def test_what_is_not_connected_cannot_be_sent(endpoint):
    peer = endpoint.open_peer(simple_offer(), Handler())
    assert peer.overhead_bytes == 0
    assert not peer.send_packets([(0, 20)], [(0, 36, 36)])
    peer.send_rtcp(RTCP)
    assert peer.counters.sends_failed == 0


async def test_packets_that_cannot_be_protected_are_not_sent(live):
    assert not live.peer.send_packets([(0, 3)], [(0, 19, 19)])
    assert not live.peer.send_packets([(2**20, 100)], [(0, 116, 116)])
    assert live.peer.counters.sends_failed == 2
    assert live.peer.counters.packets_sent == 0
    await live.media_flows()


async def test_a_run_that_the_kernel_refuses_ends_the_batch(live, monkeypatch):
    monkeypatch.setattr(live.peer._port, "send_run", lambda *_: False)
    assert not send_video(live, [b"one", b"two"])
    assert live.peer.counters.sends_failed == 1
    assert live.peer.counters.packets_sent == 0


async def test_reports_that_cannot_be_sent_are_counted(live, monkeypatch):
    live.peer.send_rtcp(RTCP * 200)
    assert live.peer.counters.sends_failed == 1
    monkeypatch.setattr(live.peer._port, "send", lambda *_: False)
    live.peer.send_rtcp(RTCP)
    assert live.peer.counters.sends_failed == 2


# Strangers (the X numbers are those of the attacks on stock aiortc).


def counted(endpoint: TransportEndpoint, *names: str) -> list[int]:
    return [getattr(endpoint.counters, name) for name in names]


async def wait_for(endpoint: TransportEndpoint, name: str, count: int) -> None:
    async with asyncio.timeout(5):
        while getattr(endpoint.counters, name) < count:  # noqa: ASYNC110 (a counter has no event)
            await asyncio.sleep(0.001)


async def test_empty_datagrams_end_no_connection(endpoint, live, stranger):
    stranger.sendto(b"", ("127.0.0.1", endpoint.port))  # X1
    live.client.send_raw(b"")
    await wait_for(endpoint, "refused_datagrams", 2)
    await live.media_flows()


async def test_foreign_hellos_before_the_handshake_do_not_spoil_it(endpoint, stranger):
    client = LoopbackClient("video", sends=False)
    offer = parse_offer(await client.offer())
    session, handler = negotiate_viewer(offer, None), Handler()
    peer = endpoint.open_peer(offer, handler)
    for _ in range(3):  # X2
        stranger.sendto(HELLO, ("127.0.0.1", endpoint.port))
    await wait_for(endpoint, "unknown_path", 3)
    identity = ServerIdentity(
        peer.ice.credentials, endpoint.fingerprint, endpoint.candidates(), session_id=1
    )
    await client.accept(write_answer(offer, session.accepted, identity))
    await handler.until("connected")
    for _ in range(3):
        stranger.sendto(HELLO, ("127.0.0.1", endpoint.port))
    await wait_for(endpoint, "unknown_path", 6)
    assert handler.told == ["connected"]
    await client.close()
    await handler.until("closed")


@pytest.mark.parametrize(
    ("datagram", "counter"),
    [
        (b"\x16" * 100, "unknown_path"),  # X3
        (b"\x80\x60" + bytes(100), "unknown_path"),
        (b"\x80\xc8" + bytes(100), "unknown_path"),
        (b"\x80\x60" + bytes(1600), "refused_datagrams"),
        (b"\x80" * 2048, "refused_datagrams"),
        (bytes(24), "malformed_stun"),
        (bytes.fromhex("000100042112a442") + bytes(12) + bytes.fromhex("00240000"), "x4"),
    ],
    ids=short_id,
)
async def test_strangers_are_counted_and_disturb_nobody(
    endpoint, live, stranger, datagram, counter
):
    # X4, an empty PRIORITY, is a request for no session of ours.
    counter = "unknown_session" if counter == "x4" else counter
    stranger.sendto(datagram, ("127.0.0.1", endpoint.port))
    await wait_for(endpoint, counter, 1)
    await live.media_flows()
    assert live.peer.counters.unprotect_failed == 0
    assert live.handler.reason is None


async def test_a_stranger_who_knows_the_session_but_not_its_secret_proves_nothing(
    endpoint, live, stranger
):
    live.peer.ice.remote_fragment = ""
    stranger.sendto(check(live.peer, password="guess"), ("127.0.0.1", endpoint.port))
    await wait_for(endpoint, "badly_signed", 1)
    assert len(live.peer.ice.proven_paths) >= 1
    assert stranger.getsockname() not in [path.address for path in live.peer.ice.proven_paths]
    await live.media_flows()


async def test_a_peer_that_sends_rubbish_with_its_own_address_harms_only_itself(endpoint, live):
    for datagram in (HELLO, b"\x80\x60" + bytes(100), b"\x80\xc8" + bytes(100), b"\x15" * 30):
        live.client.send_raw(datagram)
    await live.media_flows()
    assert live.peer.counters.unprotect_failed == 2
    assert live.handler.reason is None
