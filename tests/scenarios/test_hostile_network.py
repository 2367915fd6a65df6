"""The fuzz corpus: malformed STUN, DTLS, RTP, RTCP, SDP and websocket text, at a room that is live.

At least 2,000 of each, the same ones in every run. Whatever arrives, and whoever sends it, the room
goes on: its host and its viewer stay connected, and payloads arrive byte for byte.
"""

import asyncio
import json
import logging
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pylibsrtp
import pytest
from aioice import stun

from mediasrv.node import Node, new_peer_id, new_resume_token
from mediasrv.relay import rtcp
from mediasrv.relay.rtp import RtpPacket, write_rtp
from mediasrv.rooms import Directory
from mediasrv.transport.aiortc_seam import SRTP_STREAMS_MAX
from mediasrv.transport.endpoint import TransportEndpoint
from mediasrv.transport.ice import Path
from mediasrv.transport.peer import PeerState, PeerTransport
from tests.hostile import (
    keeping_class,
    mutate_bytes,
    mutate_json,
    mutate_sdp,
    mutate_stun,
    mutations,
    sign_stun,
)
from tests.loopback import SSRCS, LoopbackClient
from tests.node_stage import HOST_OFFER, OFF, VIEWER_OFFER, Caller, FakeStreams
from tests.sdp_offers import HOSTS, VIEWERS, offer_texts

COUNT = 2000
# Datagrams on their way at once: few enough for the smallest socket buffer and for DTLS's queue.
BATCH = 25
KEYFRAME = b"\x10\x00\x00\x00\x9d\x01\x2a\x00\x05\xd0\x02"
DELTA = b"\x10\x01\x00"


