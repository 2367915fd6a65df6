"""Filtered streams on real worker processes: real video, settings, sizes, rates, damage."""

import numpy as np
import pytest

from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import (
    FilterState,
)
from tests.encoded_clips import decode, draw_images, encode, psnr_db, read_clip
from tests.marker_stage import is_marked, paint
from tests.scenarios.worker_show import FACES

SIZES = {
    "landscape, portrait, small": ((320, 240), (240, 320), (160, 96), (640, 360)),
    "a phone is turned": ((640, 360), (360, 640), (640, 360)),
    "4:3 and square": ((640, 480), (480, 640), (400, 400)),
    "the smallest and the largest": ((160, 90), (1920, 1080), (160, 90)),
}
ODD_SIZES = ((161, 91), (333, 251), (251, 333), (640, 361))
STEPS_PER_SIZE = 6


async def test_frames_come_back_marked_in_order_and_with_their_timestamps(open_show, codec):
    show = await open_show(codec)
    await show.play_until(lambda: len(show.frames_out) >= 30)
    sent = {frame.timestamp_ticks for frame in show.frames_in}
    ticks = [frame.timestamp_ticks for frame in show.frames_out]
    assert ticks == sorted(set(ticks))
    assert set(ticks) <= sent
    assert [frame.keyframe for frame in show.frames_out].count(True) == 1
    assert all(is_marked(image.y) for image in show.pictures_out())
    assert [state for state, _ in show.states] == [FilterState.STARTING, FilterState.ON]


def test_the_hosts_own_pictures_do_not_carry_the_marker(clip):
    assert not any(is_marked(image.y) for image in clip)
    frames = encode(Codec.VP8, clip[:10])
    assert not any(is_marked(image.y) for image in decode(Codec.VP8, frames))


async def test_settings_change_while_live_without_a_keyframe(open_show, codec, clip):
    show = await open_show(codec, images=clip[:1])
    await show.play_until(lambda: len(show.frames_out) >= 5)
    before = show.pictures_out()[-1].y[150:200, 150:200].mean()
    show.stream.configure({"smooth": 50})
    await show.play_until(lambda: len(show.frames_out) >= 25)
    after = show.pictures_out()[-1].y[150:200, 150:200].mean()
    assert after - before == pytest.approx(20, abs=5)
    assert len(show.runs_out()) == 1


async def test_a_keyframe_is_made_on_request(open_show, codec):
    show = await open_show(codec)
    await show.play_until(lambda: len(show.frames_out) >= 5)
    show.stream.request_keyframe()
    await show.play_until(lambda: len(show.runs_out()) == 2)
    list(decode(codec, show.runs_out()[1]))


@pytest.mark.parametrize("sizes", SIZES.values(), ids=list(SIZES))
async def test_the_picture_may_change_its_size_and_shape(open_show, codec, sizes):
    await show_sizes(open_show, codec, sizes)


async def test_vp8_may_have_odd_sizes(open_show):
    """H.264 as WebRTC has it cannot: cameras and browsers send even sizes there."""
    await show_sizes(open_show, Codec.VP8, ODD_SIZES)


async def show_sizes(open_show, codec, sizes):
    images = [image for size in sizes for image in draw_images(*size, STEPS_PER_SIZE)]
    show = await open_show(codec, images=images)
    await show.play_until(lambda: len(show.runs_out()) > len(sizes))
    seen = {(image.width_px, image.height_px) for image in show.pictures_out()}
    assert seen == set(sizes)
    assert show.stream.counters.workers_lost == 0
    assert all(is_marked(image.y) for image in show.pictures_out())


@pytest.mark.parametrize("fps", [5, 15, 60])
async def test_any_frame_rate_passes_and_its_bitrate_is_that_of_the_target(
    open_show, codec, fps, clip
):
    show = await open_show(codec)
    show.stream.aim_at(300_000)
    show.step_ticks = 90_000 // fps
    await show.play_until(lambda: len(show.frames_out) >= 90)
    settled = show.frames_out[40:]
    rate_bps = sum(len(frame.payload) for frame in settled) * 8 * fps / len(settled)
    assert rate_bps < 1.4 * 300_000
    assert show.runs_out()[0] == show.frames_out  # no keyframe but the first


async def test_a_still_camera_costs_next_to_nothing_and_stays_sharp(open_show, codec, clip):
    show = await open_show(codec, images=clip[:1])
    await show.play_until(lambda: len(show.frames_out) >= 60)
    late = show.frames_out[40:]
    assert sum(len(frame.payload) for frame in late) / len(late) < 2000
    expected = clip[0].copy()
    paint(expected)
    assert psnr_db(show.pictures_out()[-1], expected) > 36


async def test_the_bitrate_follows_down_and_up_without_a_keyframe(open_show, codec, clip):
    """In the locked worker, where no library can be loaded any more."""
    show = await open_show(codec)
    rates = []
    for target_bps in (600_000, 250_000, 600_000):
        show.stream.aim_at(target_bps)
        count = len(show.frames_out)
        await show.play_until(lambda count=count: len(show.frames_out) >= count + 75)
        settled = show.frames_out[count + 30 :]
        rates.append(sum(len(frame.payload) for frame in settled) * 8 * 30 / len(settled))
    assert rates[1] < 1.3 * 250_000
    assert rates[0] > 1.3 * rates[1] < rates[2]
    assert len(show.runs_out()) == 1
    assert show.stream.worker_counters.encoders_opened == 1


async def test_damaged_input_gives_no_picture_but_a_wish_for_a_keyframe(open_show, codec):
    show = await open_show(codec)
    await show.play_until(lambda: len(show.frames_out) >= 5)
    asked = show.keyframes_asked
    last = show.frames_in[-1].timestamp_ticks
    assert show.stream.feed(EncodedFrame(codec, last + 1, False, b"\xff\xff\xff"))
    await show.play_until(lambda: show.keyframes_asked > asked)
    count = len(show.frames_out)
    await show.play_until(lambda: len(show.frames_out) > count + 5)
    assert show.stream.worker_counters.undecodable == 1
    assert show.stream.counters.workers_lost == 0
    assert all(is_marked(image.y) for image in show.pictures_out())


async def test_real_faces_are_filtered_and_0_leaves_the_picture_alone(open_show, codec, media):
    images = read_clip(media / "clip_woman_talking_700x700.mp4", 1)
    show = await open_show(codec, FACES, images)
    await show.play_until(lambda: len(show.frames_out) >= 20)
    plain = show.pictures_out()[-1]
    assert psnr_db(plain, images[0]) > 34
    show.stream.configure({"smooth": 100, "brighten": 100})
    count = len(show.frames_out)
    await show.play_until(lambda: len(show.frames_out) >= count + 40)
    changed = np.abs(show.pictures_out()[-1].y.astype(int) - plain.y)
    assert changed[200:500, 250:450].mean() > 5  # the face
    assert changed[:60, :].mean() < 2  # the wall
    assert show.stream.counters.landmarks_us > 0
