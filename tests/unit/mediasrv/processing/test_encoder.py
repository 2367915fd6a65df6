import numpy as np
import pytest

from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import libvpx
from mediasrv.processing.encoder import VideoEncoder, open_encoder
from mediasrv.processing.errors import ProcessingError
from mediasrv.processing.ffmpeg_encoders import split_annex_b, without_sei
from mediasrv.processing.libvpx import LibvpxEncoder, LibvpxMissing
from tests.encoded_clips import decode, draw_images, from_image, psnr_db, read_clip

SPS, PPS, IDR, SLICE, SEI = 7, 8, 5, 1, 6


@pytest.fixture(params=Codec, ids=str)
def codec(request):
    return request.param


@pytest.fixture(scope="module")
def moving(media):
    return read_clip(media / "clip_man_glasses_512x480.mp4", 90)


def run(encoder, codec, images, *, keyframes=(), step_ticks=3000, first_ticks=0):
    frames = []
    for number, image in enumerate(images):
        ticks = first_ticks + number * step_ticks
        encoded = encoder.encode(from_image(image), ticks, keyframe=number in keyframes)
        frames.append(EncodedFrame(codec, ticks, encoded.keyframe, encoded.payload))
    return frames


def rate_bps(frames, fps=30):
    return sum(len(frame.payload) for frame in frames) * 8 * fps / len(frames)


def kinds(frame):
    return [kind for kind, _ in split_annex_b(frame.payload)]


@pytest.mark.parametrize("size", [(320, 240), (160, 90), (90, 160), (1280, 720)])
def test_every_image_comes_out_at_once_and_looks_like_itself(codec, size):
    images = draw_images(size[0], size[1], 5)
    frames = run(VideoEncoder(codec), codec, images)
    assert [frame.keyframe for frame in frames] == [True, False, False, False, False]
    for image, seen in zip(images, decode(codec, frames), strict=True):
        assert psnr_db(image, seen) > 32
        assert np.abs(seen.u.astype(int) - image.u).mean() < 4


def test_odd_sizes_encode():
    images = draw_images(333, 251, 3)
    frames = run(VideoEncoder(Codec.VP8), Codec.VP8, images)
    for image, seen in zip(images, decode(Codec.VP8, frames), strict=True):
        assert psnr_db(image, seen) > 32


def test_keyframes_come_only_on_demand_even_when_the_scene_changes(codec):
    images = draw_images(160, 96, 20)
    for number in (5, 10, 15):
        images[number].y[:] = 255 - images[number].y
    frames = run(VideoEncoder(codec), codec, images, keyframes=(12,))
    assert [n for n, frame in enumerate(frames) if frame.keyframe] == [0, 12]
    list(decode(codec, frames[12:]))  # a viewer who starts there can


def test_the_size_may_change_at_any_time_and_gives_a_keyframe(codec):
    encoder = VideoEncoder(codec)
    frames: list[EncodedFrame] = []
    for size in ((320, 240), (160, 96), (240, 320)):
        part = run(encoder, codec, draw_images(*size, 3), first_ticks=len(frames) * 3000)
        assert [frame.keyframe for frame in part] == [True, False, False]
        frames += part
    sizes = [(image.width_px, image.height_px) for image in decode(codec, frames)]
    assert sizes == [(320, 240)] * 3 + [(160, 96)] * 3 + [(240, 320)] * 3
    assert encoder.opened == 3


def test_h264_is_annex_b_with_parameter_sets_before_every_keyframe_and_nothing_else():
    frames = run(VideoEncoder(Codec.H264), Codec.H264, draw_images(160, 96, 4), keyframes=(2,))
    assert [kinds(frame) for frame in frames] == [[SPS, PPS, IDR], [SLICE]] * 2
    profile, constraints = frames[0].payload[frames[0].payload.index(b"\x00\x00\x01\x67") + 4 :][:2]
    assert profile == 66
    assert constraints & 0x40  # constraint_set1: with 66, Constrained Baseline


def test_h264_hands_on_the_colour_description():
    encoder = VideoEncoder(Codec.H264)
    frame = from_image(draw_images(64, 64, 1)[0])
    assert encoder.encode(frame, 0, keyframe=False).keyframe
    frame.color_range = 2
    assert encoder.encode(frame, 3000, keyframe=False).keyframe
    assert not encoder.encode(frame, 6000, keyframe=False).keyframe
    assert encoder.opened == 2


