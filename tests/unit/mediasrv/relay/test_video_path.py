from itertools import pairwise

import pytest

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import rtcp, rtp
from mediasrv.relay.broadcast import VideoPath
from mediasrv.relay.catching_up import CATCH_UP_MAX_S
from tests.relay_fakes import H264_TRACKS, StudioCamera, viewer_tracks
from tests.studio import Studio


@pytest.fixture
def studio():
    studio = Studio()
    studio.publish()
    studio.join("v")
    return studio


def answer_all(studio, *, keyframe=False):
    """The filter gives back all frames that it was fed and has not answered yet."""
    for frame in studio.fed[getattr(studio, "answered", 0) :]:
        studio.give_filtered(frame, keyframe=keyframe or frame.keyframe)
    studio.answered = len(studio.fed)


def filtered(studio):
    """Let the filter take over in a studio whose video goes directly."""
    studio.broadcast.divert_to_filter()
    studio.shoot(1, keyframe=True)
    answer_all(studio)
    return studio


def pictures(studio):
    return [(p.payload[2] & 0x7F) << 8 | p.payload[3] for p in studio.video("v")]


class TestSwitching:
    def test_the_filter_takes_over_at_the_hosts_next_keyframe(self, studio):
        broadcast = studio.broadcast
        studio.shoot(2, keyframe=True)
        broadcast.divert_to_filter()
        assert broadcast.path is VideoPath.TO_FILTER
        studio.shoot(2)
        assert studio.fed == []
        studio.shoot(3, keyframe=True)
        assert [f.keyframe for f in studio.fed] == [True, False, False]
        assert studio.frames_seen("v") == [0, 1, 2, 3]
        answer_all(studio)
        assert studio.tags("v") == [b"raw"] * 8 + [b"fil"] * 3
        assert broadcast.counters.frames_to_filter == 3

    def test_the_host_takes_over_again_at_its_next_keyframe(self, studio):
        studio.shoot(1, keyframe=True)
        filtered(studio)
        studio.broadcast.divert_to_direct()
        studio.shoot(2)
        answer_all(studio)
        assert studio.tags("v") == [b"raw"] * 2 + [b"fil"] * 3
        studio.shoot(2, keyframe=True)
        assert studio.tags("v")[5:] == [b"raw"] * 4
        assert len(studio.fed) == 3

    def test_each_switch_asks_the_host_for_its_keyframe_and_only_then(self, studio):
        studio.shoot(1, keyframe=True)
        studio.pass_time(1)
        studio.broadcast.divert_to_filter()
        studio.broadcast.divert_to_filter()
        studio.pass_time(0.3)
        assert len(studio.host.requests()) == 1
        studio.shoot(1, keyframe=True)
        studio.pass_time(1)
        studio.broadcast.divert_to_direct()
        studio.broadcast.divert_to_direct()
        studio.pass_time(0.3)
        assert len(studio.host.requests()) == 2

    def test_numbers_times_and_picture_ids_go_on_over_every_switch(self, studio):
        studio.shoot(3, keyframe=True, count=1)
        for _ in range(3):
            filtered(studio)
            studio.shoot(2)
            answer_all(studio)
            studio.broadcast.divert_to_direct()
            studio.shoot(3, keyframe=True, count=1)
        video = studio.video("v")
        assert [p.sequence for p in video] == list(range(100, 100 + len(video)))
        assert pictures(studio) == list(range(40, 40 + len(video)))
        times = [p.timestamp for p in video]
        assert {b - a for a, b in pairwise(times)} == {3000}

    def test_a_late_frame_of_the_filter_is_dropped_once_the_host_goes_directly(self, studio):
        filtered(studio)
        studio.shoot(1)
        studio.broadcast.divert_to_direct()
        studio.shoot(1, keyframe=True)
        answer_all(studio)
        assert studio.tags("v") == [b"fil", b"raw", b"raw"]

    def test_a_late_frame_from_before_an_interlude_is_dropped_too(self, studio):
        filtered(studio)
        studio.shoot(1)
        late = studio.fed[-1]
        studio.broadcast.divert_to_direct()
        studio.shoot(2, keyframe=True)
        studio.answered = len(studio.fed)
        filtered(studio)
        studio.give_filtered(late)
        assert studio.tags("v") == [b"fil", *[b"raw"] * 4, b"fil"]

    def test_a_filter_that_goes_on_with_a_delta_frame_is_asked_for_a_keyframe(self, studio):
        studio.broadcast.divert_to_filter()
        studio.shoot(2, keyframe=True)
        first, second = studio.fed
        studio.give_filtered(first, keyframe=False)
        assert studio.tags("v") == []
        studio.pass_time(0.02)
        assert studio.filter_keyframes == 1
        studio.give_filtered(second, keyframe=True)
        assert studio.tags("v") == [b"fil"]

    def test_taking_a_wish_back_before_the_keyframe_changes_nothing(self, studio):
        studio.shoot(1, keyframe=True)
        studio.broadcast.divert_to_filter()
        studio.broadcast.divert_to_direct()
        studio.shoot(1, keyframe=True)
        assert studio.tags("v") == [b"raw"] * 4
        filtered(studio)
        studio.broadcast.divert_to_direct()
        studio.broadcast.divert_to_filter()
        studio.shoot(1, keyframe=True)
        answer_all(studio)
        assert studio.tags("v")[4:] == [b"fil"] * 2

    @pytest.mark.parametrize("to_filter", [True, False])
    def test_a_keyframe_whose_start_was_repaired_is_not_the_place_to_switch(
        self, studio, to_filter
    ):
        """The rest of it went the old way, so the other way would begin with a torn frame."""
        studio.shoot(1, keyframe=True)
        if to_filter:
            studio.broadcast.divert_to_filter()
        else:
            filtered(studio)
            studio.broadcast.divert_to_direct()
        before = studio.broadcast.path
        start, *rest = studio.camera.shoot(keyframe=True, count=3)
        studio.receive(*rest, start)
        assert studio.broadcast.path is before
        studio.pass_time(0.6)
        assert studio.host.requests()
        studio.shoot(1, keyframe=True)
        assert studio.broadcast.path is not before

    def test_a_late_viewer_joins_the_filtered_video(self, studio):
        filtered(studio)
        studio.shoot(2)
        answer_all(studio)
        studio.join("late", viewer_tracks(2000))
        assert [p.payload[5:8] for p in studio.video("late", 2001)] == [b"fil"] * 3

    def test_the_recent_keyframe_of_the_host_is_not_served_once_the_filter_is_there(self, studio):
        studio.shoot(2, keyframe=True)
        studio.broadcast.divert_to_filter()
        studio.shoot(1, keyframe=True)
        studio.join("late", viewer_tracks(2000))
        assert studio.video("late", 2001) == []


