import pytest

from mediasrv.relay.rtp import RtpPacket, write_rtp
from tests.node_stage import node_stage

KEYFRAME = b"\x10\x00\x00\x00\x9d\x01\x2a\x00\x05\xd0\x02"


@pytest.fixture
async def stage():
    async with node_stage() as opened:
        yield opened


def statistics(messages):
    return [message for message in messages if message["type"] == "statistics"]


async def test_a_host_is_told_at_once_and_then_at_its_interval(stage):
    host, media = await stage.live_host()
    _, viewer_media = await stage.watching()
    media.handler.received_rtp(
        write_rtp(RtpPacket(96, True, 1, 3000, 96, {}, KEYFRAME)), stage.clock.now
    )
    (first,) = statistics(await host.ask("watch_statistics", every_s=2))
    assert first["reply_to"] == "q"
    assert first["viewers"] == 1
    assert first["tracks"][1]["received"]["packets"] == 1
    assert len(viewer_media.sent) == 1
    stage.wait(1.9)
    assert statistics(host.told()) == []
    stage.wait(0.2)
    (second,) = statistics(host.told())
    assert "reply_to" not in second
    assert second["elapsed_s"] == pytest.approx(first["elapsed_s"] + 2.1)


async def test_the_delay_is_of_the_time_since_the_statistics_before(stage):
    host, media = await stage.live_host()
    await stage.watching()
    await host.ask("watch_statistics", every_s=1)
    media.handler.received_rtp(
        write_rtp(RtpPacket(96, True, 1, 3000, 96, {}, KEYFRAME)), stage.clock.now
    )
    stage.wait(1)
    stage.wait(1)
    busy, idle = statistics(host.told())
    assert busy["forward_ms"] is not None
    assert idle["forward_ms"] is None


async def test_a_viewer_is_told_of_itself_only(stage):
    await stage.live_host()
    await stage.watching()
    viewer, joined = await stage.joined("viewer")
    await stage.subscribe(viewer)
    (told,) = statistics(await viewer.ask("watch_statistics", every_s=None))
    assert [peer["peer"] for peer in told["peers"]] == [joined["peer"]]
    assert told["viewers"] == 2


async def test_null_ends_it(stage):
    host, _ = await stage.live_host()
    await host.ask("watch_statistics", every_s=1)
    await host.ask("watch_statistics", every_s=None)
    stage.wait(5)
    assert statistics(host.told()) == []


async def test_before_there_is_media_there_is_nothing_to_tell(stage):
    host, _ = await stage.joined("host")
    (told,) = statistics(await host.ask("watch_statistics", every_s=1))
    assert (told["elapsed_s"], told["tracks"]) == (0, [])
    stage.wait(1)
    assert len(statistics(host.told())) == 1


@pytest.mark.parametrize("how", ["leave", "drop"])
async def test_it_ends_with_the_connection(stage, how):
    host, _ = await stage.live_host()
    viewer, _ = await stage.watching()
    for caller in (host, viewer):
        await caller.ask("watch_statistics", every_s=1)
        await (caller.ask("leave") if how == "leave" else caller.drop())
    stage.wait(5)
    assert statistics(host.told()) == statistics(viewer.told()) == []
    assert stage.node._watches.due(1e9) == []


async def test_a_host_that_comes_back_asks_anew(stage):
    host, joined = await stage.joined("host")
    await host.ask("watch_statistics", every_s=1)
    again, _ = await stage.joined("host", resume=joined["resume"])
    stage.wait(2)
    assert statistics(again.told()) == []
    await again.ask("watch_statistics", every_s=1)
    await host.drop()  # the old connection ends after the new one has taken over
    stage.wait(2)
    assert len(statistics(again.told())) == 1


async def test_rooms_are_told_apart(stage):
    one, _ = await stage.live_host("one")
    two, _ = await stage.live_host("two")
    await stage.watching("one")
    assert statistics(await one.ask("watch_statistics", every_s=1))[0]["viewers"] == 1
    assert statistics(await two.ask("watch_statistics", every_s=1))[0]["viewers"] == 0
