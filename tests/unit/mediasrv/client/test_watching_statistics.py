"""A client that wants to know how the media fares."""

import pytest

from mediasrv.client import LinkLost, PatternSource, ViewerClient, room_client
from mediasrv.client.host import HostClient
from signaling.messages import Statistics
from tests.unit.mediasrv.client.fake_server import PATIENCE_S
from tests.unit.signaling.strategies import NO_STATISTICS

SMALL = PatternSource(160, 96, 30.0)


def counted(viewers: int) -> Statistics:
    return NO_STATISTICS.model_copy(update={"viewers": viewers})


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Reconnect at once."""
    monkeypatch.setattr(room_client, "BACKOFF_FIRST_S", 0.01)


@pytest.fixture
def server(server):
    async def answer(message):
        del message
        return counted(1)

    server.live = False
    server.rules["watch_statistics"] = answer
    return server


def wishes(server) -> list[float | None]:
    return [message.every_s for message in server.seen if message.type == "watch_statistics"]


async def test_statistics_are_answered_and_then_renewed(server):
    async with HostClient(server.url, "demo", SMALL) as host:
        assert host.statistics is None
        assert await host.watch_statistics(2.5) == host.statistics
        assert host.statistics.viewers == 1
        await server.say(counted(2))
        await host.until(lambda: host.statistics.viewers == 2, PATIENCE_S)
        assert wishes(server) == [2.5]


async def test_a_client_that_joins_again_asks_again_until_it_has_had_enough(server):
    async with ViewerClient(server.url, "demo") as viewer:
        await viewer.watch_statistics(1.0)
        viewer.drop_socket()
        await viewer.until(lambda: viewer.joins == 2, PATIENCE_S)
        assert wishes(server) == [1.0, 1.0]
        await viewer.watch_statistics(None)
        viewer.drop_socket()
        await viewer.until(lambda: viewer.joins == 3, PATIENCE_S)
        assert wishes(server) == [1.0, 1.0, None]


@pytest.mark.parametrize("every_s", [0.5, 61, float("nan")])
async def test_an_interval_that_the_protocol_forbids_is_not_sent(server, every_s):
    async with ViewerClient(server.url, "demo") as viewer:
        with pytest.raises(ValueError, match="every_s"):
            await viewer.watch_statistics(every_s)
        assert wishes(server) == []


async def test_without_a_connection_nothing_can_be_asked(server):
    viewer = ViewerClient(server.url, "demo")
    with pytest.raises(LinkLost):
        await viewer.watch_statistics(1.0)
