"""Hosts and viewers who come, go and ask for what they must not."""

import pytest
from aiortc.sdp import SessionDescription

from mediasrv.relay.rtp import RtpPacket, write_rtp
from signaling.errors import ErrorCode, Refused
from signaling.messages import Publish, SetFilter, Subscribe, Unpublish
from tests.node_stage import HOST_OFFER, VIEWER_OFFER, error_code, node_stage, types


@pytest.fixture
async def stage():
    async with node_stage() as made:
        yield made


def unknown_video(offer: str) -> str:
    for name in ("VP8", "VP9", "AV1", "H264"):
        offer = offer.replace(f" {name}/90000", " H261/90000")
    return offer


# Going live.


async def test_a_host_joins_publishes_and_is_live_once_its_media_is_connected(stage):
    host, joined = await stage.joined("host")
    assert (joined["state"], joined["publishing"]) == ("waiting", False)
    assert joined["resume"]
    assert stage.warmed == 1
    (published,) = await host.ask("publish", sdp=HOST_OFFER)
    assert published["type"] == "published"
    answer = SessionDescription.parse(published["sdp"])
    assert [section.direction for section in answer.media] == ["recvonly", "recvonly"]
    assert stage.node.listing()[0].state == "waiting"
    stage.endpoint.transports[0].handler.connected()
    assert host.told() == [{"type": "host_media", "state": "connected"}]
    assert stage.node.listing()[0].state == "live"


async def test_a_viewer_who_joins_first_waits_for_the_host(stage):
    viewer, joined = await stage.joined("viewer")
    assert joined["state"] == "waiting"
    assert error_code(await viewer.ask("subscribe", sdp=VIEWER_OFFER)) == "not_live"
    host, _ = await stage.joined("host")
    await host.ask("publish", sdp=HOST_OFFER)
    assert viewer.types() == []
    stage.endpoint.transports[0].handler.connected()
    assert viewer.types() == ["host_live", "host_media"]
    (subscribed,) = await viewer.ask("subscribe", sdp=VIEWER_OFFER)
    assert subscribed["type"] == "subscribed"
    answer = SessionDescription.parse(subscribed["sdp"])
    assert [section.direction for section in answer.media] == ["sendonly", "sendonly"]


async def test_a_viewer_who_comes_late_subscribes_at_once(stage):
    host, _ = await stage.live_host()
    viewer, joined = await stage.joined("viewer", name="Ada")
    assert (joined["state"], joined["viewers"]) == ("live", 1)
    await stage.subscribe(viewer)
    (announced,) = [m for m in host.told() if m["type"] == "peer_joined"]
    assert (announced["peer"], announced["name"]) == (joined["peer"], "Ada")


async def test_a_keyframe_is_asked_for_when_a_viewer_joins_before_it_subscribes(stage):
    host, _ = await stage.live_host()
    transport = stage.endpoint.transports[0]
    keyframe = b"\x10\x00\x00\x00\x9d\x01\x2a\x00\x05\xd0\x02"
    transport.handler.received_rtp(
        write_rtp(RtpPacket(96, True, 1, 3000, 96, {}, keyframe)), stage.clock.now
    )
    stage.clock.now += 10
    asked = len(transport.reports)
    await stage.joined("viewer")
    assert len(transport.reports) == asked + 1
    await host.ask("leave")
    await stage.joined("viewer")  # nobody is there to be asked


async def test_a_second_host_is_refused(stage):
    await stage.live_host()
    second = await stage.caller()
    answer = await second.ask("join", version=1, room="r", role="host")
    assert error_code(answer) == "room_taken"
    answer = await second.ask("join", version=1, room="r", role="host", resume="a guess")
    assert error_code(answer) == "room_taken"
    assert stage.warmed == 1
    # The connection may go elsewhere.
    assert types(await second.ask("join", version=1, room="other", role="host")) == ["joined"]


async def test_rooms_do_not_know_of_each_other(stage):
    _, one = await stage.live_host("one")
    _, two = await stage.live_host("two")
    viewer, media = await stage.watching("one")
    two.close("lost")
    assert viewer.types() == []
    assert (one.reason, media.reason) == (None, None)


# The host's connection.