class Patient:
    """A clock for one client's messages, on which the next one never comes too soon."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


class CountingEndpoint(TransportEndpoint):
    """An endpoint that says how many datagrams have come."""

    arrived = 0

    def _receive(self, datagram: bytes, path: Path) -> None:
        super()._receive(datagram, path)
        self.arrived += 1


@dataclass
class LiveRoom:
    """A room with a host and a viewer, both connected by real sockets."""

    node: Node
    endpoint: CountingEndpoint
    host: LoopbackClient
    viewer: LoopbackClient
    host_peer: PeerTransport
    viewer_peer: PeerTransport
    sequence: int = 0

    async def carries_packets(self) -> None:
        """Send pictures and sound from the host, and see them at the viewer as they were."""
        await self._carries("video", [KEYFRAME, DELTA, DELTA])
        await self._carries("audio", [b"", b""])

    async def _carries(self, kind: str, heads: list[bytes]) -> None:
        payloads = [
            head + f"{kind} {self.sequence} {i}".encode() * 60 for i, head in enumerate(heads)
        ]
        for payload in payloads:
            self.sequence += 1
            await self.host.send(
                self.host.packet(kind, self.sequence, payload, timestamp=3000 * self.sequence)
            )
        received = self.viewer.received[self.viewer.payload_types[kind]]
        # What an attack has left on its way may come before.
        await self.viewer.until(lambda: bool(received) and received[-1].payload == payloads[-1])
        assert [packet.payload for packet in received[-len(payloads) :]] == payloads

    async def is_well(self) -> None:
        """Check that both connections are the ones that there were, and carry packets."""
        assert self.host_peer.state is PeerState.CONNECTED
        assert self.viewer_peer.state is PeerState.CONNECTED
        assert self.host.connection.connectionState == "connected"
        assert self.viewer.connection.connectionState == "connected"
        await self.carries_packets()

    async def settle(self, arrived: int) -> None:
        """Wait until so many datagrams have come, and all tasks have had their turn."""
        async with asyncio.timeout(10):
            while self.endpoint.arrived < arrived:  # noqa: ASYNC110 (turns of the loop)
                await asyncio.sleep(0)
        # A client takes one datagram in a turn of the loop.
        for _ in range(BATCH):
            await asyncio.sleep(0)

    async def attack(self, datagrams: Iterator[bytes], send: Callable[[bytes], None]) -> int:
        """Send datagrams, as fast as they are taken; returns how many."""
        count = 0
        expected = self.endpoint.arrived
        for datagram in datagrams:
            send(datagram)
            count += 1
            expected += 1
            if count % BATCH == 0:
                await self.settle(expected)
        await self.settle(expected)
        return count


Joined = tuple[Caller, LoopbackClient, PeerTransport]


async def publishing(node: Node, endpoint: TransportEndpoint, room: str) -> Joined:
    caller = await Caller(node, time.monotonic).open()
    await caller.ask("join", version=1, room=room, role="host")
    client = LoopbackClient("audio", "video", sends=True)
    (published,) = await caller.ask("publish", sdp=await client.offer())
    await client.accept(published["sdp"])
    await client.connected()
    return caller, client, endpoint.peers[-1]


async def watching(node: Node, endpoint: TransportEndpoint, room: str) -> Joined:
    caller = await Caller(node, time.monotonic).open()
    await caller.ask("join", version=1, room=room, role="viewer")
    client = LoopbackClient("audio", "video", sends=False)
    subscribed = (await caller.ask("subscribe", sdp=await client.offer()))[-1]
    await client.accept(subscribed["sdp"])
    await client.connected()
    return caller, client, endpoint.peers[-1]


@asynccontextmanager
async def live_room() -> AsyncIterator[LiveRoom]:
    directory = Directory(new_id=new_peer_id, new_token=new_resume_token, initial_filter=OFF)
    endpoint = CountingEndpoint(0, time.monotonic, local_addresses=lambda: ["127.0.0.1"])
    async with (
        endpoint,
        Node(
            endpoint,
            FakeStreams(),
            clock=time.monotonic,
            initial_filter=OFF,
            directory=directory,
            host_arrived=lambda: None,
        ) as node,
    ):
        _, host, host_peer = await publishing(node, endpoint, "live")
        _, viewer, viewer_peer = await watching(node, endpoint, "live")
        room = LiveRoom(node, endpoint, host, viewer, host_peer, viewer_peer)
        await room.carries_packets()
        yield room
        await host.close()
        await viewer.close()


@pytest.fixture
async def room(caplog):
    """A live room; nothing that is sent at it may uncover a fault of ours."""
    with caplog.at_level(logging.WARNING, "mediasrv"):
        async with live_room() as made:
            yield made
    assert [record for record in caplog.records if record.name.startswith("mediasrv")] == []


@pytest.fixture
def stranger():
    """Sends to the room's port from an address that has proven nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))

        def send_to(room: LiveRoom) -> Callable[[bytes], None]:
            return lambda datagram: udp.sendto(datagram, ("127.0.0.1", room.endpoint.port))

        yield send_to


# What is mutated.


def checks(peer: PeerTransport) -> list[bytes]:
    """Unsigned connectivity checks for a session."""
    found = []
    for nominates in (True, False):
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = (
            f"{peer.ice.credentials.fragment}:{peer.ice.remote_fragment}"
        )
        message.attributes["PRIORITY"] = 1853824767
        message.attributes["ICE-CONTROLLING"] = 7
        if nominates:
            message.attributes["USE-CANDIDATE"] = None
        found.append(bytes(message))
    return found


