import pytest

from benchmarks.beauty.encoders import judge
from benchmarks.beauty.room import TICKS_PER_FRAME, Room, encode_loop
from benchmarks.filtered import describe
from mediasrv.media import Codec, EncodedFrame
from tests.encoded_clips import draw_images, from_image


@pytest.fixture(scope="module")
def images():
    return [from_image(image) for image in draw_images(160, 96, 40)]


class Stream:
    """Gives every frame back at once but the fifth of ten."""

    def __init__(self, room):
        self.room = room
        self.fed = []

    def feed(self, frame):
        self.fed.append(frame)
        if len(self.fed) % 10 != 5:
            self.room._came_out(frame)


@pytest.fixture
def room(images):
    room = Room(encode_loop(Codec.VP8, images[:10]))
    room.stream = Stream(room)
    return room


def test_a_wish_for_a_keyframe_begins_the_loop_again(room):
    for _ in range(4):
        room.send()
    room._begin_again()
    room.send()
    fed = room.stream.fed
    assert [frame.keyframe for frame in fed] == [True, False, False, False, True]
    assert fed[-1].payload == fed[0].payload
    ticks = [frame.timestamp_ticks for frame in fed]
    assert ticks == sorted(ticks)
    assert ticks[-1] == 10 * TICKS_PER_FRAME


def test_frames_that_do_not_come_back_are_missing(room):
    for _ in range(20):
        room.send()
    del room.stream.fed
    room.stream = None
    row = describe([room], cpu_s=0.18, took_s=2.0)
    assert row["frames_missing"] == 0.1
    assert row["cpu_ms_per_frame"] == 10.0
    assert row["fps"] == 9.0
    assert row["core_share"] == 0.09


@pytest.mark.parametrize("codec", Codec, ids=str)
def test_a_poorer_picture_is_judged_poorer(codec, images):
    good = [frame.payload for frame in encode_loop(codec, images)]
    seen = judge(codec, images, good)
    others = judge(codec, images[::-1], good)
    assert seen["psnr_db"] > others["psnr_db"] + 5
    assert seen["ssim"] > others["ssim"]
    assert seen["bitrate_bps"] == round(sum(map(len, good)) * 8 * 30 / len(good))


def test_a_host_begins_with_its_only_keyframe(images):
    frames = encode_loop(Codec.H264, images[:5])
    assert [frame.keyframe for frame in frames] == [True, False, False, False, False]
    assert all(isinstance(frame, EncodedFrame) for frame in frames)
