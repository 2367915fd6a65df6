"""A host's filter and the qualities of its video, from signalling to media."""

import asyncio

import pytest

from filters.parameters import Parameters
from mediasrv.processing import FilterState
from mediasrv.relay.rtp import RtpPacket, write_rtp
from tests.node_stage import HOST_OFFER, OFF, error_code, node_stage, types

ALL_OFF = Parameters().as_dict()


@pytest.fixture
async def stage():
    async with node_stage() as made:
        yield made


# The filter.


async def test_a_filter_is_set_before_and_while_live(stage):
    host, joined = await stage.joined("host")
    viewer, _ = await stage.joined("viewer")
    host.told()
    assert joined["filter"] == OFF.model_dump()
    (changed,) = await host.ask("set_filter", consent=True, enabled=True, params={"smooth": 80})
    assert changed == {
        "type": "filter_changed",
        "reply_to": "q",
        "filter": {
            "state": "off",
            "enabled": True,
            "params": ALL_OFF | {"smooth": 80, "brighten": 10},
            "consent": True,
            "reason": None,
        },
    }
    assert viewer.types() == ["filter_changed"]
    assert stage.streams.made == []
    await stage.publish(host)
    await asyncio.sleep(0)
    (stream,) = stage.streams.made
    assert stream.parameters == ALL_OFF | {"smooth": 80, "brighten": 10}
    states = [m["filter"]["state"] for m in viewer.told() if m["type"] == "filter_changed"]
    assert states == ["starting", "on"]


async def test_a_slider_moves_what_it_names_and_does_not_disturb_viewers(stage):
    host, _ = await stage.live_host()
    await host.ask("set_filter", consent=True, enabled=True)
    await asyncio.sleep(0)
    viewer, _ = await stage.joined("viewer")
    host.told()
    (changed,) = await host.ask("set_filter", params={"brighten": 55})
    assert changed["filter"]["params"] == ALL_OFF | {"smooth": 40, "brighten": 55}
    assert changed["filter"]["state"] == "on"
    assert stage.streams.made[0].parameters == ALL_OFF | {"smooth": 40, "brighten": 55}
    assert viewer.types() == []


async def test_without_consent_the_filter_is_not_switched_on(stage):
    host, _ = await stage.live_host()
    answer = await host.ask("set_filter", enabled=True, params={"smooth": 80})
    assert error_code(answer) == "consent_required"
    answer = await host.ask("set_filter", enabled=True, consent=False)
    assert error_code(answer) == "consent_required"
    await asyncio.sleep(0)
    assert stage.streams.made == []
    (changed,) = await host.ask("set_filter")
    assert changed["filter"] == OFF.model_dump()


async def test_consent_holds_for_the_session_and_not_for_the_next_host(stage):
    host, _ = await stage.live_host()
    await host.ask("set_filter", consent=True)
    told = await host.ask("set_filter", enabled=True)
    assert {message["filter"]["consent"] for message in told} == {True}
    await host.ask("leave")
    following, _ = await stage.joined("host")
    assert error_code(await following.ask("set_filter", enabled=True)) == "consent_required"


async def test_consent_taken_back_ends_the_worker(stage):
    host, _ = await stage.live_host()
    await host.ask("set_filter", consent=True, enabled=True)
    await asyncio.sleep(0)
    viewer, _ = await stage.joined("viewer")
    (changed,) = [
        message for message in await host.ask("set_filter", consent=False) if "reply_to" in message
    ]
    assert (changed["filter"]["enabled"], changed["filter"]["consent"]) == (False, False)
    for _ in range(3):
        await asyncio.sleep(0)
    assert stage.streams.made[0].reason is not None
    assert viewer.told()[-1]["filter"]["state"] == "off"


async def test_a_request_that_changes_nothing_is_answered(stage):
    host, _ = await stage.joined("host")
    (changed,) = await host.ask("set_filter")
    assert changed["filter"] == OFF.model_dump()