def malformed_checks(peer: PeerTransport, password: str) -> Iterator[bytes]:
    """Broken after they were signed, and broken but signed."""
    key, valid = password.encode(), checks(peer)
    yield from mutations(COUNT // 2, 10, [sign_stun(check, key) for check in valid], as_stun)
    for mutant in mutations(COUNT // 2, 11, valid, as_stun):
        yield sign_stun(mutant, key) if len(mutant) >= 20 else mutant


def dtls_record(kind: int, epoch: int, body: bytes, *, version: int = 0xFEFD) -> bytes:
    return struct.pack("!BHHHIH", kind, version, epoch, 0, 7, len(body)) + body


# RFC 6347 sections 4.2.2 and 4.3.1: a ClientHello without extensions, by hand.
HELLO_BODY = b"\xfe\xfd" + bytes(32) + b"\0\0\0\x04\xc0\x2b\xc0\x09\x01\0"
HELLO = b"\x01" + len(HELLO_BODY).to_bytes(3, "big") + bytes(5)
HELLO += len(HELLO_BODY).to_bytes(3, "big") + HELLO_BODY
DTLS = [
    dtls_record(22, 0, HELLO, version=0xFEFF),
    dtls_record(22, 1, HELLO),
    dtls_record(20, 0, b"\x01"),
    dtls_record(21, 0, b"\x01\x00"),  # close_notify, in plain text
    dtls_record(21, 0, b"\x02\x28"),  # a fatal alert, in plain text
    dtls_record(21, 1, bytes(26)),
    dtls_record(23, 1, bytes(200)),
    dtls_record(
        22, 0, b"\x14" + (12).to_bytes(3, "big") + bytes(5) + (12).to_bytes(3, "big") + bytes(12)
    ),
    dtls_record(25, 0, bytes(40)),
]
RTCP = [
    rtcp.write_receiver_report(1, []) + rtcp.write_pli(1, 2),
    rtcp.write_sender_report(rtcp.SenderReport(SSRCS["video"], 1 << 60, 1, 2, 3))
    + rtcp.write_cname(SSRCS["video"], "cname"),
    rtcp.write_receiver_report(1, [rtcp.ReportBlock(2, 3, 4, 5, 6, 7, 8)])
    + rtcp.write_nack(1, 2, range(1, 60, 3)),
    rtcp.write_receiver_report(1, []) + rtcp.write_remb(1, 10**6, [2, 3]),
    rtcp.write_receiver_report(1, []) + b"\x84\xce\x00\x04" + bytes(16),  # FIR
    rtcp.write_receiver_report(1, []) + b"\x8f\xcd\x00\x04" + bytes(16),  # TWCC
    rtcp.write_receiver_report(1, []) + b"\x81\xcb\x00\x01" + bytes(4),  # BYE
]


def media(number: int) -> list[bytes]:
    """Packets with all that a header may have."""

    def packet(payload: bytes, **extensions: bytes) -> bytes:
        elements = {int(name[1:]): value for name, value in extensions.items()}
        return write_rtp(RtpPacket(number, True, 1, 3000, SSRCS["video"], elements, payload))

    plain = packet(KEYFRAME + bytes(300))
    return [
        plain,
        packet(DELTA + bytes(50), _1=b"\x7f", _2=b"abc", _14=bytes(16)),
        # VP8 with every optional field (RFC 7741 section 4.2).
        packet(b"\x90\xf0\x81\x23\x45\xe7" + b"\x00" + bytes(40)),
        # Contributing sources, padding, and a two-byte-header extension.
        b"\xa3" + plain[1:12] + bytes(12) + plain[12:-1] + b"\x07",
        b"\x90" + plain[1:12] + b"\x10\x00\x00\x02\x01\x03abc\x00\x00\x00" + plain[12:],
        plain[:12],
    ]


RTP_CLASS = range(128, 192)
as_stun = keeping_class(mutate_stun, range(4))
as_dtls = keeping_class(mutate_bytes, range(20, 64))


def as_rtp(rng, valid: bytes) -> bytes:
    """Mutate within the class: RTP version 2, and no packet type of RTCP."""
    mutant = keeping_class(mutate_bytes, RTP_CLASS)(rng, valid)
    if len(mutant) > 1 and 192 <= mutant[1] <= 223:
        return mutant[:1] + bytes([mutant[1] & 0x3F]) + mutant[2:]
    return mutant


def as_rtcp(rng, valid: bytes) -> bytes:
    """Mutate within the class: RTP version 2, and a packet type of RTCP."""
    mutant = keeping_class(mutate_bytes, RTP_CLASS)(rng, valid)
    if len(mutant) > 1 and not 192 <= mutant[1] <= 223:
        return mutant[:1] + bytes([192 + mutant[1] % 32]) + mutant[2:]
    return mutant


def corpus(kind: str, client: LoopbackClient, peer: PeerTransport, password: str):
    """The malformed datagrams of one class, for one connection."""
    srtp = client.transport._tx_srtp
    number = next(iter(client.payload_types.values()))
    if kind == "stun":
        return malformed_checks(peer, password)
    if kind == "dtls":
        return mutations(COUNT, 12, DTLS, as_dtls)
    if kind == "rtp":
        packets = [srtp.protect(packet) for packet in media(number)]
        return mutations(COUNT, 13, packets, as_rtp)
    return mutations(COUNT, 14, [srtp.protect_rtcp(report) for report in RTCP], as_rtcp)


KINDS = ("stun", "dtls", "rtp", "rtcp")


# Datagrams.


@pytest.mark.parametrize("kind", KINDS)
async def test_malformed_datagrams_of_a_stranger_disturb_nobody(room, stranger, kind):
    sent = await room.attack(
        corpus(kind, room.host, room.host_peer, "a guess of the password"), stranger(room)
    )
    assert sent == COUNT
    counters = room.endpoint.counters
    # Each was dropped before it came near a peer.
    dropped = counters.refused_datagrams + counters.malformed_stun + counters.unknown_session
    dropped += counters.badly_signed + counters.unknown_path
    assert dropped == COUNT
    for peer in (room.host_peer, room.viewer_peer):
        assert peer.counters.unprotect_failed == peer.counters.dtls_dropped == 0
    await room.is_well()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("who", ["host", "viewer"])
async def test_malformed_datagrams_of_a_peer_do_not_even_end_its_own_connection(room, who, kind):
    client: LoopbackClient = getattr(room, who)
    peer: PeerTransport = getattr(room, f"{who}_peer")
    datagrams = corpus(kind, client, peer, peer.ice.credentials.password)
    assert await room.attack(datagrams, client.send_raw) == COUNT
    counters = room.endpoint.counters
    # They reached what they were made for.
    if kind == "stun":
        assert counters.checks_answered > 100
        assert counters.malformed_stun > 500
        assert counters.badly_signed > 10
    elif kind == "dtls":
        assert counters.refused_datagrams < COUNT / 4
        assert peer.counters.dtls_dropped == 0
    else:
        assert peer.counters.unprotect_failed > 1000
    await room.is_well()


def behind_header(rng, valid: bytes) -> bytes:
    """Mutate a packet of a stream that goes on: not its sequence number, timestamp and SSRC."""
    first = rng.choice(RTP_CLASS) if rng.random() < 0.5 else valid[0]
    return bytes([first]) + valid[1:12] + mutate_bytes(rng, valid[12:])


async def send_protected(room: LiveRoom, client: LoopbackClient, packets: Iterator[bytes]) -> int:
    """Send malformed packets as the peer's own SRTP session protects them; returns how many."""
    srtp = client.transport._tx_srtp

    def protected() -> Iterator[bytes]:
        for packet in packets:
            is_rtcp = len(packet) > 1 and 192 <= packet[1] <= 223
            try:
                yield srtp.protect_rtcp(packet) if is_rtcp else srtp.protect(packet)
            except (pylibsrtp.Error, ValueError):
                continue  # not even the peer's own library takes it

    return await room.attack(protected(), client.send_raw)


def numbered(room: LiveRoom, packets: Iterator[bytes]) -> Iterator[bytes]:
    """Give packets the next numbers of their stream; one in ten remains a replay."""
    for i, packet in enumerate(packets):
        if i % 10:
            room.sequence += 1
            yield packet[:2] + struct.pack("!HI", room.sequence, 3000 * room.sequence) + packet[8:]
        else:
            yield packet


@pytest.mark.parametrize("who", ["host", "viewer"])
async def test_malformed_packets_inside_of_srtp_end_no_connection(room, who):
    client: LoopbackClient = getattr(room, who)
    peer: PeerTransport = getattr(room, f"{who}_peer")
    packets = mutations(4 * COUNT, 15, media(client.payload_types["video"]), behind_header)
    before = peer.counters.packets_received
    assert await send_protected(room, client, numbered(room, packets)) >= COUNT
    # They were decrypted and went to the relay.
    assert peer.counters.packets_received - before > COUNT
    await room.is_well()


async def test_a_host_that_sends_streams_without_end_harms_only_itself(room):
    _, client, peer = await publishing(room.node, room.endpoint, "other")
    number = client.payload_types["video"]

    def streams() -> Iterator[bytes]:
        for ssrc in range(1, COUNT + 1):
            yield write_rtp(RtpPacket(number, True, 1, 3000, ssrc, {}, KEYFRAME))

    assert await send_protected(room, client, streams()) == COUNT
    assert peer.counters.packets_received == SRTP_STREAMS_MAX
    assert peer.counters.unprotect_failed == COUNT - SRTP_STREAMS_MAX
    assert peer.state is PeerState.CONNECTED
    await room.is_well()
    await client.close()


@pytest.mark.parametrize("who", ["host", "viewer"])
async def test_malformed_reports_inside_of_srtcp_end_no_connection(room, who):
    client: LoopbackClient = getattr(room, who)
    reports = mutations(
        COUNT + 500, 16, RTCP, lambda rng, valid: valid[:8] + mutate_bytes(rng, valid[8:])
    )
    assert await send_protected(room, client, reports) >= COUNT
    await room.is_well()


# Text.


async def test_malformed_offers_end_no_connection(room):
    host = await Caller(room.node, Patient()).open()
    viewer = await Caller(room.node, Patient()).open()
    await host.ask("join", version=1, room="other", role="host")
    await viewer.ask("join", version=1, room="live", role="viewer")
    answers: Counter[str] = Counter()
    offers = mutations(COUNT, 17, offer_texts(HOSTS + VIEWERS), mutate_sdp)
    for i, sdp in enumerate(offers):
        caller, kind = (host, "publish") if i % 2 else (viewer, "subscribe")
        # Half a surrogate pair ends a websocket, not a negotiation: see below.
        for message in await caller.ask(kind, sdp=sdp.replace("\ud800", "?")):
            answers[message.get("code", message["type"])] += 1
        assert caller.close is None
        if i % BATCH == 0:
            await asyncio.sleep(0)
    assert answers["bad_sdp"] > 500
    assert answers["published"] > 100
    assert answers["subscribed"] > 100
    assert set(answers) <= {
        "bad_sdp", "published", "subscribed", "unsupported_codec", "bad_message", "bad_json",
        "too_large", "filter_changed",
    }  # fmt: skip
    await room.is_well()


TEXTS = [
    json.dumps({"id": "1", **fields})
    for fields in (
        {"type": "join", "version": 1, "room": "live", "role": "viewer", "name": "Ada"},
        {"type": "join", "version": 1, "room": "live", "role": "host", "resume": "guess"},
        {"type": "join", "version": 1, "room": "other", "role": "host"},
        {"type": "publish", "sdp": HOST_OFFER},
        {"type": "subscribe", "sdp": VIEWER_OFFER},
        {"type": "set_filter", "enabled": True, "params": {"smooth": 5}},
        {"type": "unpublish"},
        {"type": "unsubscribe"},
        {"type": "leave"},
    )
]


async def test_malformed_messages_end_no_connection_but_their_own(room):
    callers: dict[int, Caller] = {}
    closed: Counter[int] = Counter()
    for i, text in enumerate(mutations(COUNT, 18, TEXTS, mutate_json)):
        caller = callers.get(i % 7)
        if caller is None:
            caller = callers[i % 7] = await Caller(room.node, Patient()).open()
            # Half of them are in a room before they begin.
            if i % 2:
                await caller.say(TEXTS[i % 3])
        await caller.say(text.encode() if i % 97 == 0 else text)
        caller.told()
        if caller.close is not None:
            closed[caller.close.code] += 1
            await caller.drop()
            del callers[i % 7]
        if i % BATCH == 0:
            await asyncio.sleep(0)
    for caller in callers.values():
        await caller.drop()
    # JSON that is none, binary frames, too many errors, and a proper farewell were among them.
    assert {1000, 1003, 1007} <= set(closed)
    await room.is_well()
    assert "live" in [listed.room for listed in room.node.listing() if listed.state == "live"]