class TestRequireFilter:
    def test_not_even_a_started_frame_goes_past_a_required_filter(self, studio):
        studio.shoot(1, keyframe=True)
        packets = studio.camera.shoot(count=4)
        studio.receive(*packets[:2])
        studio.broadcast.require_filter(studio.now)
        studio.receive(*packets[2:])
        studio.pass_time(1)
        studio.shoot(3)
        assert studio.frames_seen("v") == [0]
        assert studio.host.requests()
        studio.shoot(2, keyframe=True)
        answer_all(studio)
        assert studio.tags("v") == [b"raw"] * 2 + [b"fil"] * 2

    def test_a_room_can_begin_with_it(self):
        studio = Studio()
        studio.publish()
        studio.broadcast.require_filter(studio.now)
        studio.join("v")
        studio.shoot(2, keyframe=True)
        answer_all(studio)
        assert studio.tags("v") == [b"fil"] * 2
        assert pictures(studio) == [0, 1]

    def test_requiring_it_again_keeps_what_is_on_its_way(self, studio):
        filtered(studio)
        first, second = studio.camera.shoot()
        studio.receive(first)
        studio.broadcast.require_filter(studio.now)
        studio.receive(second)
        assert len(studio.fed) == 2

    def test_it_holds_when_the_host_comes_back(self, studio):
        filtered(studio)
        studio.shoot(1)
        old = studio.fed[-1]
        studio.broadcast.unpublish()
        studio.publish()
        studio.broadcast.require_filter(studio.now)
        studio.camera = StudioCamera(ssrc=9, frame=50, timestamp=7)
        studio.shoot(2, keyframe=True)
        studio.give_filtered(old)
        answered = studio.tags("v")
        studio.answered = len(studio.fed) - 2
        answer_all(studio)
        assert answered == [b"fil"]
        assert studio.tags("v") == [b"fil"] * 3
        times = [p.timestamp for p in studio.video("v")]
        assert times == sorted(set(times))

    def test_forgetting_the_filter_lets_the_next_host_go_directly(self, studio):
        filtered(studio)
        studio.broadcast.unpublish()
        studio.broadcast.forget_filter(studio.now)
        studio.broadcast.forget_filter(studio.now)
        studio.publish()
        studio.camera = StudioCamera(ssrc=9, frame=50)
        studio.shoot(2, keyframe=True)
        assert studio.tags("v") == [b"fil"] + [b"raw"] * 4

    def test_after_forgetting_the_filter_nobody_starts_in_mid_stream(self, studio):
        filtered(studio)
        studio.broadcast.forget_filter(studio.now)
        studio.shoot(2)
        assert studio.tags("v") == [b"fil"]


