"""A real server with real sockets in front of a node that does as it is told."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from mediasrv.http import websocket as adaptor
from mediasrv.http.socket_protocol import BoundedSocketProtocol
from signaling.messages import ClientMessage, Join
from signaling.server import Outbox
from tests.unit.signaling.strategies import joined

JOIN = '{"type": "join", "id": "1", "version": 1, "room": "r", "role": "host"}'
SET_FILTER = '{"type": "set_filter", "id": "2"}'


class Peer:
    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.messages: list[ClientMessage] = []
        self.disconnected = asyncio.Event()


class FakeNode:
    """Admits everybody, answers joins, and does with the rest what the test says."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.members: list[Peer] = []
        self.refusal: Exception | None = None
        self.act: Callable[[Peer, ClientMessage], Awaitable[None]] | None = None

    async def connect(self, outbox: Outbox) -> Peer:
        if self.refusal is not None:
            raise self.refusal
        self.peers.append(Peer(outbox))
        return self.peers[-1]

    async def handle(self, handle: Peer, message: ClientMessage) -> None:
        handle.messages.append(message)
        if isinstance(message, Join):
            self.members.append(handle)
            handle.outbox.send(joined(message.role, message.id))
        elif self.act is not None:
            await self.act(handle, message)

    async def disconnect(self, handle: Peer) -> None:
        assert not handle.disconnected.is_set()
        handle.disconnected.set()


class FakeClock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Server:
    def __init__(self, node: FakeNode, clock: FakeClock) -> None:
        async def endpoint(websocket: WebSocket) -> None:
            await adaptor.serve_websocket(
                websocket, node, clock=clock, allowed_origins=["https://app.example"]
            )

        self.node, self.clock = node, clock
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.uvicorn = uvicorn.Server(
            uvicorn.Config(
                Starlette(routes=[WebSocketRoute("/ws", endpoint)]),
                ws=BoundedSocketProtocol,
                ws_max_size=262144,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                timeout_graceful_shutdown=5,
            )
        )

    def connect(self, **options) -> connect:
        url = f"ws://127.0.0.1:{self.port}/ws"
        return connect(url, compression=None, proxy=None, **options)

    async def join(self, client: ClientConnection) -> Peer:
        await client.send(JOIN)
        assert (await received(client))["type"] == "joined"
        return self.node.members[-1]


@asynccontextmanager
async def websocket_server() -> AsyncIterator[Server]:
    """A running server; at the end its node has seen everybody go."""
    server = Server(FakeNode(), FakeClock())
    task = asyncio.create_task(server.uvicorn.serve(sockets=[server.listener]))
    await until(lambda: server.uvicorn.started)
    yield server
    server.uvicorn.should_exit = True
    async with asyncio.timeout(10):
        await task
        for peer in server.node.peers:
            await peer.disconnected.wait()
    server.listener.close()


async def narrow_socket(port: int) -> socket.socket:
    """Connect with buffers that hold one or two messages of 60 kB, however long one waits.

    Buffers of the usual size grow by themselves and take in megabytes for a client that does
    not read, so that nobody is stuck.
    """
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", port))
    return narrow


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - foreign objects that set no event
            await asyncio.sleep(0.005)


async def received(client: ClientConnection) -> dict[str, object]:
    async with asyncio.timeout(5):
        message = json.loads(await client.recv())
    assert isinstance(message, dict)
    return message


async def closing(client: ClientConnection) -> tuple[list[dict[str, object]], int, str]:
    """Read to the end: the messages, the close code and its reason."""
    async with asyncio.timeout(10):
        messages = [json.loads(frame) async for frame in frames(client)]
    assert client.close_code is not None
    return messages, client.close_code, client.close_reason or ""


async def frames(client: ClientConnection) -> AsyncIterator[str | bytes]:
    with suppress(ConnectionClosed):
        while True:
            yield await client.recv()
