import asyncio
import logging
from typing import cast

import pytest

from mediasrv.errors import NegotiationError, UnsupportedCodec
from mediasrv.relay.rtcp import (
    KeyframeRequest,
    parse_rtcp,
    write_pli,
    write_receiver_report,
    write_sender_report,
)
from mediasrv.relay.rtcp import SenderReport as Report
from mediasrv.relay.rtp import RtpPacket, write_rtp
from mediasrv.room_media import RoomMedia
from mediasrv.transport.endpoint import TransportEndpoint
from tests.node_stage import (
    HOST_OFFER,
    OFF,
    VIEWER_OFFER,
    Clock,
    FakeEndpoint,
    FakeStreams,
    FakeTransport,
)
from tests.sdp_offers import offer_text

KEYFRAME = b"\x10\x00\x00\x00\x9d\x01\x2a\x00\x05\xd0\x02" + bytes(range(200))
DELTA = b"\x10\x01" + bytes(range(100))
VIDEO, AUDIO = 96, 111


class Room:
    """A room's media with what it told."""

    def __init__(self) -> None:
        self.clock, self.endpoint, self.streams = Clock(), FakeEndpoint(), FakeStreams()
        self.told: list[str] = []
        self.work: list[asyncio.Task[None]] = []
        self.media = RoomMedia(
            cast("TransportEndpoint", self.endpoint),
            self.streams,
            clock=self.clock,
            spawn=lambda work: self.work.append(asyncio.create_task(work)),
            filter_changed=lambda view: self.told.append(f"filter {view.state}"),
            host_media_changed=lambda state: self.told.append(f"media {state}"),
            qualities_wanted=lambda rids: self.told.append(f"qualities {' '.join(rids)}"),
            initial_filter=OFF,
        )
        self.sequence = 0

    def publish(self, offer: str = HOST_OFFER) -> FakeTransport:
        """Publish and connect."""
        self.media.publish(offer)
        transport = self.endpoint.transports[-1]
        transport.handler.connected()
        return transport

    def subscribe(self, viewer: str = "v", offer: str = VIEWER_OFFER) -> FakeTransport:
        """Subscribe and connect."""
        self.media.subscribe(viewer, offer)
        transport = self.endpoint.transports[-1]
        transport.handler.connected()
        return transport

    def feed(
        self, host: FakeTransport, payload: bytes, *, kind: int = VIDEO, marker: bool = True
    ) -> None:
        """Let a packet of the host arrive."""
        self.sequence += 1
        packet = RtpPacket(kind, marker, self.sequence, 3000 * self.sequence, kind, {}, payload)
        host.handler.received_rtp(write_rtp(packet), self.clock.now)


@pytest.fixture
async def room():
    made = Room()
    yield made
    made.media.close("the test is over")
    if made.work:
        await asyncio.wait(made.work)
    assert made.endpoint.open_transports == []
    assert all(stream.reason is not None for stream in made.streams.made)


def payloads(transport: FakeTransport, kind: int | None = None) -> list[bytes]:
    return [p.payload for p in transport.sent if kind is None or p.payload_type == kind]


def keyframes_asked(host: FakeTransport) -> int:
    messages = [message for report in host.reports for message in parse_rtcp(report)]
    return sum(isinstance(message, KeyframeRequest) for message in messages)


# Media.


async def test_who_has_left_and_their_transport_do_not_keep_each_other(room):
    for transport in (room.publish(), room.subscribe()):
        assert transport.handler.transport is transport
        transport.close("gone")
        assert transport.handler.transport is None


async def test_packets_reach_every_viewer_as_they_came(room):
    host = room.publish()
    viewers = [room.subscribe(f"v{i}") for i in range(3)]
    room.feed(host, KEYFRAME)
    room.feed(host, DELTA)
    room.feed(host, b"sound", kind=AUDIO)
    for viewer in viewers:
        assert payloads(viewer, VIDEO) == [KEYFRAME, DELTA]
        assert payloads(viewer, AUDIO) == [b"sound"]


async def test_a_viewer_whose_transport_is_not_connected_is_sent_nothing(room):
    host = room.publish()
    room.media.subscribe("v", VIEWER_OFFER)
    room.feed(host, KEYFRAME)
    assert room.endpoint.transports[-1].sent == []


