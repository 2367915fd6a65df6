"""Tests of the Python host against a stand-in server with real media."""

import asyncio

import pytest

from mediasrv.client import (
    ClientError,
    EncodedSource,
    Encoding,
    HostClient,
    PatternSource,
    SourceUnavailable,
    room_client,
)
from mediasrv.client.sources.encoded import encode_frames
from mediasrv.client.sources.pattern import PatternImages
from mediasrv.media import Codec
from signaling import Refused
from signaling.messages import Error, FilterChanged, FilterView, HostMedia, Left, ViewersChanged
from tests.unit.mediasrv.client.fake_server import PATIENCE_S

SMALL = PatternSource(160, 96, 30.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Reconnect at once."""
    monkeypatch.setattr(room_client, "BACKOFF_FIRST_S", 0.01)


@pytest.fixture
def frames():
    return encode_frames(PatternImages(160, 96), Codec.VP8, count=20, keyframe_every=5)


async def test_an_open_host_has_media_at_the_server(server):
    server.live = False
    async with HostClient(server.url, "demo", SMALL) as host:
        await host.until(lambda: server.images >= 3 and server.sounds >= 3, PATIENCE_S)
        assert server.kinds() == ["join", "publish"]
    assert server.kinds()[-1] == "leave"


@pytest.mark.parametrize("codec", list(Codec))
async def test_only_the_chosen_codec_is_offered(server, codec):
    server.live = False
    async with HostClient(server.url, "demo", SMALL, encoding=Encoding(codec)):
        offer = server.seen[1].sdp
    names = {"vp8": "VP8/90000", "h264": "H264/90000"}
    assert names.pop(codec) in offer
    assert not any(name in offer for name in names.values())


async def test_the_filter_is_on_before_anything_is_published(server):
    server.live = False
    async with HostClient(server.url, "demo", SMALL, parameters={"smooth": 60}) as host:
        assert server.kinds() == ["join", "set_filter", "publish"]
        assert server.seen[1].enabled
        assert server.seen[1].consent  # giving parameters is the host's yes
        assert host.filter.params == {"smooth": 60}


async def test_a_room_with_a_host_is_refused_in_one_line(server):
    async def refuse(message):
        return Error(code="room_taken", message="this room has a host already")

    server.rules["join"] = refuse
    with pytest.raises(Refused, match="has a host already"):
        async with HostClient(server.url, "demo", SMALL):
            pass


async def test_a_refused_publication_ends_the_session(server):
    async def refuse(message):
        return Error(code="unsupported_codec", message="not that codec")

    server.live = False
    server.rules["publish"] = refuse
    with pytest.raises(Refused, match="not that codec"):
        async with HostClient(server.url, "demo", SMALL):
            pass


async def test_a_source_that_cannot_be_opened_is_named(server, tmp_path):
    class Broken:
        def open(self, encoding):
            raise SourceUnavailable("no such camera")

    server.live = False
    with pytest.raises(SourceUnavailable, match="no such camera"):
        async with HostClient(server.url, "demo", Broken()):
            pass


async def test_a_source_that_breaks_while_live_ends_the_session(server):
    class Breaking:
        def open(self, encoding):
            tracks = SMALL.open(encoding)
            images = tracks.video._source
            original = images.next_image

            def next_image():
                timed = original()
                if timed.time_s > 0.3:
                    raise SourceUnavailable("the camera was unplugged")
                return timed

            images.next_image = next_image
            return tracks

    server.live = False
    async with HostClient(server.url, "demo", Breaking()) as host:
        with pytest.raises(SourceUnavailable, match="unplugged"):
            await host.stay(PATIENCE_S)


async def test_a_dropped_socket_is_resumed_without_publishing_again(server):
    server.live = False
    async with HostClient(server.url, "demo", SMALL) as host:
        server.live = True
        before = server.images
        host.drop_socket()
        await host.until(lambda: host.joins == 2, PATIENCE_S)
        await host.until(lambda: server.images > before + 3, PATIENCE_S)
        assert server.kinds() == ["join", "publish", "join"]
        assert server.seen[2].resume == "secret"
        assert host.publications == 1


async def test_a_server_that_forgot_the_publication_gets_it_again(server):
    server.live = False
    async with HostClient(server.url, "demo", SMALL) as host:
        host.drop_socket()
        await host.until(lambda: host.joins == 2, PATIENCE_S)
        await host.until(lambda: server.kinds().count("publish") == 2, PATIENCE_S)
        await host.until(lambda: host.publication and host.publication.path.connected_s, PATIENCE_S)


async def test_lost_media_is_published_again(server):
    server.live = False
    async with HostClient(server.url, "demo", SMALL) as host:
        await host.until(lambda: server.images > 1 and server.sounds > 1, PATIENCE_S)
        await server.media[0].close()
        await host.until(lambda: host.publications == 2, PATIENCE_S)
        await host.until(lambda: host.publication and host.publication.path.connected_s, PATIENCE_S)
        assert server.kinds() == ["join", "publish", "publish"]


async def test_somebody_who_resumes_the_session_ends_this_one(server):
    server.live = False
    async with HostClient(server.url, "demo", SMALL) as host:
        await server.say(Left(reason="replaced"))
        with pytest.raises(ClientError, match="somebody else"):
            await host.stay(PATIENCE_S)


async def test_what_the_server_tells_is_known(server):
    server.live = False
    async with HostClient(server.url, "demo", SMALL) as host:
        view = FilterView(state="on", enabled=True, params={"smooth": 1, "brighten": 2})
        await server.say(
            ViewersChanged(viewers=7), HostMedia(state="connected"), FilterChanged(filter=view)
        )
        await host.until(lambda: host.filter == view, PATIENCE_S)
        assert (host.viewers, host.media_state) == (7, "connected")


async def test_consent_is_said_with_the_switch_and_taken_back_by_name(server):
    server.live = False
    async with HostClient(server.url, "demo", SMALL) as host:
        await host.set_filter(enabled=True, consent=True)
        await host.set_filter(consent=False)
        said = [message for message in server.seen if message.type == "set_filter"]
        assert [(each.enabled, each.consent) for each in said] == [(True, True), (None, False)]


async def test_a_refused_filter_leaves_the_session_alone(server):
    async def refuse(message):
        return Error(code="bad_filter", message="unknown filter")

    server.live = False
    server.rules["set_filter"] = refuse
    async with HostClient(server.url, "demo", SMALL) as host:
        with pytest.raises(Refused, match="unknown filter"):
            await host.set_filter(enabled=True)
        before = server.images
        await host.until(lambda: server.images > before, PATIENCE_S)


async def test_a_keyframe_request_reaches_the_source(server, frames):
    server.live = False
    async with HostClient(server.url, "demo", EncodedSource(frames)) as host:
        await host.until(lambda: server.images > 1, PATIENCE_S)
        receiver = server.media[0].getTransceivers()[0].receiver
        ssrc = receiver.getSynchronizationSources()[0].source
        await receiver._send_rtcp_pli(ssrc)
        video = host.publication.tracks.video
        await host.until(lambda: video.keyframe_requests == 1, PATIENCE_S)


async def test_what_was_sent_is_kept_byte_for_byte(server, frames):
    server.live = False
    async with HostClient(server.url, "demo", EncodedSource(frames), keep_packets=True) as host:
        await host.until(lambda: server.images > 5, PATIENCE_S)
        payloads = host.sent.payloads("video")
    sent = b"".join(_without_descriptor(payload) for payload in payloads)
    whole = b"".join(frame.payload for frame in frames * 10)
    assert whole.startswith(sent)


def test_frames_of_another_codec_are_refused(frames):
    with pytest.raises(SourceUnavailable, match="h264"):
        EncodedSource(frames).open(Encoding(Codec.H264))


async def test_closing_twice_is_fine(server):
    server.live = False
    host = HostClient(server.url, "demo", SMALL)
    await host.open()
    await host.close()
    await host.close()


async def test_closing_what_was_never_opened_is_fine(server):
    await HostClient(server.url, "demo", SMALL).close()


async def test_a_cancelled_opening_leaves_nothing(server):
    async def never(message):
        return None

    server.rules["publish"] = never
    server.live = False
    host = HostClient(server.url, "demo", SMALL)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(host.open(), 0.3)
    await host.close()


def _without_descriptor(payload):
    # RFC 7741: X, I and a 15-bit picture id make four bytes, a small picture id three.
    return payload[4 if payload[2] & 0x80 else 3 :]
