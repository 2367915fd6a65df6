"""The adaptor between a websocket and the node: what goes in, what comes out, what is refused."""

import asyncio
import weakref

import pytest
from websockets.frames import Frame, Opcode

from signaling.errors import ErrorCode, Refused
from signaling.messages import (
    ClientMessage,
    Leave,
    Left,
    ViewersChanged,
)
from tests.unit.mediasrv.http.websocket_server import SET_FILTER, Peer, closing, received, until


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


async def test_a_message_that_was_handled_is_not_kept_until_the_next(server):
    handled = []

    async def act(peer: Peer, message: ClientMessage) -> None:
        del peer.messages[:]
        handled.append(weakref.ref(message))

    server.node.act = act
    async with server.connect() as client:
        await server.join(client)
        await client.send('{"type": "publish", "sdp": "v=0"}')
        await until(lambda: bool(handled) and handled[0]() is None)
