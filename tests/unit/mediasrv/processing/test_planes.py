import av
import numpy as np
import pytest

from mediasrv.media import Codec
from mediasrv.processing.decoder import VideoDecoder
from mediasrv.processing.planes import OwnPicture, view_planes
from tests.encoded_clips import decode, draw_images, encode, from_image


@pytest.mark.parametrize("size", [(64, 64), (333, 251), (17, 19), (1280, 720), (90, 160)])
def test_views_have_the_size_of_the_picture_whatever_the_line_size(size):
    width_px, height_px = size
    frame = av.VideoFrame(width_px, height_px, "yuv420p")
    image = view_planes(frame)
    assert (image.width_px, image.height_px) == size
    assert image.is_writable


def test_writing_into_a_view_writes_into_the_frame_and_nowhere_else():
    drawn = draw_images(333, 251, 1)[0]
    frame = from_image(drawn)
    image = view_planes(frame)
    image.y[250, 332] = 7
    image.v[125, 166] = 9
    again = view_planes(frame)
    drawn.y[250, 332] = 7
    drawn.v[125, 166] = 9
    for plane, expected in ((again.y, drawn.y), (again.u, drawn.u), (again.v, drawn.v)):
        np.testing.assert_array_equal(plane, expected)


def test_a_padded_plane_of_a_decoder_is_viewed_without_its_padding():
    drawn = draw_images(333, 251, 1)
    (frame,) = encode(Codec.VP8, drawn)
    decoded = VideoDecoder(Codec.VP8).decode(frame.payload, 0, keyframe=True)
    assert decoded is not None
    assert decoded.planes[0].line_size > 333
    assert np.abs(view_planes(decoded).y.astype(int) - drawn[0].y).mean() < 3


@pytest.mark.parametrize("codec", Codec)
def test_filtering_our_copy_leaves_the_decoders_references_alone(codec):
    """What the decoder shows next is predicted from the frames it gave out before."""
    frames = encode(codec, draw_images(320, 240, 12))
    expected = list(decode(codec, frames))
    decoder = VideoDecoder(codec)
    own = OwnPicture.blank(320, 240)
    for frame, untouched in zip(frames, expected, strict=True):
        decoded = decoder.decode(frame.payload, frame.timestamp_ticks, keyframe=frame.keyframe)
        assert decoded is not None
        own.take(decoded)
        np.testing.assert_array_equal(own.image.y, untouched.y)
        own.image.y[:] = 0
        own.image.u[:] = 0
        own.image.v[:] = 0


def test_filtering_the_decoders_own_frame_would_spoil_the_next_ones():
    """The reason for the copy; should this fail one day, the copy can go."""
    frames = encode(Codec.H264, draw_images(320, 240, 5))
    expected = list(decode(Codec.H264, frames))
    decoder = VideoDecoder(Codec.H264)
    for frame in frames:
        decoded = decoder.decode(frame.payload, 0, keyframe=frame.keyframe)
        assert decoded is not None
        image = view_planes(decoded)
        last = image.y.copy()
        image.y[:] = 0
    assert not np.array_equal(last, expected[-1].y)


def test_what_a_decoder_has_copied_may_be_filtered_in_place():
    frames = encode(Codec.VP8, draw_images(320, 240, 12), keyframes=(0, 7))
    decoder = VideoDecoder(Codec.VP8)
    assert decoder.gives_copies
    for frame, untouched in zip(frames, decode(Codec.VP8, frames), strict=True):
        decoded = decoder.decode(frame.payload, frame.timestamp_ticks, keyframe=frame.keyframe)
        assert decoded is not None
        own = OwnPicture(decoded)
        for plane, expected in zip(
            (own.image.y, own.image.u, own.image.v),
            (untouched.y, untouched.u, untouched.v),
            strict=True,
        ):
            np.testing.assert_array_equal(plane, expected)
            plane[:] = 0


def test_one_allocation_serves_all_frames_of_a_size():
    own = OwnPicture.blank(64, 48)
    addresses = [plane.buffer_ptr for plane in own.frame.planes]
    for image in draw_images(64, 48, 3):
        frame = from_image(image)
        assert own.fits(frame)
        own.take(frame)
        np.testing.assert_array_equal(own.image.y, image.y)
        np.testing.assert_array_equal(own.image.u, image.u)
        np.testing.assert_array_equal(own.image.v, image.v)
    assert [plane.buffer_ptr for plane in own.frame.planes] == addresses
    assert not own.fits(av.VideoFrame(48, 64, "yuv420p"))


def test_the_colour_description_comes_along():
    frame = from_image(draw_images(64, 48, 1)[0])
    frame.color_range = 2
    frame.colorspace = 1
    own = OwnPicture.blank(64, 48)
    own.take(frame)
    assert (own.frame.color_range, own.frame.colorspace) == (2, 1)
