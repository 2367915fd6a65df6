"""Tests of the client's video encoder."""

import av
import pytest

from mediasrv.client.encoder import VideoEncoder
from mediasrv.client.sources.pattern import PatternImages, luma_of, read_counter
from mediasrv.media import Codec

DECODERS = {Codec.VP8: "vp8", Codec.H264: "h264"}
codecs = pytest.mark.parametrize("codec", list(Codec))


def encoded(codec, count, *, keyframes=(0,), size=(320, 192), bitrate_bps=500_000):
    images = PatternImages(*size)
    encoder = VideoEncoder(codec, bitrate_bps, images.fps)
    packets = []
    for position in range(count):
        timed = images.next_image()
        packets += encoder.encode(timed.image, timed.time_s, keyframe=position in keyframes)
    return packets


@codecs
def test_every_image_comes_back_in_its_turn(codec):
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    images = [image for packet in encoded(codec, 10) for image in decoder.decode(packet)]
    images += decoder.decode(None)
    assert [read_counter(luma_of(image)) for image in images] == list(range(10))


@codecs
def test_keyframes_come_when_they_are_asked_for_and_only_then(codec):
    packets = encoded(codec, 12, keyframes=(0, 5))
    assert [i for i, packet in enumerate(packets) if packet.is_keyframe] == [0, 5]


@codecs
def test_a_later_keyframe_can_be_decoded_alone(codec):
    packets = encoded(codec, 8, keyframes=(0, 5))
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    images = [image for packet in packets[5:] for image in decoder.decode(packet)]
    images += decoder.decode(None)
    assert read_counter(luma_of(images[0])) == 5


@codecs
def test_packets_carry_time_on_the_90_khz_clock(codec):
    packets = encoded(codec, 3)
    assert [packet.pts * packet.time_base for packet in packets] == pytest.approx(
        [0, 1 / 30, 2 / 30]
    )
    assert all(packet.time_base.denominator == 90_000 for packet in packets)


@codecs
@pytest.mark.parametrize("bitrate_bps", [200_000, 3_000_000])
def test_the_bitrate_is_that_of_this_stream(codec, bitrate_bps):
    packets = encoded(codec, 60, size=(640, 360), bitrate_bps=bitrate_bps)
    measured_bps = 8 * sum(packet.size for packet in packets) / 2
    assert measured_bps < 1.5 * bitrate_bps


@codecs
def test_a_new_size_begins_with_a_keyframe(codec):
    encoder = VideoEncoder(codec, 500_000, 30)
    packets = []
    for size in ((320, 192), (320, 192), (160, 96)):
        timed = PatternImages(*size).next_image()
        packets += encoder.encode(timed.image, len(packets) / 30, keyframe=False)
    assert [packet.is_keyframe for packet in packets] == [True, False, True]


@codecs
def test_an_odd_size_can_be_encoded(codec):
    image = PatternImages(320, 192).next_image().image.reformat(321, 193, "rgb24")
    packets = VideoEncoder(codec, 500_000, 30).encode(image, 0.0, keyframe=True)
    assert len(packets) == 1


@codecs
def test_the_image_that_was_given_stays_as_it_was(codec):
    image = PatternImages(320, 192).next_image().image
    before = image.to_ndarray().copy()
    VideoEncoder(codec, 500_000, 30).encode(image, 0.0, keyframe=True)
    assert (image.to_ndarray() == before).all()