async def test_what_waits_for_the_rest_of_its_frame_leaves_soon(room):
    host, viewer = room.publish(), room.subscribe()
    room.feed(host, KEYFRAME, marker=False)
    assert viewer.sent == []
    async with asyncio.timeout(5):
        while not viewer.sent:
            room.clock.now += 0.001
            await asyncio.sleep(0.001)
    assert payloads(viewer) == [KEYFRAME]


async def test_a_timer_that_comes_early_is_set_again(room):
    host, viewer = room.publish(), room.subscribe()
    room.feed(host, KEYFRAME, marker=False)
    # The loop's clock has gone on, the room's has not.
    for _ in range(3):
        await asyncio.sleep(0.003)
    assert viewer.sent == []
    room.clock.now += 1
    async with asyncio.timeout(5):
        while not viewer.sent:  # noqa: ASYNC110 (2 ms of the loop's own time)
            await asyncio.sleep(0.001)


async def test_closing_forgets_what_waits(room, monkeypatch):
    host, viewer = room.publish(), room.subscribe()
    room.feed(host, KEYFRAME, marker=False)
    room.media.close("the end")
    flushed: list[float] = []
    monkeypatch.setattr(room.media.broadcast, "advance", flushed.append)
    room.clock.now += 1
    await asyncio.sleep(0.005)
    assert (flushed, viewer.sent) == ([], [])
    assert (host.reason, viewer.reason) == ("the end", "the end")
    room.media.close("again")
    assert host.reason == "the end"


async def test_a_viewer_s_wish_for_a_keyframe_reaches_the_host(room):
    host, viewer = room.publish(), room.subscribe()
    room.feed(host, KEYFRAME)
    before = keyframes_asked(host)
    room.clock.now += 1
    ssrc = viewer.sent[0].ssrc
    viewer.handler.received_rtcp(write_receiver_report(1, []) + write_pli(1, ssrc), room.clock.now)
    assert keyframes_asked(host) == before + 1


async def test_reports_of_the_host_become_those_of_viewers(room):
    host, viewer = room.publish(), room.subscribe()
    room.feed(host, KEYFRAME)
    host.handler.received_rtcp(write_sender_report(Report(VIDEO, 1 << 40, 3000, 1, 1)), 1000.0)
    room.media.tick(room.clock.now)
    (report,) = viewer.reports
    (sent, *_) = parse_rtcp(report)
    assert isinstance(sent, Report)
    assert (sent.ssrc, sent.packets) == (viewer.sent[0].ssrc, 1)


async def test_what_a_viewer_sends_as_media_is_ignored(room):
    host, viewer = room.publish(), room.subscribe()
    viewer.handler.received_rtp(b"\x80\x60" + bytes(20), room.clock.now)
    assert (host.sent, viewer.sent) == ([], [])


# Connections.


async def test_what_a_replaced_connection_of_the_host_still_says_is_not_heard(room):
    first = room.publish()
    viewer = room.subscribe()
    room.feed(first, KEYFRAME)
    second = room.publish()
    assert first.reason == "replaced"
    room.feed(first, b"\x10\x00late")
    first.handler.received_rtcp(b"\x80\xc9\x00\x01" + bytes(4), room.clock.now)
    room.feed(second, KEYFRAME)
    assert payloads(viewer) == [KEYFRAME, KEYFRAME]
    assert room.told == ["media connected", "media connected"]


async def test_media_before_the_connection_is_up_is_not_heard(room):
    viewer = room.subscribe()
    room.media.publish(HOST_OFFER)
    room.feed(room.endpoint.transports[-1], KEYFRAME)
    assert viewer.sent == []


async def test_a_new_connection_that_fails_leaves_the_old_one_alone(room, caplog):
    first = room.publish()
    room.media.publish(HOST_OFFER)
    with caplog.at_level(logging.INFO):
        room.endpoint.transports[-1].close("not connected in time")
    assert "not connected in time" in caplog.text
    assert first.reason is None
    assert room.told == ["media connected"]


async def test_the_end_of_the_host_s_media_is_told_once(room):
    host = room.publish()
    host.close("lost")
    assert room.told == ["media connected", "media lost"]
    room.media.unpublish("unpublished")
    assert room.told == ["media connected", "media lost"]


