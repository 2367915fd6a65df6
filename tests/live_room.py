"""A room with a host and a viewer on real sockets, and the means to see whether it is well."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mediasrv.node import Node, new_peer_id, new_resume_token
from mediasrv.rooms import Directory
from mediasrv.transport.endpoint import TransportEndpoint
from mediasrv.transport.ice import Path
from mediasrv.transport.peer import PeerState, PeerTransport
from tests.loopback import LoopbackClient
from tests.node_stage import OFF, Caller, FakeStreams

# Datagrams of an attack on their way at once: few enough for the smallest socket buffer and for
# DTLS's queue.
BATCH = 25
KEYFRAME = b"\x10\x00\x00\x00\x9d\x01\x2a\x00\x05\xd0\x02"
DELTA = b"\x10\x01\x00"


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
    """Let a host join and go live."""
    caller = await Caller(node, time.monotonic).open()
    await caller.ask("join", version=1, room=room, role="host")
    client = LoopbackClient("audio", "video", sends=True)
    (published,) = await caller.ask("publish", sdp=await client.offer())
    await client.accept(published["sdp"])
    await client.connected()
    return caller, client, endpoint.peers[-1]


async def watching(node: Node, endpoint: TransportEndpoint, room: str) -> Joined:
    """Let a viewer join a live room and watch."""
    caller = await Caller(node, time.monotonic).open()
    await caller.ask("join", version=1, room=room, role="viewer")
    client = LoopbackClient("audio", "video", sends=False)
    subscribed = (await caller.ask("subscribe", sdp=await client.offer()))[-1]
    await client.accept(subscribed["sdp"])
    await client.connected()
    return caller, client, endpoint.peers[-1]


@asynccontextmanager
async def running_node() -> AsyncIterator[tuple[Node, CountingEndpoint]]:
    """Run a node on loopback, without workers."""
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
        yield node, endpoint


@asynccontextmanager
async def live_room() -> AsyncIterator[LiveRoom]:
    """Run a node with a room that is live."""
    async with running_node() as (node, endpoint):
        _, host, host_peer = await publishing(node, endpoint, "live")
        _, viewer, viewer_peer = await watching(node, endpoint, "live")
        room = LiveRoom(node, endpoint, host, viewer, host_peer, viewer_peer)
        await room.carries_packets()
        yield room
        await host.close()
        await viewer.close()
