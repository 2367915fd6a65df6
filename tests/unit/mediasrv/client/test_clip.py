"""Tests of files as sources."""

from fractions import Fraction

import av
import numpy as np
import pytest

from mediasrv.client.errors import SourceUnavailable
from mediasrv.client.sources.base import AUDIO_FRAME_SAMPLES, AUDIO_RATE_HZ
from mediasrv.client.sources.clip import ClipImages, ClipSound, has_sound, silence
from mediasrv.client.sources.pattern import PatternImages, Tone, luma_of, read_counter

FRAMES, FPS = 15, 30
LOOP_S = FRAMES / FPS
TONE_S = 0.2


def write_clip(path, *, sound_s=LOOP_S, video=True):
    """A clip of the pattern with FRAMES pictures; the sound is a tone, then silence."""
    with av.open(str(path), "w") as container:
        if video:
            stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        if sound_s:
            audio = container.add_stream("aac", rate=AUDIO_RATE_HZ)
        if video:
            images = PatternImages(320, 192, FPS)
            for position in range(FRAMES):
                image = images.next_image().image
                image.pts, image.time_base = position, Fraction(1, FPS)
                container.mux(stream.encode(image))
            container.mux(stream.encode(None))
        if sound_s:
            tone = Tone()
            for position in range(round(sound_s * 50)):
                sound = tone.next_sound() if position * 0.02 < TONE_S else silence()
                sound.pts, sound.time_base = position * sound.samples, Fraction(1, AUDIO_RATE_HZ)
                container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return path


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4")


def take(images, count):
    taken = [images.next_image() for _ in range(count)]
    images.close()
    return taken


def test_images_come_in_order_at_their_times(clip):
    taken = take(ClipImages(clip), FRAMES)
    assert [read_counter(luma_of(t.image)) for t in taken] == list(range(FRAMES))
    assert [t.time_s for t in taken] == pytest.approx([i / FPS for i in range(FRAMES)])


def test_the_loop_goes_on_without_a_gap(clip):
    taken = take(ClipImages(clip), 2 * FRAMES + 1)
    assert read_counter(luma_of(taken[FRAMES].image)) == 0
    steps_s = np.diff([t.time_s for t in taken])
    assert steps_s == pytest.approx(np.full(2 * FRAMES, 1 / FPS), abs=0.001)


def test_the_size_is_the_files_own(clip):
    assert (take(ClipImages(clip), 1)[0].image.width) == 320


@pytest.mark.parametrize("sound_s", [0.2, LOOP_S, 1.0])
def test_sound_stays_in_step_with_the_pictures(tmp_path, sound_s):
    path = write_clip(tmp_path / "clip.mp4", sound_s=sound_s)
    sound = ClipSound(path, LOOP_S)
    loudness = []
    for _ in range(round(10 * LOOP_S * 50)):
        piece = sound.next_sound()
        assert (piece.samples, piece.sample_rate) == (AUDIO_FRAME_SAMPLES, AUDIO_RATE_HZ)
        loudness.append(int(np.abs(piece.to_ndarray()).max()))
    sound.close()
    rounds = np.reshape(loudness, (10, -1))
    # Every round begins loud and ends silent at the same places: nothing drifts.
    assert (rounds[:, 2:8] > 1000).all()
    assert (rounds[:, -8:] < 1000).all()


def test_a_file_without_sound_says_so(tmp_path, clip):
    assert has_sound(clip)
    assert not has_sound(write_clip(tmp_path / "mute.mp4", sound_s=0))


def test_a_still_picture_is_shown_again_and_again(tmp_path):
    path = tmp_path / "still.png"
    PatternImages(160, 96).next_image().image.to_image().save(path)
    taken = take(ClipImages(path), 4)
    assert [t.time_s for t in taken] == pytest.approx([0, 0.04, 0.08, 0.12])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceUnavailable, match=r"nowhere\.mp4: No such file"):
        ClipImages(tmp_path / "nowhere.mp4")


def test_a_file_without_pictures_is_refused(tmp_path):
    path = write_clip(tmp_path / "sound.mp4", video=False)
    with pytest.raises(SourceUnavailable, match="has no video"):
        ClipImages(path)


@pytest.mark.parametrize("content", [b"", b"no media at all" * 100])
def test_a_file_that_is_no_media_is_refused(tmp_path, content):
    path = tmp_path / "junk.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceUnavailable, match="cannot read"):
        ClipImages(path)


def test_a_file_cut_off_in_the_middle_plays_what_is_left(tmp_path):
    whole = write_clip(tmp_path / "whole.mkv").read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    counters = [read_counter(luma_of(t.image)) for t in take(ClipImages(path), 2 * FRAMES)]
    assert counters[0] == 0
    assert counters.count(0) >= 2


def test_the_real_clips_play(media):
    for path in sorted(media.glob("clip_*")):
        taken = take(ClipImages(path), 3)
        assert all(t.image.width > 0 for t in taken)
