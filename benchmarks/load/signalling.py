"""How a light peer meets a server: one way for each kind of server."""

import asyncio
from types import TracebackType
from typing import Protocol, Self

from benchmarks.load.peer import LightPeer
from benchmarks.load.sdp import RemoteSide, read_remote, write_offer
from mediasrv.client.errors import LinkLost
from mediasrv.client.link import Link
from signaling.messages import Join, Joined, Publish, Published, Subscribe, Subscribed

ROOM = "fanout"


class Signalling(Protocol):
    """One server, as viewers find it."""

    async def __aenter__(self) -> Self:
        """Connect, where one connection serves all viewers."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all connections."""

    async def subscribe(self, peer: LightPeer) -> RemoteSide:
        """Exchange descriptions for a new viewer; returns the server's."""


class Publishing(Protocol):
    """A server that takes a publisher over WebRTC."""

    async def __aenter__(self) -> Self:
        """Connect."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the publication."""

    async def publish(self, peer: LightPeer, ssrcs: dict[str, int]) -> RemoteSide:
        """Exchange descriptions as the host; returns the server's."""


class OurSignalling:
    """mediasrv's own protocol: a websocket per viewer, which stays open."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._links: list[Link] = []
        self._readers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "OurSignalling":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(link.close() for link in self._links), return_exceptions=True)
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _join(self, role: str) -> Link:
        link = await Link.open(self._url)
        self._links.append(link)
        self._readers.append(asyncio.create_task(_read_events(link)))
        message = Join.model_validate({"version": 1, "room": ROOM, "role": role})
        await link.request(message, Joined)
        return link

    async def publish(self, peer: LightPeer, ssrcs: dict[str, int]) -> RemoteSide:
        """Become the host."""
        link = await self._join("host")
        offer = write_offer(peer.local, "sendonly", ssrcs)
        return read_remote((await link.request(Publish(sdp=offer), Published)).sdp)

    async def subscribe(self, peer: LightPeer) -> RemoteSide:
        """Join as one more viewer."""
        link = await self._join("viewer")
        offer = write_offer(peer.local, "recvonly")
        return read_remote((await link.request(Subscribe(sdp=offer), Subscribed)).sdp)


async def _read_events(link: Link) -> None:
    try:
        while True:
            await link.event()
    except LinkLost:
        return
