"""The fuzz corpus: malformed STUN, DTLS, RTP, RTCP, SDP and websocket text, at a room that is live.

At least 2,000 of each, the same ones in every run. Whatever arrives, and whoever sends it, the room
goes on: its host and its viewer stay connected, and payloads arrive byte for byte.
"""

import asyncio
import json
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pylibsrtp
import pytest

from mediasrv.relay.rtp import RtpPacket, write_rtp
from mediasrv.transport.aiortc_seam import SRTP_STREAMS_MAX
from mediasrv.transport.peer import PeerState, PeerTransport
from tests.hostile import mutate_bytes, mutate_json, mutate_sdp, mutations
from tests.hostile_corpus import COUNT, KINDS, RTCP, RTP_CLASS, corpus, media
from tests.live_room import BATCH, KEYFRAME, LiveRoom, live_room, publishing
from tests.loopback import LoopbackClient
from tests.node_stage import HOST_OFFER, VIEWER_OFFER, Caller
from tests.sdp_offers import HOSTS, VIEWERS, offer_texts


class Patient:
    """A clock for one client's messages, on which the next one never comes too soon."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


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


def behind_header(rng: Random, valid: bytes) -> bytes:
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
        {"type": "set_filter", "enabled": True, "consent": True, "params": {"smooth": 5}},
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
