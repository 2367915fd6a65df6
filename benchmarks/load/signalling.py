"""How a light peer meets a server: one way for each kind of server."""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from benchmarks.load.peer import LightPeer
from benchmarks.load.sdp import RemoteSide, read_remote, write_offer
from mediasrv.client.errors import LinkLost
from mediasrv.client.link import Link
from signaling.messages import Join, Joined, Publish, Published, Role, Subscribe, Subscribed

ROOM = "fanout"


class Signalling(ABC):
    """One server, as viewers find it. ``async with`` opens and closes it."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect, where one connection serves all viewers."""
        return

    async def close(self) -> None:
        """End all connections."""
        return

    @abstractmethod
    async def subscribe(self, peer: LightPeer) -> RemoteSide:
        """Exchange descriptions for a new viewer; returns the server's."""


class Publishing(Signalling):
    """A server that takes a publisher over WebRTC."""

    @abstractmethod
    async def publish(self, peer: LightPeer, ssrcs: dict[str, int]) -> RemoteSide:
        """Exchange descriptions as the host; returns the server's."""


class OurSignalling(Publishing):
    """mediasrv's own protocol: a websocket per viewer, which stays open."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._links: list[Link] = []
        self._readers: list[asyncio.Task[None]] = []

    async def close(self) -> None:
        """End all connections."""
        await asyncio.gather(*(link.close() for link in self._links), return_exceptions=True)
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def connect(self) -> Link:
        """Open one more websocket; it is kept open and its events are read."""
        link = await Link.open(self._url)
        self._links.append(link)
        self._readers.append(asyncio.create_task(_read_events(link)))
        return link

    async def publish(self, peer: LightPeer, ssrcs: dict[str, int]) -> RemoteSide:
        """Become the host."""
        link = await self.connect()
        await join(link, "host")
        offer = write_offer(peer.local, "sendonly", ssrcs)
        return read_remote((await link.request(Publish(sdp=offer), Published)).sdp)

    async def subscribe(self, peer: LightPeer) -> RemoteSide:
        """Join as one more viewer."""
        link = await self.connect()
        await join(link, "viewer")
        return await subscribe(link, peer)


async def join(link: Link, role: Role) -> None:
    """Enter the room."""
    await link.request(Join(version=1, room=ROOM, role=role), Joined)


async def subscribe(link: Link, peer: LightPeer) -> RemoteSide:
    """Exchange descriptions as a viewer who has joined."""
    offer = write_offer(peer.local, "recvonly")
    return read_remote((await link.request(Subscribe(sdp=offer), Subscribed)).sdp)


async def _read_events(link: Link) -> None:
    try:
        while True:
            await link.event()
    except LinkLost:
        return
