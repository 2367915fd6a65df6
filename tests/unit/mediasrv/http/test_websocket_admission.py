"""Who may connect, and has to join in time."""

import pytest
from websockets.exceptions import InvalidStatus

from signaling.errors import ErrorCode, Overloaded
from tests.unit.mediasrv.http.websocket_server import closing


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
