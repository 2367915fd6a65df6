"""How connections end: those of clients that do not read, and those that meet a bug of ours."""

import asyncio

import pytest
from starlette.websockets import WebSocket

from mediasrv.http import outbox as outbox_module
from mediasrv.http import websocket as adaptor
from signaling.messages import (
    ClientMessage,
    Left,
    PeerJoined,
    Published,
    ViewersChanged,
)
from tests.unit.mediasrv.http.websocket_server import (
    JOIN,
    SET_FILTER,
    FakeClock,
    FakeNode,
    Peer,
    closing,
    narrow_socket,
    received,
    until,
)
from tests.unit.signaling.strategies import joined


async def test_a_client_that_does_not_read_is_closed_with_1013_and_nobody_else_suffers(server):
    async with server.connect() as good, server.connect(max_queue=1) as stuck:
        listening = await server.join(good)
        deaf = await server.join(stuck)
        stuck.transport.pause_reading()
        for number in range(200):  # let some of it into the socket, until that is full
            deaf.outbox.send(Published(sdp=f"{number}".ljust(60_000)))
            await asyncio.sleep(0)
        for number in range(200, 200 + outbox_module.OUTBOX_MESSAGES + 1):
            deaf.outbox.send(Published(sdp=f"{number}".ljust(60_000)))
        await asyncio.wait_for(deaf.disconnected.wait(), 2)
        listening.outbox.send(ViewersChanged(viewers=1))
        assert (await received(good))["viewers"] == 1
        stuck.transport.resume_reading()
        messages, code, reason = await closing(stuck)
        assert (code, reason) == (1013, "overloaded")
        numbers = [int(str(message["sdp"])) for message in messages]
        assert numbers == list(range(len(numbers)))  # what was in the socket, and nothing queued
        assert len(numbers) < 200


async def test_a_client_that_never_reads_again_does_not_keep_its_tasks(server, monkeypatch):
    monkeypatch.setattr(adaptor, "FLUSH_TIMEOUT_S", 0.05)
    before = len(asyncio.all_tasks())
    async with server.connect(max_queue=1, sock=await narrow_socket(server.port)) as stuck:
        deaf = await server.join(stuck)
        stuck.transport.pause_reading()
        for _ in range(outbox_module.OUTBOX_MESSAGES * 2):
            deaf.outbox.send(Published(sdp="v" * 60_000))
            await asyncio.sleep(0)
        await deaf.disconnected.wait()
        await until(lambda: len(asyncio.all_tasks()) <= before + 1)  # one is the client's own
        stuck.transport.abort()


async def test_a_message_out_of_order_is_our_bug_and_costs_one_connection(server, caplog):
    async with server.connect() as client, server.connect() as other:
        peer = await server.join(client)
        healthy = await server.join(other)
        peer.outbox.send(joined("host", None))
        assert await closing(client) == ([], 1011, "internal")
        healthy.outbox.send(PeerJoined(peer="p", role="viewer", name=None))
        assert (await received(other))["type"] == "peer_joined"
    assert "out of order" in caplog.text


async def test_leave_is_given_the_time_to_finish(server):
    gate, finished = asyncio.Event(), asyncio.Event()

    async def act(peer: Peer, message: ClientMessage) -> None:
        peer.outbox.send(Left(reason="left", reply_to=message.id))
        await gate.wait()
        finished.set()

    server.node.act = act
    async with server.connect() as client:
        peer = await server.join(client)
        await client.send('{"type": "leave", "id": "2"}')
        assert (await received(client))["type"] == "left"
        assert not peer.disconnected.is_set()
        gate.set()
        await peer.disconnected.wait()
        assert finished.is_set()
        assert (await closing(client))[1] == 1000


async def test_a_request_that_hangs_is_cancelled_when_its_connection_ends(server, monkeypatch):
    monkeypatch.setattr(adaptor, "FLUSH_TIMEOUT_S", 0.05)
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def act(peer: Peer, message: ClientMessage) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    server.node.act = act
    async with server.connect() as client:
        peer = await server.join(client)
        await client.send(SET_FILTER)
        await started.wait()
        peer.outbox.send(Left(reason="shutdown"))
        messages, code, _ = await closing(client)
        assert ([m["type"] for m in messages], code) == (["left"], 1001)
        assert cancelled.is_set()
        await peer.disconnected.wait()


async def test_a_node_that_fails_at_the_goodbye_is_logged_and_survives(server, caplog):
    async def disconnect(handle: Peer) -> None:
        handle.disconnected.set()
        raise ZeroDivisionError("a bug of ours")

    server.node.disconnect = disconnect
    async with server.connect() as client:
        peer = await server.join(client)
    await peer.disconnected.wait()
    async with server.connect() as client:
        await server.join(client)
    assert "a connection failed" in caplog.text


class ScriptedSocket:
    """An ASGI server's end of a websocket that closes underneath the application."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        for event in ({"type": "websocket.connect"}, {"type": "websocket.receive", "text": JOIN}):
            self.events.put_nowait(event)

    async def send(self, event) -> None:
        if event["type"] != "websocket.accept":
            raise self.failure

    def websocket(self) -> WebSocket:
        scope = {"type": "websocket", "path": "/ws", "headers": []}
        return WebSocket(scope, self.events.get, self.send)


@pytest.mark.parametrize("failure", [OSError("gone"), RuntimeError("after websocket.close")])
async def test_a_socket_that_closes_while_we_write_is_a_client_that_went(failure, caplog):
    node = FakeNode()
    async with asyncio.timeout(5):
        await adaptor.serve_websocket(ScriptedSocket(failure).websocket(), node, clock=FakeClock())
    assert node.peers[0].disconnected.is_set()
    assert not [record for record in caplog.records if record.exc_info]
