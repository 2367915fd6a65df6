"""Tests of the test pattern: its counter must survive the way it is used to measure."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.client.sources.base import AUDIO_FRAME_SAMPLES, AUDIO_RATE_HZ
from mediasrv.client.sources.pattern import (
    COUNTER_BITS,
    PatternImages,
    Tone,
    _draw_counter,
    luma_of,
    read_counter,
)


@given(st.integers(0, 2**COUNTER_BITS - 1))
def test_every_counter_reads_back(count):
    luma = np.full((96, 160), 99, np.uint8)
    _draw_counter(luma, count)
    assert read_counter(luma) == count


def test_the_counter_wraps_around():
    luma = np.zeros((96, 160), np.uint8)
    _draw_counter(luma, 2**COUNTER_BITS + 5)
    assert read_counter(luma) == 5


def test_the_counter_survives_scaling_and_noise():
    images = PatternImages()
    for _ in range(3):
        timed = images.next_image()
    luma = luma_of(timed.image)
    small = cv2.resize(luma, (640, 360), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(1).integers(-40, 40, small.shape)
    assert read_counter(np.clip(small + noise, 0, 255).astype(np.uint8)) == 2


@pytest.mark.parametrize("level", [0, 16, 128, 235, 255])
def test_another_picture_has_no_counter(level):
    assert read_counter(np.full((720, 1280), level, np.uint8)) is None


def test_noise_has_no_counter():
    noise = np.random.default_rng(2).integers(0, 255, (720, 1280), np.uint8)
    assert read_counter(noise) is None


def test_images_follow_each_other_at_the_rate():
    images = PatternImages(160, 96, 25.0)
    times_s = [images.next_image().time_s for _ in range(3)]
    assert times_s == [0.0, 0.04, 0.08]


def test_the_picture_moves():
    images = PatternImages(160, 96)
    first, second = (luma_of(images.next_image().image)[48:] for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("size", [(161, 96), (160, 97), (158, 96), (160, 94), (0, 0)])
def test_a_size_that_cannot_hold_the_counter_is_refused(size):
    with pytest.raises(ValueError, match="160x96"):
        PatternImages(*size)


def test_luma_leaves_the_padding_of_rows_out():
    image = PatternImages(322, 192).next_image().image.reformat(162, 96)
    assert luma_of(image).shape == (96, 162)


def test_the_tone_goes_on_without_a_click():
    tone = Tone(440.0)
    pieces = [tone.next_sound().to_ndarray().reshape(-1, 2) for _ in range(3)]
    wave = np.concatenate(pieces)[:, 0].astype(float)
    assert wave.shape == (3 * AUDIO_FRAME_SAMPLES,)
    steepest = wave.max() * 2 * np.pi * 440.0 / AUDIO_RATE_HZ
    assert np.abs(np.diff(wave)).max() <= steepest + 1
