import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.beauty.scenes import scene
from benchmarks.latency.timecode import STAMP_MAX, read_code, write_code
from filters.pipeline import Pipeline
from filters.presets import PRESETS
from filters.stages import default_stages
from mediasrv.client.encoder import VideoEncoder
from mediasrv.client.sources.pattern import luma_of
from mediasrv.media import Codec
from mediasrv.processing.face_pipeline import open_detector, open_segmenter

SIZES = [(640, 360), (1280, 720), (1920, 1080), (512, 480), (854, 480)]


@given(st.integers(0, STAMP_MAX - 1), st.sampled_from(SIZES))
@settings(max_examples=40, deadline=None)
def test_what_is_drawn_is_read_at_every_size(stamp, size):
    luma = np.full((size[1], size[0]), 120, np.uint8)
    write_code(luma, stamp)
    assert read_code(luma) == stamp


def test_only_the_lowest_bits_of_a_stamp_are_drawn():
    luma = np.zeros((360, 640), np.uint8)
    write_code(luma, STAMP_MAX + 5)
    assert read_code(luma) == 5


@pytest.mark.parametrize("shade", [0, 16, 128, 235, 255])
def test_a_plain_picture_holds_no_code(shade):
    assert read_code(np.full((360, 640), shade, np.uint8)) is None


def test_noise_holds_no_code():
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (50, 360, 640), dtype=np.uint8)
    assert [read_code(picture) for picture in pictures] == [None] * 50


def test_one_block_that_is_wrong_is_noticed():
    luma = np.zeros((360, 640), np.uint8)
    write_code(luma, 123_456)
    luma[-36:-18, 100:122] = 251 - luma[-36:-18, 100:122]
    assert read_code(luma) is None


def test_the_code_survives_scaling():
    luma = np.zeros((720, 1280), np.uint8)
    write_code(luma, 987_654_321)
    small = cv2.resize(luma, (640, 360), interpolation=cv2.INTER_AREA)
    assert read_code(np.asarray(small, np.uint8)) == 987_654_321


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("size", SIZES[:2])
def test_the_code_survives_an_encoder_at_500_kb_per_second(codec, size):
    encoder, decoder = VideoEncoder(codec, 500_000, 30), av.CodecContext.create(codec.value, "r")
    read = []
    for n, image in enumerate(scene(*size, faces=1, count=20)):
        write_code(image.y, 1_000_000 + 337 * n)
        planes = np.concatenate([p.ravel() for p in (image.y, image.u, image.v)])
        frame = av.VideoFrame.from_ndarray(planes.reshape(-1, size[0]), format="yuv420p")
        for packet in encoder.encode(frame, n / 30, keyframe=n == 0):
            read += [read_code(luma_of(decoded)) for decoded in decoder.decode(packet)]
    read += [read_code(luma_of(decoded)) for decoded in decoder.decode(None)]
    assert read == [1_000_000 + 337 * n for n in range(20)]


@pytest.mark.parametrize("preset", ["natural", "studio", "glam"])
def test_the_code_survives_the_beauty_filter(preset):
    detector = open_detector()
    pipeline = Pipeline(detector, default_stages(open_segmenter()))
    for n, image in enumerate(scene(640, 360, faces=1, count=5)):
        write_code(image.y, 42_000 + n)
        pipeline.apply(image, PRESETS[preset])
        assert read_code(image.y) == 42_000 + n
    detector.close()
