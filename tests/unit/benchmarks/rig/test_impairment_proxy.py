"""The proxy between real sockets: who is who, which lane is whose, what may change meanwhile."""

import socket
import time

import pytest

from benchmarks.rig import impairment_proxy
from benchmarks.rig.impairment import Conditions
from benchmarks.rig.impairment_proxy import running_proxy
from mediasrv.transport import stun

LOSE_ALL = Conditions(loss=1.0)
WAIT_S = 5.0
QUIET_S = 0.2


@pytest.fixture
def udp():
    """Makes sockets of somebody on this machine."""
    made = []

    def make(wait_s=WAIT_S):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.append(one)
        one.bind(("127.0.0.1", 0))
        one.settimeout(wait_s)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def server(udp):
    return udp()


@pytest.fixture
def proxy(server):
    with running_proxy(server.getsockname()[1]) as running:
        yield running


def check(username):
    """A connectivity check that names its session, unsigned."""
    value = username.encode()
    attribute = stun.USERNAME.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    attribute += bytes(-len(value) % 4)
    head = stun.BINDING_REQUEST.to_bytes(2, "big") + len(attribute).to_bytes(2, "big")
    return head + stun.MAGIC_COOKIE.to_bytes(4, "big") + bytes(12) + attribute


def arrive(client, server, proxy, username="server:client"):
    """Let a client's check pass; returns the address under which the server knows it."""
    client.sendto(check(username), ("127.0.0.1", proxy.port))
    datagram, known_as = server.recvfrom(2000)
    assert datagram == check(username)
    return known_as


def received(one):
    """Everything that comes until it is quiet."""
    one.settimeout(QUIET_S)
    found = []
    while True:
        try:
            found.append(one.recv(2000))
        except TimeoutError:
            return found


def test_datagrams_pass_both_ways_and_the_server_sees_a_path_per_address(udp, server, proxy):
    first, second = udp(), udp()
    paths = [arrive(one, server, proxy, name) for one, name in ((first, "s:1"), (second, "s:2"))]
    assert len(set(paths)) == 2
    server.sendto(b"to the second", paths[1])
    server.sendto(b"to the first", paths[0])
    assert (first.recv(100), second.recv(100)) == (b"to the first", b"to the second")
    first.sendto(b"media", ("127.0.0.1", proxy.port))
    assert server.recvfrom(100) == (b"media", paths[0])


def test_an_address_without_a_check_is_not_carried(udp, server, proxy):
    stranger = udp()
    stranger.sendto(b"\x80media", ("127.0.0.1", proxy.port))
    assert received(server) == []
    assert proxy.refused == 1


def test_a_lane_holds_who_comes_after_it_and_all_of_their_addresses(udp, server, proxy):
    host = udp()
    host_path = arrive(host, server, proxy, "s:host")
    lane = proxy.next_lane("viewers", down=LOSE_ALL)
    viewer = udp()
    viewer_path = arrive(viewer, server, proxy, "s:viewer")
    clean = proxy.next_lane("later")
    other = udp()
    other_path = arrive(other, server, proxy, "s:viewer")
    for path in (host_path, viewer_path, other_path):
        server.sendto(b"media", path)
    assert [received(one) for one in (host, viewer, other)] == [[b"media"], [], []]
    assert lane.counters()["down"]["lost"] == 2
    assert clean.counters()["up"]["sent"] == 0
    assert proxy.lane.counters()["down"] == proxy.lane.counters()["down"] | {"arrived": 1}


def test_conditions_change_while_it_runs(udp, server, proxy):
    client = udp()
    path = arrive(client, server, proxy)
    proxy.lane.set(down=LOSE_ALL)
    server.sendto(b"lost", path)
    assert received(client) == []
    proxy.lane.set(up=LOSE_ALL, down=Conditions())
    server.sendto(b"found", path)
    client.sendto(b"lost", ("127.0.0.1", proxy.port))
    assert received(client) == [b"found"]
    assert received(server) == []


def test_a_delay_is_taken_both_ways(udp, server, proxy):
    client = udp()
    path = arrive(client, server, proxy)
    proxy.lane.set(up=Conditions(delay_s=0.1), down=Conditions(delay_s=0.2))
    began = time.monotonic()
    client.sendto(b"ping", ("127.0.0.1", proxy.port))
    assert server.recv(100) == b"ping"
    assert time.monotonic() - began >= 0.1
    server.sendto(b"pong", path)
    assert client.recv(100) == b"pong"
    assert time.monotonic() - began >= 0.3


def test_a_blackout_ends_and_holds_for_newcomers_too(udp, server, proxy):
    client, late = udp(), udp()
    arrive(client, server, proxy)
    proxy.lane.black_out(0.6)
    client.sendto(b"dark", ("127.0.0.1", proxy.port))
    late.sendto(check("s:late"), ("127.0.0.1", proxy.port))
    assert received(server) == []
    time.sleep(0.5)
    client.sendto(b"light", ("127.0.0.1", proxy.port))
    assert received(server) == [b"light"]


def test_a_burst_of_a_keyframe_passes_without_a_loss(udp, server, proxy):
    client = udp()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    arrive(client, server, proxy)
    for i in range(100):
        client.sendto(i.to_bytes(1200, "big"), ("127.0.0.1", proxy.port))
    assert [int.from_bytes(d, "big") for d in received(server)] == list(range(100))


def test_addresses_are_bounded(udp, server, proxy, monkeypatch):
    monkeypatch.setattr(impairment_proxy, "FLOWS_MAX", 1)
    first, second = udp(), udp()
    arrive(first, server, proxy)
    second.sendto(check("s:second"), ("127.0.0.1", proxy.port))
    assert received(server) == []
    assert proxy.refused == 1


def test_a_server_that_has_gone_does_not_end_the_proxy(udp, server, proxy):
    client = udp()
    arrive(client, server, proxy)
    address = server.getsockname()
    server.close()
    for _ in range(3):
        client.sendto(b"anybody?", ("127.0.0.1", proxy.port))
        time.sleep(0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)
        again.settimeout(WAIT_S)
        client.sendto(b"back?", ("127.0.0.1", proxy.port))
        assert again.recv(100) == b"back?"