@pytest.mark.parametrize("target_bps", [300_000, 1_000_000])
def test_the_rate_keeps_to_its_target(codec, moving, target_bps):
    encoder = VideoEncoder(codec)
    encoder.aim_at(target_bps)
    frames = run(encoder, codec, moving)
    assert encoder.bitrate_bps == target_bps
    assert 0.5 * target_bps < rate_bps(frames[30:]) < 1.25 * target_bps


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_the_rate_does_not_depend_on_the_frame_rate(codec, moving, fps):
    encoder = VideoEncoder(codec)
    encoder.aim_at(600_000)
    frames = run(encoder, codec, moving, step_ticks=90_000 // fps)
    assert 0.5 * 600_000 < rate_bps(frames[45:], fps) < 1.35 * 600_000


def test_without_a_target_the_rate_follows_the_size(codec):
    encoder = VideoEncoder(codec)
    run(encoder, codec, draw_images(640, 480, 1))
    assert encoder.bitrate_bps == pytest.approx(640 * 480 * 0.07 * 30, rel=0.01)
    run(encoder, codec, draw_images(160, 96, 1))
    assert encoder.bitrate_bps == 200_000


def test_the_rate_follows_its_target_down_and_up_without_a_keyframe(codec, moving):
    encoder = VideoEncoder(codec)
    encoder.aim_at(800_000)
    run(encoder, codec, moving[:20])
    encoder.aim_at(400_000)
    lower = run(encoder, codec, moving[20:80])
    encoder.aim_at(900_000)
    higher = run(encoder, codec, moving[20:80])
    assert not any(frame.keyframe for frame in lower + higher)
    assert encoder.opened == 1
    assert rate_bps(lower[30:]) < 500_000
    assert rate_bps(higher[30:]) > 600_000


def test_up_to_what_its_size_usually_takes_no_encoder_is_opened_again(codec):
    encoder = VideoEncoder(codec)
    images = draw_images(640, 480, 1)
    for target_bps in (200_000, 640 * 480 * 2, 200_000, 0):
        encoder.aim_at(target_bps)
        run(encoder, codec, images)
    assert encoder.opened == 1


def test_without_libvpx_the_wrapper_of_ffmpeg_serves_with_a_keyframe_for_large_changes(
    monkeypatch, moving
):
    def missing():
        raise LibvpxMissing("gone")

    monkeypatch.setattr(libvpx, "load_library", missing)
    encoder = VideoEncoder(Codec.VP8)
    encoder.aim_at(1_000_000)
    frames = run(encoder, Codec.VP8, moving[:20], keyframes=(5,))
    encoder.aim_at(1_200_000)
    frames += run(encoder, Codec.VP8, moving[20:22])
    encoder.aim_at(400_000)
    frames += run(encoder, Codec.VP8, moving[22:82])
    assert [n for n, frame in enumerate(frames) if frame.keyframe] == [0, 5, 22]
    assert rate_bps(frames[42:]) < 500_000
    for image, seen in zip(moving, decode(Codec.VP8, frames), strict=False):
        assert psnr_db(image, seen) > 30


def test_libvpx_is_called_directly():
    """Where it is not, changes of the bitrate cost keyframes: better know it."""
    frame = from_image(draw_images(64, 48, 1)[0])
    assert isinstance(open_encoder(Codec.VP8, frame, 200_000), LibvpxEncoder)


def test_another_version_of_libvpx_is_refused_rather_than_misread(monkeypatch):
    monkeypatch.setattr(libvpx, "_ENCODER_ABI", libvpx._ENCODER_ABI + 1)
    with pytest.raises(LibvpxMissing):
        LibvpxEncoder(64, 48, 200_000)


def test_libvpx_reads_no_picture_of_another_size():
    encoder = LibvpxEncoder(64, 48, 200_000)
    with pytest.raises(ValueError, match="size"):
        encoder.encode(from_image(draw_images(48, 64, 1)[0]), step_ticks=3000, keyframe=True)


def test_an_encoder_that_fails_is_opened_again(codec, monkeypatch):
    encoder = VideoEncoder(codec)
    image = draw_images(64, 48, 1)
    run(encoder, codec, image)
    with monkeypatch.context() as patch:
        patch.setattr(type(encoder._encoder), "encode", lambda *_, **__: int("x"))
        with pytest.raises(ProcessingError):
            run(encoder, codec, image)
    assert run(encoder, codec, image)[0].keyframe
    assert encoder.opened == 2


@pytest.mark.parametrize("ticks", [[0, 0, 0], [9000, 6000, 3000], [0, 10**12, 10**12 + 1]])
def test_odd_timestamps_are_no_reason_to_fail(codec, ticks):
    encoder = VideoEncoder(codec)
    for image, tick in zip(draw_images(160, 96, 3), ticks, strict=True):
        assert encoder.encode(from_image(image), tick, keyframe=False).payload


def test_splitting_keeps_every_byte():
    units = [
        b"\x00\x00\x00\x01\x67ab",
        b"\x00\x00\x01\x68c",
        b"\x00\x00\x00\x01\x06sei",
        b"\x00\x00\x01\x65d",
    ]
    access_unit = b"".join(units)
    assert [unit for _, unit in split_annex_b(access_unit)] == units
    assert without_sei(access_unit) == units[0] + units[1] + units[3]
    assert list(split_annex_b(b"")) == []
    assert list(split_annex_b(b"\x00\x00\x01")) == []


def layered(images, *, keyframes=(), hurried=()):
    encoder = VideoEncoder(Codec.VP8)
    encoded = []
    for number, image in enumerate(images):
        encoder.hurry(number in hurried)
        encoded.append(
            encoder.encode(from_image(image), number * 3000, keyframe=number in keyframes)
        )
    return encoded


def as_frames(encoded):
    return [
        EncodedFrame(Codec.VP8, 3000 * number, image.keyframe, image.payload)
        for number, image in enumerate(encoded)
    ]


def test_vp8_has_three_temporal_layers_that_begin_anew_at_a_keyframe():
    encoded = layered(draw_images(320, 240, 11), keyframes=(6,))
    assert [image.layer for image in encoded] == [0, 2, 1, 2, 0, 2, 0, 2, 1, 2, 0]
    assert [image.layer_sync for image in encoded][:5] == [False, True, True, False, False]


@pytest.mark.parametrize("highest", [0, 1])
def test_the_lower_layers_alone_are_pictures_as_good_as_all_together(moving, highest):
    encoded = layered(moving[:41])
    kept = [number for number, image in enumerate(encoded) if image.layer <= highest]
    frames = as_frames(encoded)
    everything = list(decode(Codec.VP8, frames))
    lower = list(decode(Codec.VP8, [frames[number] for number in kept]))
    assert len(kept) == len(lower) == (11, 21)[highest]
    for number, image in zip(kept, lower, strict=True):
        np.testing.assert_array_equal(image.y, everything[number].y)


def test_a_layer_is_entered_where_it_says_that_it_builds_on_the_base_alone(moving):
    """From the base to all layers in mid-stream, at the first frame with the mark."""
    encoded = layered(moving[:29])
    frames = as_frames(encoded)
    kept = [n for n, image in enumerate(encoded) if image.layer == 0 or n >= 17]
    assert encoded[17].layer_sync
    everything = list(decode(Codec.VP8, frames))
    seen = list(decode(Codec.VP8, [frames[number] for number in kept]))
    for number, image in zip(kept, seen, strict=True):
        np.testing.assert_array_equal(image.y, everything[number].y)


def test_a_hurried_encoder_goes_on_without_a_keyframe_and_comes_back(moving):
    encoded = layered(moving[:60], hurried=range(20, 40))
    assert [image.keyframe for image in encoded].count(True) == 1
    usual = layered(moving[:60])
    assert [image.payload for image in encoded[:20]] == [image.payload for image in usual[:20]]
    assert encoded[21].payload != usual[21].payload
    for image, seen in zip(moving[:60], decode(Codec.VP8, as_frames(encoded)), strict=True):
        assert psnr_db(image, seen) > 34


def test_h264_has_no_layers_and_nothing_to_hurry():
    encoder = VideoEncoder(Codec.H264)
    encoder.hurry(True)
    encoded = encoder.encode(from_image(draw_images(64, 64, 1)[0]), 0, keyframe=False)
    assert (encoded.keyframe, encoded.layer, encoded.layer_sync) == (True, None, False)