class TestFrames:
    def test_the_filter_gets_whole_frames_as_the_host_encoded_them(self, studio):
        studio.broadcast.require_filter(studio.now)
        studio.camera.timestamp = 2**32 - 3000
        packets = [studio.camera.shoot(keyframe=i == 0, count=3) for i in range(3)]
        studio.receive(*(p for frame in packets for p in frame))
        originals = [b"".join(rtp.parse_rtp(p).payload[4:] for p in frame) for frame in packets]
        assert [f.payload for f in studio.fed] == originals
        assert [f.timestamp_ticks for f in studio.fed] == [2**32 - 3000, 2**32, 2**32 + 3000]
        assert {f.codec for f in studio.fed} == {Codec.VP8}

    def test_h264_is_joined_into_access_units(self):
        studio = Studio()
        studio.publish(H264_TRACKS)
        studio.join("v")
        studio.broadcast.require_filter(studio.now)
        key = [b"\x78\x00\x02\x67a\x00\x02\x68b", b"\x7c\x85idr", b"\x7c\x45end"]
        studio.receive(*studio.camera.pack(key))
        unit = b"\0\0\0\1\x67a\0\0\0\1\x68b\0\0\0\1\x65idrend"
        assert studio.fed == [EncodedFrame(Codec.H264, 900_000, True, unit)]
        studio.broadcast.write_filtered(studio.fed[0], studio.now)
        assert [p.payload for p in studio.video("v")] == [
            b"\x78\x00\x02\x67a\x00\x02\x68b\x00\x07\x65idrend"
        ]

    def test_a_loss_that_is_not_repaired_asks_the_host_for_a_keyframe(self, studio):
        filtered(studio)
        studio.camera.shoot()
        studio.shoot(15)
        assert len(studio.fed) == 1
        assert len(studio.host.requests()) == 1
        studio.shoot(1, keyframe=True)
        assert len(studio.fed) == 2

    def test_a_repaired_loss_costs_nothing(self, studio):
        filtered(studio)
        first, second = studio.camera.shoot()
        studio.receive(second)
        studio.shoot(2)
        assert 5002 in studio.host.nacked()
        studio.receive(first)
        assert len(studio.fed) == 4

    def test_the_filter_may_ask_the_host_for_a_keyframe(self, studio):
        filtered(studio)
        studio.pass_time(1)
        before = len(studio.host.requests())
        studio.broadcast.want_host_keyframe()
        studio.pass_time(0.1)
        assert len(studio.host.requests()) == before + 1


class TestViewersKeyframes:
    def ask(self, studio):
        studio.broadcast.receive_viewer_rtcp("v", rtcp.write_pli(1, 1001), studio.now)

    def test_the_filter_answers_them_and_the_host_is_left_alone(self, studio):
        filtered(studio)
        studio.pass_time(1)
        asked = len(studio.host.requests()), studio.filter_keyframes
        for _ in range(20):
            self.ask(studio)
            studio.pass_time(0.05)
        assert (len(studio.host.requests()), studio.filter_keyframes - 2) == asked

    def test_a_join_asks_the_filter_too(self, studio):
        filtered(studio)
        studio.pass_time(CATCH_UP_MAX_S + 0.1)
        asked = studio.filter_keyframes
        studio.join("late", viewer_tracks(2000))
        assert studio.filter_keyframes == asked + 1

    def test_the_filter_is_asked_again_until_its_keyframe_comes(self, studio):
        filtered(studio)
        studio.pass_time(1)
        asked = studio.filter_keyframes
        self.ask(studio)
        studio.pass_time(1.2)
        assert studio.filter_keyframes == asked + 3
        studio.shoot(1)
        studio.give_filtered(studio.fed[-1], keyframe=True)
        studio.pass_time(2)
        assert studio.filter_keyframes == asked + 3

    def test_before_the_filter_has_taken_over_the_host_is_asked(self, studio):
        studio.shoot(1, keyframe=True)
        studio.broadcast.divert_to_filter()
        self.ask(studio)
        assert studio.filter_keyframes == 0
        assert len(studio.host.requests()) == 1