async def test_a_host_comes_back_within_its_grace_and_viewers_notice_little(stage):
    host, joined = await stage.joined("host")
    media = await stage.publish(host)
    viewer, watched = await stage.watching()
    viewer.told()
    await host.drop()
    assert viewer.told() == [{"type": "host_away", "grace_s": 10.0}]
    stage.wait(9.9)
    assert (media.reason, watched.reason) == (None, None)
    back, again = await stage.joined("host", resume=joined["resume"])
    assert (again["peer"], again["publishing"]) == (joined["peer"], True)
    assert viewer.types() == ["host_returned"]
    stage.wait(60)
    assert (media.reason, watched.reason) == (None, None)
    assert back.close is None


async def test_the_grace_of_a_host_ends(stage):
    host, _ = await stage.joined("host")
    media = await stage.publish(host)
    viewer, watched = await stage.watching()
    viewer.told()
    await host.drop()
    stage.wait(10.1)
    assert types(viewer.told()) == ["host_away", "host_left"]
    assert media.reason == "the host has gone: timeout"
    # The viewer stays for the next host.
    assert watched.reason is None
    _, joined = await stage.joined("host")
    assert (joined["publishing"], joined["viewers"]) == (False, 1)


async def test_a_resumed_session_replaces_its_other_connection(stage):
    host, joined = await stage.joined("host")
    media = await stage.publish(host)
    host.told()
    viewer, _ = await stage.joined("viewer")
    await stage.joined("host", resume=joined["resume"])
    assert host.told()[-1] == {"type": "left", "reason": "replaced"}
    assert host.close is not None
    assert host.close.code == 1000
    # The end of the old connection is no drop.
    await host.drop()
    assert viewer.types() == []
    stage.wait(60)
    assert media.reason is None


async def test_a_host_who_publishes_again_is_replaced_only_when_the_new_way_is_up(stage):
    host, first = await stage.live_host()
    viewer, watched = await stage.watching()
    viewer.told()
    await host.ask("publish", sdp=HOST_OFFER)
    second = stage.endpoint.transports[-1]
    assert first.reason is None
    second.handler.connected()
    assert (first.reason, second.reason, watched.reason) == ("replaced", None, None)
    assert viewer.types() == ["host_live", "host_media"]


async def test_an_attempt_to_publish_replaces_the_one_before_it(stage):
    host, _ = await stage.joined("host")
    await host.ask("publish", sdp=HOST_OFFER)
    await host.ask("publish", sdp=HOST_OFFER)
    first, second = stage.endpoint.transports
    assert (first.reason, second.reason) == ("replaced", None)
    # What the replaced one still says is not heard.
    first.handler.connected()
    assert stage.node.listing()[0].state == "waiting"
    second.close("not connected in time")
    assert host.told() == []


async def test_everybody_is_told_when_the_media_of_the_host_is_lost(stage):
    host, media = await stage.live_host()
    viewer, _ = await stage.watching()
    host.told()
    viewer.told()
    media.close("no sign of life from the peer")
    assert host.told() == viewer.told() == [{"type": "host_media", "state": "lost"}]
    await stage.publish(host)
    assert viewer.types() == ["host_live", "host_media"]


# Leaving.


async def test_a_host_leaves(stage):
    host, media = await stage.live_host()
    viewer, watched = await stage.watching()
    viewer.told()
    left = (await host.ask("leave"))[-1]
    assert left == {"type": "left", "reason": "left", "reply_to": "q"}
    assert (host.close.code, host.close.reason) == (1000, "left")
    assert media.reason == "the host has gone: left"
    assert watched.reason is None
    assert viewer.types() == ["host_left"]
    await host.drop()
    assert viewer.types() == []


async def test_a_viewer_leaves(stage):
    host, media = await stage.live_host()
    viewer, watched = await stage.watching()
    host.told()
    assert types(await viewer.ask("leave")) == ["left"]
    assert (watched.reason, media.reason) == ("left", None)
    assert host.types() == ["peer_left"]


async def test_a_viewer_who_never_subscribed_leaves(stage):
    viewer, _ = await stage.joined("viewer")
    assert types(await viewer.ask("leave")) == ["left"]
    assert stage.node.listing() == []


