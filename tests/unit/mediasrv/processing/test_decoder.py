import random

import numpy as np
import pytest

from mediasrv.media import Codec
from mediasrv.processing.decoder import MAX_PIXELS, VideoDecoder
from mediasrv.processing.errors import UndecodableFrame, UnsupportedImage
from mediasrv.processing.ffmpeg_encoders import split_annex_b
from mediasrv.processing.planes import view_planes
from tests.encoded_clips import decode, draw_images, encode, to_image


@pytest.fixture(params=Codec, ids=str)
def codec(request):
    return request.param


def feed(decoder, frame):
    return decoder.decode(frame.payload, frame.timestamp_ticks, keyframe=frame.keyframe)


@pytest.mark.parametrize("size", [(320, 240), (160, 90), (90, 160), (64, 64)])
def test_every_frame_gives_its_image_at_once_with_its_timestamp(codec, size):
    frames = encode(codec, draw_images(size[0], size[1], 6), first_ticks=12345)
    decoder = VideoDecoder(codec)
    for frame, expected in zip(frames, decode(codec, frames), strict=True):
        image = feed(decoder, frame)
        assert image.pts == frame.timestamp_ticks
        np.testing.assert_array_equal(to_image(image).y, expected.y)


def test_odd_sizes_decode():
    frames = encode(Codec.VP8, draw_images(333, 251, 2))
    decoder = VideoDecoder(Codec.VP8)
    for frame in frames:
        image = feed(decoder, frame)
        assert (image.width, image.height) == (333, 251)


def test_decoding_starts_at_a_keyframe(codec):
    frames = encode(codec, draw_images(160, 96, 6), keyframes=(0, 4))
    decoder = VideoDecoder(codec)
    assert decoder.awaits_keyframe
    for frame in frames[1:4]:
        with pytest.raises(UndecodableFrame):
            feed(decoder, frame)
    assert feed(decoder, frames[4]) is not None
    assert feed(decoder, frames[5]) is not None
    assert not decoder.awaits_keyframe


def test_a_delta_frame_that_claims_to_be_a_keyframe_gives_no_image(codec):
    frames = encode(codec, draw_images(160, 96, 2))
    decoder = VideoDecoder(codec)
    with pytest.raises(UndecodableFrame):
        decoder.decode(frames[1].payload, 0, keyframe=True)
    assert decoder.awaits_keyframe


def test_a_keyframe_that_was_cut_short_gives_no_image(codec):
    (frame,) = encode(codec, draw_images(320, 240, 1))
    for part in (2, 4, 8):
        with pytest.raises(UndecodableFrame):
            VideoDecoder(codec).decode(
                frame.payload[: len(frame.payload) // part], 0, keyframe=True
            )


def test_after_damage_nothing_is_decoded_until_the_next_keyframe(codec):
    frames = encode(codec, draw_images(320, 240, 8), keyframes=(0, 5))
    expected = list(decode(codec, frames))
    decoder = VideoDecoder(codec)
    feed(decoder, frames[0])
    with pytest.raises(UndecodableFrame):
        decoder.decode(frames[1].payload[:4], 3000, keyframe=False)
    for frame in frames[2:5]:
        with pytest.raises(UndecodableFrame):
            feed(decoder, frame)
    for number in (5, 6, 7):
        image = to_image(feed(decoder, frames[number]))
        np.testing.assert_array_equal(image.y, expected[number].y)


def test_the_size_may_change_at_a_keyframe(codec):
    decoder = VideoDecoder(codec)
    for size in ((320, 240), (160, 96), (240, 320), (320, 240)):
        for frame in encode(codec, draw_images(*size, 2)):
            image = feed(decoder, frame)
            assert (image.width, image.height) == size


@pytest.mark.parametrize(
    ("layout", "profile"),
    [("yuv444p", "high444"), ("yuv422p", "high422"), ("yuv420p10le", "high10")],
)
def test_other_layouts_than_8_bit_420_are_refused(layout, profile):
    frames = encode(Codec.H264, draw_images(64, 64, 1), layout=layout, options={"profile": profile})
    with pytest.raises(UnsupportedImage):
        feed(VideoDecoder(Codec.H264), frames[0])


def test_full_range_420_is_accepted():
    frames = encode(Codec.H264, draw_images(64, 64, 1), layout="yuvj420p")
    image = feed(VideoDecoder(Codec.H264), frames[0])
    assert image.color_range == 2
    assert view_planes(image).y.shape == (64, 64)


def test_a_picture_of_a_few_pixels_is_refused():
    frames = encode(Codec.VP8, draw_images(8, 8, 1))
    with pytest.raises(UnsupportedImage):
        feed(VideoDecoder(Codec.VP8), frames[0])


def test_a_header_that_claims_a_gigantic_picture_costs_no_memory():
    (frame,) = encode(Codec.VP8, draw_images(64, 64, 1))
    claims = bytearray(frame.payload)
    claims[6:10] = bytes([0xFF, 0x3F, 0xFF, 0x3F])  # 16383x16383, RFC 6386 section 9.1
    decoder = VideoDecoder(Codec.VP8)
    with pytest.raises(UnsupportedImage):
        decoder.decode(bytes(claims), 0, keyframe=True)
    assert decoder.awaits_keyframe


def test_a_real_picture_above_the_limit_is_refused_before_it_is_decoded(codec):
    (frame,) = encode(codec, draw_images(3840, 2160, 1))
    with pytest.raises(UndecodableFrame) as refusal:
        feed(VideoDecoder(codec), frame)
    was_decoded = codec is Codec.H264 and refusal.value.__cause__ is None
    assert not was_decoded


def test_h264_pictures_of_several_slices_decode_and_a_missing_slice_is_noticed():
    options = {"x264-params": "slices=4:sliced-threads=0"}
    frames = encode(Codec.H264, draw_images(320, 240, 4), options=options)
    decoder = VideoDecoder(Codec.H264)
    for frame in frames[:2]:
        assert feed(decoder, frame) is not None
    units = [unit for _, unit in split_annex_b(frames[2].payload)]
    assert len(units) == 4
    with pytest.raises(UndecodableFrame):
        decoder.decode(b"".join(units[:2] + units[3:]), 6000, keyframe=False)
    with pytest.raises(UndecodableFrame):
        feed(decoder, frames[3])


def test_mutated_frames_raise_only_our_error(codec):
    """A seeded sample; whatever still decodes must be a whole image of an accepted size."""
    frames = encode(codec, draw_images(160, 96, 5))
    random_numbers = random.Random(5)
    decoder = VideoDecoder(codec)
    for _ in range(300):
        frame = random_numbers.choice(frames)
        mutated = bytearray(frame.payload)
        for _ in range(random_numbers.randrange(1, 6)):
            mutated[random_numbers.randrange(len(mutated))] = random_numbers.randrange(256)
        try:
            image = decoder.decode(bytes(mutated), 0, keyframe=frame.keyframe)
        except UndecodableFrame:
            assert decoder.awaits_keyframe
            continue
        if image is not None:
            assert not image.is_corrupt
            assert view_planes(image).y.size <= MAX_PIXELS


@pytest.mark.parametrize(
    "noise", [b"\x00", b"\xff" * 100, b"\x00\x00\x01", b"\x00\x00\x00\x01\x65"]
)
def test_noise_gives_no_image(codec, noise):
    try:
        image = VideoDecoder(codec).decode(noise, 0, keyframe=True)
    except UndecodableFrame:
        return
    assert image is None
