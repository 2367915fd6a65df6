"""Tests of the Python viewer against a stand-in server with real media."""

import pytest

from mediasrv.client import ClientError, ViewerClient, room_client
from mediasrv.client import viewer as viewer_module
from mediasrv.client.errors import MediaNotConnected
from mediasrv.client.sources.pattern import luma_of, read_counter
from mediasrv.media import Codec
from signaling import Refused
from signaling.messages import Error, HostAway, HostLeft, HostLive, HostReturned, Left, Subscribed
from tests.unit.mediasrv.client.fake_server import PATIENCE_S


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Reconnect at once."""
    monkeypatch.setattr(room_client, "BACKOFF_FIRST_S", 0.01)


class Collector:
    def __init__(self):
        self.counters = []
        self.sounds = 0

    def take_image(self, image, now_s):
        self.counters.append(read_counter(luma_of(image)))

    def take_sound(self, sound, now_s):
        self.sounds += 1


@pytest.mark.parametrize("codec", list(Codec))
async def test_a_viewer_of_a_live_room_sees_and_hears(server, codec):
    server.codec = codec
    seen = Collector()
    async with ViewerClient(server.url, "demo", sinks=(seen,)) as viewer:
        assert 0 < await viewer.first_frame(PATIENCE_S) < 5000
        await viewer.until(lambda: len(seen.counters) > 5 and seen.sounds > 5, PATIENCE_S)
        report = await viewer.watch(0.2)
    assert None not in seen.counters
    assert (report.width, report.height, report.video.codec) == (160, 96, codec)
    assert report.frames > 5
    assert report.audio_frames > 5
    assert report.connected_ms < report.first_frame_ms
    assert report.video.bitrate_bps > 0
    assert (report.joins, report.subscriptions, report.video.lost) == (1, 1, 0)


async def test_packets_can_be_counted_without_decoding(server):
    async with ViewerClient(server.url, "demo", decode=False, keep_packets=True) as viewer:
        await viewer.first_frame(PATIENCE_S)
        await viewer.until(lambda: viewer.measurement.images.frames > 5, PATIENCE_S)
        report = viewer.report()
        assert len(viewer.received.payloads("video")) == viewer.received.streams["video"].packets
    assert not report.decoded
    assert (report.width, report.audio_frames) == (0, 0)
    assert report.audio.packets > 0


async def test_a_viewer_who_is_there_first_waits_for_the_host(server):
    server.live = False
    async with ViewerClient(server.url, "demo") as viewer:
        with pytest.raises(TimeoutError):
            await viewer.first_frame(0.1)
        assert server.kinds() == ["join"]
        await server.say(HostLive())
        await viewer.first_frame(PATIENCE_S)


async def test_a_host_who_is_away_for_a_moment_changes_nothing(server):
    async with ViewerClient(server.url, "demo") as viewer:
        await viewer.first_frame(PATIENCE_S)
        await server.say(HostAway(grace_s=10.0))
        await viewer.until(lambda: viewer.state == "away", PATIENCE_S)
        await server.say(HostReturned())
        await viewer.until(lambda: viewer.state == "live", PATIENCE_S)
        assert server.kinds() == ["join", "subscribe"]


async def test_a_host_who_left_and_came_back_is_subscribed_anew(server):
    async with ViewerClient(server.url, "demo") as viewer:
        await viewer.first_frame(PATIENCE_S)
        await server.say(HostLeft(reason="stopped"))
        await viewer.until(lambda: viewer.subscription is None, PATIENCE_S)
        await server.say(HostLive())
        await viewer.until(lambda: viewer.subscriptions == 2, PATIENCE_S)
        before = viewer.measurement.images.frames
        await viewer.until(lambda: viewer.measurement.images.frames > before, PATIENCE_S)


async def test_a_dropped_socket_keeps_the_media(server):
    async with ViewerClient(server.url, "demo") as viewer:
        await viewer.first_frame(PATIENCE_S)
        viewer.drop_socket()
        await viewer.until(lambda: viewer.joins == 2, PATIENCE_S)
        before = viewer.measurement.images.frames
        await viewer.until(lambda: viewer.measurement.images.frames > before + 3, PATIENCE_S)
        assert server.kinds() == ["join", "subscribe", "join"]


async def test_a_server_that_restarts_is_joined_again(server):
    async with ViewerClient(server.url, "demo") as viewer:
        await viewer.first_frame(PATIENCE_S)
        await server.say(Left(reason="shutdown"))
        await server.hang_up()
        await viewer.until(lambda: viewer.joins == 2, PATIENCE_S)


async def test_lost_media_is_subscribed_again(server):
    async with ViewerClient(server.url, "demo") as viewer:
        await viewer.first_frame(PATIENCE_S)
        await server.media[0].close()
        await viewer.until(lambda: viewer.subscriptions == 2, PATIENCE_S)
        before = viewer.measurement.images.frames
        await viewer.until(lambda: viewer.measurement.images.frames > before, PATIENCE_S)


async def test_a_host_who_left_in_between_is_waited_for(server):
    async def not_live(message):
        del server.rules["subscribe"]
        return Error(code="not_live", message="the host left")

    server.rules["subscribe"] = not_live
    async with ViewerClient(server.url, "demo") as viewer:
        await viewer.until(lambda: "subscribe" not in server.rules, PATIENCE_S)
        await server.say(HostLive())
        await viewer.first_frame(PATIENCE_S)


async def test_a_refused_subscription_ends_the_session(server):
    async def refuse(message):
        return Error(code="unsupported_codec", message="nothing in common")

    server.rules["subscribe"] = refuse
    async with ViewerClient(server.url, "demo") as viewer:
        with pytest.raises(Refused, match="nothing in common"):
            await viewer.stay(PATIENCE_S)


@pytest.mark.parametrize("answer", ["v=0", "not sdp", "v=0\r\nm=video 9 RTP/AVP 0\r\n"])
async def test_an_answer_that_cannot_be_used_is_given_up_after_some_tries(server, answer):
    async def nonsense(message):
        return Subscribed(sdp=answer)

    server.rules["subscribe"] = nonsense
    async with ViewerClient(server.url, "demo") as viewer:
        with pytest.raises(MediaNotConnected, match="cannot be used"):
            await viewer.stay(PATIENCE_S)
    assert server.kinds().count("subscribe") == viewer_module.CONNECT_ATTEMPTS


async def test_reconnecting_ends_at_some_time(server, monkeypatch):
    monkeypatch.setattr(room_client, "RECONNECT_FOR_S", 0.05)

    async def gone(message):
        await server.hang_up()

    async with ViewerClient(server.url, "demo") as viewer:
        server.rules["join"] = gone
        viewer.drop_socket()
        with pytest.raises(ClientError):
            await viewer.stay(PATIENCE_S)


async def test_there_is_nothing_received_before_a_subscription(server):
    server.live = False
    async with ViewerClient(server.url, "demo") as viewer:
        with pytest.raises(MediaNotConnected):
            viewer.received  # noqa: B018