async def test_a_viewer_whose_connection_drops_keeps_its_media(stage):
    host, _ = await stage.live_host()
    viewer, watched = await stage.watching()
    await viewer.drop()
    assert host.types()[-1] == "peer_left"
    assert watched.reason is None
    await host.ask("leave")
    # Nobody is in the room any more.
    assert watched.reason == "the room is closed"


async def test_a_host_stops_and_starts_again(stage):
    host, media = await stage.live_host()
    viewer, watched = await stage.watching()
    host.told()
    viewer.told()
    answer = await host.ask("unpublish")
    assert answer[-1] == {"type": "unpublished", "reply_to": "q"}
    assert media.reason == "unpublished"
    assert watched.reason is None
    assert viewer.told()[-1] == {"type": "host_left", "reason": "stopped"}
    assert error_code(await viewer.ask("subscribe", sdp=VIEWER_OFFER)) == "not_live"
    await stage.publish(host)
    assert viewer.types() == ["host_live", "host_media"]


async def test_a_viewer_unsubscribes_and_subscribes_again(stage):
    await stage.live_host()
    viewer, first = await stage.watching()
    answer = await viewer.ask("unsubscribe")
    assert answer[-1] == {"type": "unsubscribed", "reply_to": "q"}
    assert first.reason == "unsubscribed"
    second = await stage.subscribe(viewer)
    third = await stage.subscribe(viewer)
    assert (second.reason, third.reason) == ("replaced", None)


# Bad requests.


@pytest.mark.parametrize(
    ("sdp", "code"),
    [
        ("v=0", "bad_sdp"),
        ("\x00", "bad_sdp"),
        (VIEWER_OFFER, "bad_sdp"),
        (unknown_video(HOST_OFFER), "unsupported_codec"),
    ],
)
async def test_a_bad_publication_is_refused_and_the_connection_goes_on(stage, sdp, code):
    host, _ = await stage.joined("host")
    assert error_code(await host.ask("publish", sdp=sdp)) == code
    assert stage.endpoint.transports == []
    await stage.publish(host)


@pytest.mark.parametrize(
    ("sdp", "code"),
    [
        ("v=0", "bad_sdp"),
        (HOST_OFFER, "bad_sdp"),
        (unknown_video(VIEWER_OFFER), "unsupported_codec"),
        (VIEWER_OFFER.replace("opus", "opera"), "unsupported_codec"),
    ],
)
async def test_a_bad_subscription_is_refused_and_the_former_one_goes_on(stage, sdp, code):
    await stage.live_host()
    viewer, watched = await stage.watching()
    assert error_code(await viewer.ask("subscribe", sdp=sdp)) == code
    assert watched.reason is None


@pytest.mark.parametrize("kind", ["publish", "unpublish", "set_filter"])
async def test_a_viewer_does_not_do_what_hosts_do(stage, kind):
    await stage.live_host()
    viewer, _ = await stage.joined("viewer")
    fields = {"sdp": HOST_OFFER} if kind == "publish" else {}
    assert error_code(await viewer.ask(kind, **fields)) == "not_allowed"


@pytest.mark.parametrize(
    "message",
    [Publish(sdp=HOST_OFFER), Unpublish(), SetFilter(enabled=True, consent=True)],
    ids=lambda m: m.type,
)
async def test_rights_do_not_depend_on_the_protocol(stage, message):
    _, media = await stage.live_host()
    viewer, _ = await stage.joined("viewer")
    with pytest.raises(Refused) as refused:
        await stage.node.handle(viewer.connection, message)
    assert refused.value.code is ErrorCode.NOT_ALLOWED
    assert media.reason is None
    assert len(stage.endpoint.transports) == 1
    assert stage.streams.made == []


async def test_nothing_is_done_for_who_has_not_joined(stage):
    stranger = await stage.caller()
    for message in (Publish(sdp=HOST_OFFER), Subscribe(sdp=VIEWER_OFFER), SetFilter()):
        with pytest.raises(Refused) as refused:
            await stage.node.handle(stranger.connection, message)
        assert refused.value.code is ErrorCode.WRONG_ORDER
    await stranger.drop()
