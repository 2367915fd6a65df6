"""Tests of pacing, keyframe requests and failing sources."""

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from mediasrv.client.encoder import VideoEncoder
from mediasrv.client.errors import SourceUnavailable
from mediasrv.client.sources.base import TimedImage
from mediasrv.client.sources.encoded import EncodedTrack, encode_frames
from mediasrv.client.sources.pattern import PatternImages, Tone
from mediasrv.client.tracks import LATE_S, AudioTrack, MediaClock, VideoTrack
from mediasrv.media import Codec


class Now:
    """A clock that a test moves."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def now():
    return Now()


class Images:
    """Images whose times a test sets."""

    fps = 30.0

    def __init__(self, *times_s, paced=True, failure=None):
        self.paced = paced
        self.closed = 0
        self._image = PatternImages(160, 96).next_image().image
        self._times_s = list(times_s)
        self._failure = failure

    def next_image(self):
        if not self._times_s:
            raise self._failure or SourceUnavailable("the end")
        return TimedImage(self._times_s.pop(0), self._image)

    def close(self):
        self.closed += 1


@pytest.fixture
async def open_track(now):
    opened = []

    def open_track(images):
        encoder = VideoEncoder(Codec.VP8, 200_000, images.fps)
        track = VideoTrack(images, encoder, MediaClock(now))
        opened.append(track)
        return track

    yield open_track
    for track in opened:
        track.stop()


def test_a_clock_begins_when_it_is_first_read(now):
    clock = MediaClock(now)
    assert clock.until(5.0) == 0.0
    now.now_s += 1.0
    assert clock.until(7.0) == pytest.approx(1.0)
    assert clock.until(5.0) == pytest.approx(-1.0)


async def test_the_first_image_is_a_keyframe_and_the_next_is_not(open_track):
    track = open_track(Images(0.0, 0.001))
    assert (await track.recv()).is_keyframe
    assert not (await track.recv()).is_keyframe


async def test_a_request_makes_the_next_image_a_keyframe(open_track):
    track = open_track(Images(0.0, 0.001))
    await track.recv()
    track.request_keyframe()
    assert (await track.recv()).is_keyframe
    assert track.keyframe_requests == 1


async def test_an_image_that_comes_too_late_is_skipped(open_track, now):
    track = open_track(Images(0.0, 0.1, 0.2, 0.3))
    await track.recv()
    now.now_s += 0.2 + LATE_S + 0.01
    assert (await track.recv()).pts == 0.3 * 90_000
    assert track.skipped == 2


async def test_an_image_that_is_only_a_little_late_is_sent(open_track, now):
    track = open_track(Images(0.0, 0.1))
    await track.recv()
    now.now_s += 0.1 + LATE_S / 2
    assert (await track.recv()).pts == 0.1 * 90_000
    assert track.skipped == 0


async def test_an_image_waits_until_it_is_due(open_track):
    track = open_track(Images(0.0, 3600.0))
    await track.recv()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(track.recv(), 0.05)


async def test_a_live_device_is_never_waited_for(open_track):
    track = open_track(Images(0.0, 3600.0, paced=False))
    await track.recv()
    assert (await track.recv()).pts == 3600 * 90_000


async def test_a_source_that_fails_ends_the_track_with_its_reason(open_track):
    images = Images(0.0)
    track = open_track(images)
    ended = asyncio.Event()
    track.on("ended", ended.set)
    await track.recv()
    with pytest.raises(MediaStreamError):
        await track.recv()
    assert ended.is_set()
    assert str(track.failure) == "the end"
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_stopping_closes_the_source_once(open_track):
    images = Images(0.0)
    track = open_track(images)
    await track.recv()
    track.stop()
    track.stop()
    while not images.closed:
        await asyncio.to_thread(lambda: None)
    assert images.closed == 1


async def test_sound_is_counted_in_samples(now):
    track = AudioTrack(Tone(), MediaClock(now))
    first = await track.recv()
    now.now_s += 0.02
    second = await track.recv()
    assert (first.pts, second.pts) == (0, 960)
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()


@pytest.fixture
def frames():
    return encode_frames(PatternImages(160, 96), Codec.VP8, count=10, keyframe_every=4)


def test_encoding_beforehand_places_keyframes(frames):
    assert [f.keyframe for f in frames] == [i % 4 == 0 for i in range(10)]
    assert [f.timestamp_ticks for f in frames[:3]] == [0, 3000, 6000]


async def test_encoded_frames_are_sent_as_they_are(frames, now):
    track = EncodedTrack(frames, 1000.0, MediaClock(now))
    sent = []
    for _ in range(12):
        sent.append(bytes(await track.recv()))
        now.now_s += 0.001
    assert sent == [f.payload for f in frames + frames[:2]]


@pytest.mark.parametrize(("taken", "following"), [(0, 0), (1, 4), (4, 4), (5, 8), (9, 0)])
async def test_a_request_jumps_to_the_next_keyframe(frames, now, taken, following):
    track = EncodedTrack(frames, 1000.0, MediaClock(now))
    for _ in range(taken):
        await track.recv()
        now.now_s += 0.001
    track.request_keyframe()
    assert bytes(await track.recv()) == frames[following].payload


@pytest.mark.parametrize("begin", [1, 10])
def test_frames_must_begin_with_a_keyframe(frames, now, begin):
    with pytest.raises(ValueError, match="keyframe"):
        EncodedTrack(frames[begin:], 30.0, MediaClock(now))