async def test_unpublishing_ends_connections_that_are_not_up_yet(room):
    first = room.publish()
    room.media.publish(HOST_OFFER)
    second = room.endpoint.transports[-1]
    room.media.unpublish("enough")
    assert (first.reason, second.reason) == ("enough", "enough")
    assert room.told == ["media connected", "media lost"]


async def test_a_replaced_subscription_is_not_heard_any_more(room):
    host, first = room.publish(), room.subscribe()
    second = room.subscribe()
    room.feed(host, KEYFRAME)
    assert (first.reason, first.sent) == ("replaced", [])
    assert payloads(second) == [KEYFRAME]
    before = keyframes_asked(host)
    room.clock.now += 1
    first.handler.connected()
    pli = write_receiver_report(1, []) + write_pli(1, second.sent[0].ssrc)
    first.handler.received_rtcp(pli, room.clock.now)
    first.handler.closed("again")
    room.feed(host, DELTA)
    assert keyframes_asked(host) == before
    assert payloads(second) == [KEYFRAME, DELTA]


async def test_a_viewer_whose_transport_ends_is_forgotten(room):
    host, viewer = room.publish(), room.subscribe()
    viewer.close("closed by the peer")
    room.feed(host, KEYFRAME)
    assert viewer.sent == []
    room.media.unsubscribe("v", "again")
    room.media.unsubscribe("nobody", "ever")


# Offers.


async def test_an_offer_that_fails_changes_nothing(room):
    host, viewer = room.publish(), room.subscribe()
    with pytest.raises(NegotiationError):
        room.media.publish("v=0")
    with pytest.raises(NegotiationError):
        room.media.publish(VIEWER_OFFER)
    with pytest.raises(NegotiationError):
        room.media.subscribe("v", HOST_OFFER)
    assert (host.reason, viewer.reason) == (None, None)
    assert len(room.endpoint.transports) == 2


async def test_a_viewer_that_cannot_play_the_room_s_codec_is_refused(room):
    room.publish(offer_text("obs-whip-host"))
    with pytest.raises(UnsupportedCodec, match="h264"):
        room.media.subscribe("v", offer_text("firefox-viewer"))


async def test_answers_carry_the_transport_s_own_secrets(room):
    answers = [room.media.subscribe(f"v{i}", VIEWER_OFFER) for i in range(2)]
    for answer, transport in zip(answers, room.endpoint.transports, strict=True):
        assert f"a=ice-ufrag:{transport.ice.credentials.fragment}\r\n" in answer
        assert f"a=ice-pwd:{transport.ice.credentials.password}\r\n" in answer
        assert "a=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host\r\n" in answer


# The filter.


async def test_with_the_filter_on_frames_take_the_way_through_it(room):
    host, viewer = room.publish(), room.subscribe()
    room.feed(host, KEYFRAME)
    room.media.set_filter(True, {"smooth": 70, "brighten": 0}, True)
    await asyncio.sleep(0)
    (stream,) = room.streams.made
    assert room.told[-2:] == ["filter starting", "filter on"]
    room.feed(host, KEYFRAME)
    room.feed(host, DELTA)
    assert [frame.keyframe for frame in stream.frames][:1] == [True]
    # Nothing goes past the filter.
    assert payloads(viewer) == [KEYFRAME]
    filtered = stream.frames[0]
    stream.on_frame(filtered)
    assert len(viewer.sent) == 2
    assert viewer.sent[1].payload.endswith(filtered.payload)
    room.clock.now += 1
    room.subscribe("late")
    assert stream.keyframe_requests == 1


async def test_the_filter_ends_with_the_host_s_media(room):
    host = room.publish()
    room.media.set_filter(True, None, True)
    await asyncio.sleep(0)
    host.close("lost")
    await asyncio.wait(room.work)
    assert room.streams.made[0].reason is not None
    assert room.told[-2:] == ["filter off", "media lost"]


async def test_a_filter_that_is_switched_off_keeps_its_worker_for_a_while(room):
    room.publish()
    room.media.set_filter(True, None, True)
    await asyncio.sleep(0)
    room.media.set_filter(False, None)
    await asyncio.sleep(0)
    assert room.streams.made[0].reason is None
    room.media.set_filter(True, None, True)
    assert len(room.streams.made) == 1