@pytest.mark.parametrize(
    "params", [{"unknown": 1}, {"smooth": -1}, {"smooth": 101}, {"smooth": 2**31 - 1}, {"": 1}]
)
async def test_a_bad_filter_is_refused_and_changes_nothing(stage, params):
    host, _ = await stage.joined("host")
    answer = await host.ask("set_filter", consent=True, enabled=True, params=params)
    assert error_code(answer) in ("bad_filter", "bad_message")
    (changed,) = await host.ask("set_filter")
    assert changed["filter"] == OFF.model_dump()


async def test_trouble_of_the_filter_is_told_to_host_and_viewers(stage):
    host, _ = await stage.live_host()
    await host.ask("set_filter", consent=True, enabled=True)
    await asyncio.sleep(0)
    viewer, _ = await stage.joined("viewer")
    host.told()
    stage.streams.made[0].on_state(FilterState.RECOVERING, "the worker died")
    for caller in (host, viewer):
        (changed,) = caller.told()
        assert (changed["filter"]["state"], changed["filter"]["reason"]) == (
            "recovering",
            "the worker died",
        )


async def test_the_filter_of_a_host_ends_with_it(stage):
    host, _ = await stage.live_host()
    viewer, _ = await stage.joined("viewer")
    await host.ask("set_filter", consent=True, enabled=True, params={"smooth": 99})
    await asyncio.sleep(0)
    await host.ask("leave")
    assert viewer.told()[-1] == {"type": "filter_changed", "filter": OFF.model_dump()}
    for _ in range(3):
        await asyncio.sleep(0)
    assert stage.streams.made[0].reason is not None
    # The next host begins anew.
    following, joined = await stage.joined("host")
    assert joined["filter"] == OFF.model_dump()
    await stage.publish(following)
    assert len(stage.streams.made) == 1
    changed = (await following.ask("set_filter", params={"brighten": 1}))[-1]
    assert changed["filter"]["params"] == ALL_OFF | {"smooth": 40, "brighten": 1}


# Qualities of the host's video.


def simulcast_offer() -> str:
    lines = [f"a=rid:{rid} send\r\n" for rid in "qhf"]
    return HOST_OFFER + "".join(lines) + "a=simulcast:send ~q;~h;f\r\n"


def feed_video(stage, transport, first=0, *, frames=60):
    """Let two seconds of the best quality arrive."""
    for i in range(first, first + frames):
        head = b"\x90\x80\x80\x01" if i == 0 else b"\x90\x80\x80\x02"
        packet = RtpPacket(
            96, True, i, 3000 * i, 0xF, {10: b"f"}, head + bytes([i > 0]) + b"x" * 99
        )
        transport.handler.received_rtp(write_rtp(packet), stage.clock.now)
        stage.wait(1 / 30)


async def types_of_resumed(stage, resume: str) -> list[str]:
    back = await stage.caller()
    return types(await back.ask("join", version=1, room="r", role="host", resume=resume))


async def test_a_host_with_simulcast_hears_what_is_wanted_and_again_when_it_is_back(stage):
    host, joined = await stage.joined("host")
    await host.ask("publish", sdp=simulcast_offer())
    transport = stage.endpoint.transports[-1]
    transport.handler.connected()
    feed_video(stage, transport)
    wanted = [m for m in host.told() if m["type"] == "qualities_wanted"]
    assert wanted == [{"type": "qualities_wanted", "rids": ["f"]}]
    await host.drop()
    assert await types_of_resumed(stage, joined["resume"]) == ["joined", "qualities_wanted"]


async def test_what_is_wanted_of_a_host_whose_socket_is_away_waits_for_it(stage):
    host, joined = await stage.joined("host")
    await host.ask("publish", sdp=simulcast_offer())
    transport = stage.endpoint.transports[-1]
    transport.handler.connected()
    await host.drop()
    feed_video(stage, transport)
    assert await types_of_resumed(stage, joined["resume"]) == ["joined", "qualities_wanted"]


async def test_a_host_with_one_stream_hears_nothing_of_qualities(stage):
    host, transport = await stage.live_host()
    feed_video(stage, transport)
    assert "qualities_wanted" not in host.types()
