"""Tests of one signalling connection."""

import asyncio

import pytest

from mediasrv.client import link as link_module
from mediasrv.client.errors import LinkLost, ServerUnreachable
from mediasrv.client.link import EVENTS_MAX, Link
from signaling import PROTOCOL_VERSION, Overloaded, Refused
from signaling.messages import (
    Error,
    Join,
    Joined,
    Left,
    SetFilter,
    Subscribe,
    Subscribed,
    ViewersChanged,
)
from tests.unit.mediasrv.client.fake_server import PATIENCE_S

JOIN = Join(version=PROTOCOL_VERSION, room="demo", role="viewer")


async def test_a_request_gets_its_answer(server):
    async with await Link.open(server.url) as link:
        assert (await link.request(JOIN, Joined)).room == "demo"


async def test_a_refusal_is_raised_with_its_code(server):
    async def refuse(message):
        return Error(code="room_taken", message="there is a host")

    server.rules["join"] = refuse
    async with await Link.open(server.url) as link:
        with pytest.raises(Refused, match="there is a host") as caught:
            await link.request(JOIN, Joined)
    assert caught.value.code == "room_taken"


async def test_an_overloaded_server_says_when_to_come_back(server):
    async def refuse(message):
        return Error(code="overloaded", message="full", retry_after_s=2.5)

    server.rules["join"] = refuse
    async with await Link.open(server.url) as link:
        with pytest.raises(Overloaded) as caught:
            await link.request(JOIN, Joined)
    assert caught.value.retry_after_s == 2.5


async def test_events_come_in_order(server):
    async with await Link.open(server.url) as link:
        await link.request(JOIN, Joined)
        await server.say(ViewersChanged(viewers=1), ViewersChanged(viewers=2))
        assert [(await link.event()).viewers for _ in range(2)] == [1, 2]


async def test_the_end_of_the_connection_reaches_everybody_who_waits(server):
    async def hang_up(message):
        await server.hang_up()

    async with await Link.open(server.url) as link:
        await link.request(JOIN, Joined)
        server.rules["subscribe"] = hang_up
        event = asyncio.create_task(link.event())
        with pytest.raises(LinkLost, match="closed the connection"):
            await link.request(Subscribe(sdp="v=0"), Subscribed)
        with pytest.raises(LinkLost):
            await event
        with pytest.raises(LinkLost):
            await link.event()
        with pytest.raises(LinkLost):
            await link.request(Subscribe(sdp="v=0"), Subscribed)


async def test_a_server_that_never_answers_is_given_up(server, monkeypatch):
    async def nothing(message):
        return None

    monkeypatch.setattr(link_module, "ANSWER_TIMEOUT_S", 0.05)
    server.rules["join"] = nothing
    async with await Link.open(server.url) as link:
        with pytest.raises(LinkLost, match="no answer to join"):
            await link.request(JOIN, Joined)


@pytest.mark.parametrize("text", ["{", "[]", b"\x00\xff", '{"type": "joined"}', '{"type": "left"}'])
async def test_a_server_that_breaks_the_protocol_loses_us(server, text):
    async with await Link.open(server.url) as link:
        await link.request(JOIN, Joined)
        await server.say_text(text)
        with pytest.raises(LinkLost, match="broke the protocol"):
            await link.event()


async def test_a_message_of_a_newer_server_is_skipped(server):
    async with await Link.open(server.url) as link:
        await link.request(JOIN, Joined)
        await server.say_text('{"type": "confetti"}')
        await server.say(ViewersChanged(viewers=3))
        assert (await link.event()).viewers == 3


async def test_unread_events_are_bounded(server):
    async with await Link.open(server.url) as link:
        await link.request(JOIN, Joined)
        await server.say(*(ViewersChanged(viewers=n) for n in range(EVENTS_MAX + 1)))
        async with asyncio.timeout(PATIENCE_S):
            await link.ended()
        with pytest.raises(LinkLost, match="not read in time"):
            await link.request(SetFilter(), Joined)


async def test_a_dropped_connection_is_noticed(server):
    async with await Link.open(server.url) as link:
        await link.request(JOIN, Joined)
        link.drop()
        with pytest.raises(LinkLost):
            await link.event()


async def test_closing_twice_is_fine(server):
    link = await Link.open(server.url)
    await link.close()
    await link.close()


async def test_the_servers_goodbye_is_an_event(server):
    async with await Link.open(server.url) as link:
        await link.request(JOIN, Joined)
        await server.say(Left(reason="shutdown"))
        assert (await link.event()).reason == "shutdown"


async def test_nobody_there_is_one_clear_line(unused_tcp_port):
    with pytest.raises(ServerUnreachable, match=r"cannot reach http://127\.0\.0\.1:\d+: .*refused"):
        await Link.open(f"http://127.0.0.1:{unused_tcp_port}")


async def test_another_kind_of_server_is_recognised():
    async def be_rude(reader, writer):
        await reader.readline()
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(be_rude, "127.0.0.1", 0) as rude:
        port = rude.sockets[0].getsockname()[1]
        with pytest.raises(ServerUnreachable, match="is no mediasrv"):
            await Link.open(f"http://127.0.0.1:{port}")


async def test_an_address_that_is_none_is_recognised():
    with pytest.raises(ServerUnreachable, match="no mediasrv"):
        await Link.open("ftp://127.0.0.1")
