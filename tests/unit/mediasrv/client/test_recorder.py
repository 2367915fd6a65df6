"""Tests of saving what a viewer sees."""

import av
import pytest

from mediasrv.client.errors import ClientError
from mediasrv.client.recorder import CODECS, QUEUE_MAX, Recorder
from mediasrv.client.sources.pattern import PatternImages, Tone, luma_of, read_counter

FPS = 30


def feed(recorder, count, *, size=(320, 192), begin_s=100.0):
    images, tone = PatternImages(*size), Tone()
    for position in range(count):
        recorder.take_image(images.next_image().image, begin_s + position / FPS)
    for position in range(round(count / FPS * 50)):
        recorder.take_sound(tone.next_sound(), begin_s + position / 50)


@pytest.mark.parametrize("suffix", sorted(CODECS))
async def test_what_was_seen_can_be_played(tmp_path, suffix):
    recorder = Recorder(tmp_path / f"saved{suffix}")
    feed(recorder, 30)
    await recorder.close()
    with av.open(str(recorder.path)) as container:
        counters = [read_counter(luma_of(image)) for image in container.decode(video=0)]
    with av.open(str(recorder.path)) as container:
        sounds = list(container.decode(audio=0))
    assert counters == list(range(30))
    assert sum(sound.samples for sound in sounds) == pytest.approx(48_000, abs=4000)
    assert recorder.dropped == 0


async def test_images_keep_their_times(tmp_path):
    recorder = Recorder(tmp_path / "saved.mkv")
    images = PatternImages(160, 96)
    for time_s in (10.0, 10.5, 12.0):
        recorder.take_image(images.next_image().image, time_s)
    await recorder.close()
    with av.open(str(recorder.path)) as container:
        assert [i.time for i in container.decode(video=0)] == pytest.approx([0, 0.5, 2], abs=0.02)


async def test_a_new_size_is_scaled_to_the_first(tmp_path):
    recorder = Recorder(tmp_path / "saved.mp4")
    feed(recorder, 3, size=(320, 192))
    feed(recorder, 3, size=(640, 384), begin_s=101.0)
    await recorder.close()
    with av.open(str(recorder.path)) as container:
        images = list(container.decode(video=0))
    assert {(image.width, image.height) for image in images} == {(320, 192)}
    assert len(images) == 6


async def test_images_in_the_same_instant_are_all_kept(tmp_path):
    recorder = Recorder(tmp_path / "saved.mkv")
    images = PatternImages(160, 96)
    for _ in range(5):
        recorder.take_image(images.next_image().image, 10.0)
    await recorder.close()
    with av.open(str(recorder.path)) as container:
        times_s = [image.time for image in container.decode(video=0)]
    assert len(times_s) == 5
    assert times_s == sorted(set(times_s))


async def test_sound_before_the_first_image_is_left_out(tmp_path):
    recorder = Recorder(tmp_path / "saved.mkv")
    recorder.take_sound(Tone().next_sound(), 9.0)
    feed(recorder, 3)
    await recorder.close()
    assert recorder.path.stat().st_size > 0


async def test_nothing_seen_makes_no_error(tmp_path):
    recorder = Recorder(tmp_path / "saved.mp4")
    await recorder.close()


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ClientError, match=r"\.mp4, \.mkv, \.webm"):
        Recorder(tmp_path / "saved.txt")


def test_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ClientError, match="cannot write"):
        Recorder(tmp_path / "nowhere" / "saved.mp4")


async def test_what_comes_too_fast_is_dropped_and_counted(tmp_path):
    recorder = Recorder(tmp_path / "saved.mkv")
    image = PatternImages(1280, 720).next_image().image
    for position in range(3 * QUEUE_MAX):
        recorder.take_image(image, position / 1000)
    assert recorder.dropped > 0
    await recorder.close()
