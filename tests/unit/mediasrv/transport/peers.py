"""Peers of an endpoint: who is told what happens, how a client connects, what a check is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

from aioice import stun
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport

from mediasrv.negotiation import HostSession, ViewerSession, negotiate_host, negotiate_viewer
from mediasrv.relay.rtp import RtpPacket, write_rtp
from mediasrv.transport.aiortc_seam import make_certificate
from mediasrv.transport.answer import ServerIdentity, write_answer
from mediasrv.transport.endpoint import TransportEndpoint
from mediasrv.transport.offer import Offer, parse_offer
from mediasrv.transport.peer import PeerTransport
from tests.loopback import LoopbackClient

REMOTE = "theirs"


class Handler:
    """Keeps what it is told; may be made to fail."""

    def __init__(self, *, failing: Sequence[str] = ()) -> None:
        self.failing = failing
        self.told: list[str] = []
        self.packets: list[bytes] = []
        self.reports: list[bytes] = []
        self.reason: str | None = None
        self.changed = asyncio.Event()

    def connected(self) -> None:
        self._note("connected")

    def received_rtp(self, packet: bytes, now: float) -> None:
        self.packets.append(packet)
        self._note("rtp")

    def received_rtcp(self, packet: bytes, now: float) -> None:
        self.reports.append(packet)
        self._note("rtcp")

    def closed(self, reason: str) -> None:
        self.reason = reason
        self._note("closed")

    def _note(self, event: str) -> None:
        self.told.append(event)
        self.changed.set()
        if event in self.failing:
            raise ZeroDivisionError(f"a fault of the handler in {event}")

    async def until(self, *events: str) -> None:
        """Wait until all of these were told."""
        async with asyncio.timeout(10):
            while not set(events) <= set(self.told):
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Connection:
    """A client and the server's end of it."""

    client: LoopbackClient
    handler: Handler
    peer: PeerTransport
    session: HostSession | ViewerSession
    sequence: int = 0
    payloads: list[bytes] = field(default_factory=list)

    async def media_flows(self) -> None:
        """Send packets both ways and see that they arrive as they were."""
        self.sequence += 1
        payload = self.sequence.to_bytes(4, "big") * 100
        before = len(self.handler.packets)
        await self.client.send(self.client.packet("video", self.sequence, payload))
        async with asyncio.timeout(10):
            while len(self.handler.packets) == before:
                self.handler.changed.clear()
                await self.handler.changed.wait()
        assert self.handler.packets[-1].endswith(payload)
        assert send_video(self, [payload])
        self.payloads.append(payload)
        found = await self.client.receive("video", len(self.payloads))
        assert [packet.payload for packet in found] == self.payloads

    async def close(self) -> None:
        await self.client.close()
        self.peer.close("the test is over")


def send_video(connection: Connection, payloads: Sequence[bytes]) -> bool:
    """Send packets of video to the client, in one run per packet."""
    peer, spans, runs, offset = connection.peer, [], [], 0
    number = connection.client.payload_types["video"]
    for i, payload in enumerate(payloads):
        sequence = 100 * len(connection.payloads) + i
        packet = write_rtp(RtpPacket(number, True, sequence, 0, 7, {}, payload))
        peer.buffer[offset : offset + len(packet)] = packet
        size = len(packet) + peer.overhead_bytes
        spans.append((offset, len(packet)))
        runs.append((offset, offset + size, size))
        offset += size
    return peer.send_packets(spans, runs)


async def connect(
    endpoint: TransportEndpoint,
    *kinds: str,
    sends: bool = True,
    handler: Handler | None = None,
    fingerprints: tuple[tuple[str, str], ...] | None = None,
    is_frugal: bool = False,
) -> Connection:
    """Begin a connection; ``handler`` is told when it is up."""
    client = LoopbackClient(*(kinds or ("video",)), sends=sends)
    offer = parse_offer(await client.offer())
    session = negotiate_host(offer) if sends else negotiate_viewer(offer, None)
    if fingerprints is not None:
        offer = Offer(offer.media, offer.ice_fragment, fingerprints)
    told = handler or Handler()
    peer = endpoint.open_peer(offer, told, is_frugal=is_frugal)
    identity = ServerIdentity(
        peer.ice.credentials, endpoint.fingerprint, endpoint.candidates(), session_id=1
    )
    await client.accept(write_answer(offer, session.accepted, identity))
    return Connection(client, told, peer, session)


async def connected(
    endpoint: TransportEndpoint, *kinds: str, sends: bool = True, is_frugal: bool = False
) -> Connection:
    """Connect and wait until packets can flow."""
    connection = await connect(endpoint, *kinds, sends=sends, is_frugal=is_frugal)
    await connection.handler.until("connected")
    await connection.client.connected()
    return connection


def simple_offer() -> Offer:
    """An offer of which a transport needs to know no more."""
    return Offer((), REMOTE, (("sha-256", "AB"),))


def check(
    peer: PeerTransport | SimpleNamespace,
    *,
    password: str | None = None,
    nominates: bool = False,
) -> bytes:
    """Write a connectivity check for a peer's transport."""
    credentials = peer.ice.credentials
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{credentials.fragment}:{REMOTE}"
    message.attributes["ICE-CONTROLLING"] = 1
    if nominates:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity((password or credentials.password).encode())
    return bytes(message)


class Pipe:
    """An ICE transport with nothing but what the seam gives aiortc."""

    __slots__ = ("arrived", "role", "send", "state")

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self.role = "controlling"
        self.state = "completed"
        self.send = list[bytes]().append

    async def _recv(self) -> bytes:
        return await self.arrived.get()

    async def _send(self, data: bytes) -> None:
        self.send(data)


async def greeting() -> bytes:
    """Return the first datagram of a DTLS client."""
    pipe, sent = Pipe(), asyncio.Queue[bytes]()
    pipe.send = sent.put_nowait
    client = RTCDtlsTransport(pipe, [make_certificate()[0]])  # type: ignore[arg-type]
    client._set_role("client")
    starting = asyncio.create_task(client.start(RTCDtlsParameters([RTCDtlsFingerprint("a", "b")])))
    hello = await sent.get()
    starting.cancel()
    await asyncio.wait([starting])
    return hello
