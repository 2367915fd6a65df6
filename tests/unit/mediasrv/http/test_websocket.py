"""The adaptor on a real server with real sockets, and a node that does as it is told."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from mediasrv.http import outbox as outbox_module
from mediasrv.http import websocket as adaptor
from signaling.errors import ErrorCode, Overloaded, Refused
from signaling.messages import (
    ClientMessage,
    FilterView,
    Join,
    Joined,
    Leave,
    Left,
    PeerJoined,
    Published,
    Role,
    ViewersChanged,
)
from signaling.server import Outbox

FILTER = FilterView(state="off", enabled=False, params={})
JOIN = '{"type": "join", "id": "1", "version": 1, "room": "r", "role": "host"}'
SET_FILTER = '{"type": "set_filter", "id": "2"}'


def joined(role: Role, reply_to: str | None) -> Joined:
    return Joined(
        room="r",
        peer="p",
        role=role,
        resume=None,
        grace_s=10.0,
        state="waiting",
        publishing=False,
        viewers=0,
        filter=FILTER,
        reply_to=reply_to,
    )


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
                ws="websockets-sansio",
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


@pytest.fixture
async def server(caplog) -> AsyncIterator[Server]:
    caplog.set_level(logging.DEBUG, logger="mediasrv")
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


async def test_messages_go_in_and_out_and_leave_closes_with_1000(server):
    async def act(peer: Peer, message: ClientMessage) -> None:
        assert isinstance(message, Leave)
        peer.outbox.send(Left(reason="left", reply_to=message.id))

    server.node.act = act
    async with server.connect() as client:
        peer = await server.join(client)
        await client.send('{"type": "leave", "id": "2"}')
        left = {"type": "left", "reason": "left", "reply_to": "2"}
        assert await closing(client) == ([left], 1000, "left")
        await peer.disconnected.wait()


async def test_events_reach_a_client_that_says_nothing(server):
    async with server.connect() as client:
        peer = await server.join(client)
        peer.outbox.send(ViewersChanged(viewers=1))
        peer.outbox.send(ViewersChanged(viewers=2))
        assert [(await received(client))["viewers"] for _ in range(2)] == [1, 2]


async def test_a_client_that_closes_or_vanishes_is_disconnected_from_the_node(server):
    async with server.connect() as client:
        peer = await server.join(client)
    await peer.disconnected.wait()
    async with server.connect() as client:
        peer = await server.join(client)
        client.transport.abort()
        await peer.disconnected.wait()
    peer.outbox.send(ViewersChanged(viewers=1))


async def test_a_slow_request_is_finished_before_the_next_one_is_read(server):
    started, gate = asyncio.Event(), asyncio.Event()

    async def act(peer: Peer, message: ClientMessage) -> None:
        started.set()
        await gate.wait()

    server.node.act = act
    async with server.connect() as client:
        peer = await server.join(client)
        await client.send(SET_FILTER)
        await client.send(SET_FILTER)
        await started.wait()
        peer.outbox.send(ViewersChanged(viewers=7))
        assert (await received(client))["viewers"] == 7
        assert len(peer.messages) == 2
        gate.set()
    await peer.disconnected.wait()
    assert len(peer.messages) == 3


# Errors.


async def test_what_the_node_refuses_is_answered_and_the_socket_kept(server):
    async def act(peer: Peer, message: ClientMessage) -> None:
        raise Refused(ErrorCode.BAD_FILTER, "no such parameter", retry_after_s=2.0)

    server.node.act = act
    async with server.connect() as client:
        await server.join(client)
        for _ in range(20):
            await client.send(SET_FILTER)
            assert await received(client) == {
                "type": "error",
                "reply_to": "2",
                "code": "bad_filter",
                "message": "no such parameter",
                "retry_after_s": 2.0,
            }


async def test_a_bug_in_one_request_is_logged_with_its_traceback_and_the_socket_kept(
    server, caplog
):
    async def act(peer: Peer, message: ClientMessage) -> None:
        raise ZeroDivisionError("a bug of ours")

    server.node.act = act
    async with server.connect() as client:
        peer = await server.join(client)
        await client.send(SET_FILTER)
        reply = await received(client)
        assert (reply["code"], reply["reply_to"]) == ("internal", "2")
        assert "bug" not in str(reply["message"])
        server.node.act = None
        await client.send(SET_FILTER)
        peer.outbox.send(ViewersChanged(viewers=1))
        assert (await received(client))["viewers"] == 1
    (record,) = [r for r in caplog.records if r.exc_info]
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize(
    ("frame", "code", "close_code"),
    [
        ("nonsense", "bad_json", 1007),
        ("[" * 60_000, "bad_json", 1007),
        (b"{}", "binary_frame", 1003),
        ('{"pad": "' + "a" * 65536 + '"}', "too_large", 1009),
        ('{"pad": "' + "a" * 262100 + '"}', "too_large", 1009),
    ],
)
async def test_what_is_no_message_gets_a_typed_error_and_its_close_code(
    server, frame, code, close_code
):
    async with server.connect() as client:
        await client.send(frame)
        messages, closed, reason = await closing(client)
        assert [message["code"] for message in messages] == [code]
        assert (closed, reason) == (close_code, code)
        await server.node.peers[0].disconnected.wait()


async def test_what_is_too_large_for_the_socket_is_closed_with_1009(server):
    async with server.connect() as client:
        await client.send("a" * 262145)
        assert (await closing(client))[:2] == ([], 1009)


async def test_text_that_is_not_utf_8_is_closed_with_1007(server, caplog):
    async with server.connect() as client:
        peer = await server.join(client)
        wire = Frame(Opcode.TEXT, b'{"type": "\xff"}').serialize(mask=True)
        client.transport.write(wire)
        assert (await closing(client))[:2] == ([], 1007)
        await peer.disconnected.wait()
    assert not [r for r in caplog.records if r.exc_info and r.name.startswith("mediasrv")]


async def test_eight_protocol_errors_close_with_1008(server):
    async with server.connect() as client:
        for _ in range(8):
            await client.send("{}")
        messages, closed, _ = await closing(client)
        assert [m["code"] for m in messages] == ["bad_message"] * 8 + ["too_many_errors"]
        assert closed == 1008


async def test_one_hostile_client_disturbs_nobody_else(server):
    async with server.connect() as good, server.connect() as bad:
        peer = await server.join(good)
        await bad.send("nonsense")
        await closing(bad)
        peer.outbox.send(ViewersChanged(viewers=1))
        assert (await received(good))["viewers"] == 1


async def test_errors_are_logged_by_code_and_never_with_what_the_client_sent(server, caplog):
    async with server.connect() as client:
        await client.send('{"type": "join", "version": 1, "room": "S3CRET!", "role": "host"}')
        await received(client)
        await client.send("S3CRET")
        await closing(client)
    assert "bad_message" in caplog.text
    assert "bad_json" in caplog.text
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("mediasrv")]
    assert not [line for line in ours if "S3CRET" in line]


# Admission.


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
async def test_pages_of_other_sites_get_403(server, origin):
    with pytest.raises(InvalidStatus) as refused:
        async with server.connect(origin=origin):
            pass
    assert refused.value.response.status_code == 403
    assert server.node.peers == []


async def test_our_own_pages_and_those_on_the_list_are_let_in(server):
    for origin in (f"http://127.0.0.1:{server.port}", "https://app.example"):
        async with server.connect(origin=origin) as client:
            await server.join(client)


async def test_a_connection_that_the_node_refuses_is_told_why_and_closed_with_1013(server):
    server.node.refusal = Overloaded(ErrorCode.OVERLOADED, "full", retry_after_s=5.0)
    async with server.connect() as client:
        (message,), code, reason = await closing(client)
        assert (message["code"], message["retry_after_s"]) == ("overloaded", 5.0)
        assert (code, reason) == (1013, "overloaded")


async def test_a_bug_at_admission_closes_with_1011(server, caplog):
    server.node.refusal = ZeroDivisionError("a bug of ours")
    async with server.connect() as client:
        assert await closing(client) == ([], 1011, "internal")
    assert "could not be admitted" in caplog.text


async def test_a_connection_that_does_not_join_in_time_is_closed_with_1008(server):
    server.clock.now = 0.0
    async with server.connect() as client:
        server.clock.now = 10.0
        # The writer sleeps until then on the real clock; having to write wakes it up.
        await client.send("{}")
        messages, code, reason = await closing(client)
        assert [m["code"] for m in messages] == ["bad_message", "join_timeout"]
        assert (code, reason) == (1008, "join_timeout")


# Failing alone.


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
