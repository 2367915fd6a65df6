import pytest

from mediasrv.errors import ConsentMissing
from mediasrv.filter_switch import LINGER_S
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import FilterState
from mediasrv.relay.broadcast import VideoPath
from mediasrv.relay.catching_up import CATCH_UP_MAX_S
from tests.filter_fakes import OFF, FilterDesk
from tests.relay_fakes import StudioCamera
from tests.studio import Studio

ON = OFF.model_copy(update={"enabled": True})


@pytest.fixture
def studio():
    studio = Studio()
    studio.join("v")
    return studio


@pytest.fixture
def desk(studio):
    desk = FilterDesk(studio)
    desk.publish()
    yield desk
    desk.run_background()


def switched_on(desk):
    """A room whose viewers see the filter's pictures."""
    desk.switch.set(True, None)
    desk.start_worker()
    desk.studio.shoot(1, keyframe=True)
    desk.stream.give_frame()
    return desk


class TestSwitchingOn:
    def test_nothing_runs_while_it_is_off(self, desk, studio):
        studio.shoot(3, keyframe=True)
        assert desk.streams == []
        assert studio.tags("v") == [b"raw"] * 6

    def test_without_a_worker_frames_and_wishes_go_nowhere(self, studio):
        desk = FilterDesk(studio, ON)
        desk.can_open = False
        desk.publish()
        desk.run_background()
        studio.shoot(3, keyframe=True)
        desk.switch.request_keyframe()
        assert len(studio.fed) == 3
        assert studio.tags("v") == []

    def test_the_host_is_seen_directly_until_the_worker_takes_frames(self, desk, studio):
        studio.shoot(1, keyframe=True)
        view = desk.switch.set(True, {"smooth": 40, "brighten": 10})
        assert (view.enabled, view.state) == (True, "starting")
        assert view.params == desk.stream.parameters == {"smooth": 40, "brighten": 10}
        desk.run_background()
        studio.shoot(1, keyframe=True)
        assert studio.tags("v") == [b"raw"] * 4
        desk.stream.get_worker()
        studio.shoot(1, keyframe=True)
        desk.stream.give_frame()
        assert studio.tags("v") == [b"raw"] * 4 + [b"fil"]
        assert desk.states == ["starting", "on"]

    def test_the_worker_hears_of_new_strengths_and_what_is_not_named_stays(self, desk):
        switched_on(desk)
        view = desk.switch.set(None, {"smooth": 7, "brighten": 9})
        assert desk.stream.parameters == view.params == {"smooth": 7, "brighten": 9}
        view = desk.switch.set(True, None)
        assert view.params == {"smooth": 7, "brighten": 9}
        assert len(desk.streams) == 1

    def test_without_consent_nothing_changes_and_nothing_starts(self, desk):
        desk.switch.set(None, None, consent=False)
        before = desk.switch.view
        with pytest.raises(ConsentMissing):
            desk.switch.set(True, {"smooth": 7, "brighten": 9})
        assert desk.switch.view == before
        assert desk.streams == []

    def test_consent_taken_back_ends_the_worker_at_once(self, desk, studio):
        switched_on(desk)
        view = desk.switch.set(None, None, consent=False)
        assert (view.enabled, view.consent, view.state) == (False, False, "off")
        desk.run_background()
        assert desk.streams[0].closed == "the host took its consent back"
        studio.shoot(1, keyframe=True)
        assert studio.tags("v")[-1] == b"raw"

    def test_consent_taken_back_also_ends_a_worker_that_lingers(self, desk):
        switched_on(desk)
        desk.switch.set(False, None)
        desk.run_background()
        assert desk.streams[0].closed is None
        desk.switch.set(None, None, consent=False)
        desk.run_background()
        assert desk.streams[0].closed == "the host took its consent back"

    def test_strengths_may_be_set_before_there_is_a_worker(self, desk):
        desk.switch.set(None, {"smooth": 7, "brighten": 0})
        desk.switch.set(True, None)
        assert desk.stream.parameters == {"smooth": 7, "brighten": 0}

    def test_without_a_worker_the_host_is_told_and_stays_in_the_picture(self, desk, studio):
        desk.can_open = False
        desk.switch.set(True, None)
        desk.run_background()
        assert desk.switch.view.state == "unavailable"
        assert desk.switch.view.reason == "no worker left"
        studio.shoot(2, keyframe=True)
        assert studio.tags("v") == [b"raw"] * 4
        desk.can_open = True
        desk.switch.set(False, None)
        desk.switch.set(True, None)
        desk.start_worker()
        assert desk.states == ["starting", "unavailable", "off", "starting"]

    def test_a_failure_after_switching_off_again_is_not_shown(self, desk):
        desk.can_open = False
        desk.switch.set(True, None)
        desk.switch.set(False, None)
        desk.run_background()
        assert desk.switch.view.state == "off"

    def test_a_failure_of_a_stream_that_was_replaced_is_not_heard(self, desk):
        desk.can_open = False
        desk.switch.set(True, None)
        desk.can_open = True
        desk.publish()
        desk.run_background()
        assert desk.switch.view.state == "starting"

    def test_viewers_keyframes_come_from_the_worker(self, desk, studio):
        switched_on(desk)
        studio.pass_time(CATCH_UP_MAX_S + 0.1)
        studio.join("late")
        studio.shoot(1)
        desk.stream.give_frame()
        assert studio.tags("late") == [b"fil"]

    def test_the_bitrate_follows_host_and_viewers_and_outlives_the_worker(self, desk):
        frame = EncodedFrame(Codec.VP8, 0, True, bytes(125_000))
        switched_on(desk)
        desk.switch.follow([], 0.0)
        desk.switch.feed(frame)
        desk.switch.follow([], 1.0)
        assert desk.stream.targets_bps == [pytest.approx(1_000_000, rel=0.01)]
        desk.switch.set(None, None, consent=False)
        desk.switch.set(True, None, consent=True)
        assert len(desk.streams) == 2
        assert desk.stream.targets_bps == desk.streams[0].targets_bps

    def test_another_host_has_another_rate(self, desk):
        switched_on(desk)
        desk.switch.follow([], 0.0)
        desk.switch.feed(EncodedFrame(Codec.VP8, 0, True, bytes(125_000)))
        desk.switch.follow([], 1.0)
        desk.switch.publication_began(Codec.VP8)
        assert desk.stream.targets_bps == []


class TestSwitchingOff:
    def test_the_worker_stays_ready_for_people_who_compare(self, desk, studio):
        switched_on(desk)
        view = desk.switch.set(False, None)
        assert (view.enabled, view.state) == (False, "off")
        studio.shoot(1, keyframe=True)
        studio.shoot(2)
        desk.switch.set(True, None)
        assert desk.switch.view.state == "on"
        studio.shoot(2, keyframe=True)
        desk.stream.give_frame()
        desk.stream.give_frame()
        assert studio.tags("v") == [b"fil", *[b"raw"] * 6, b"fil", b"fil"]
        assert len(desk.streams) == 1
        assert desk.timers == []

    def test_a_worker_that_nobody_uses_ends_after_a_while(self, desk, studio):
        switched_on(desk)
        desk.switch.set(False, None)
        studio.now += LINGER_S - 0.1
        desk.run_timers()
        assert desk.background == []
        studio.now += 0.1
        desk.run_timers()
        desk.run_background()
        assert desk.stream.closed == "the filter is off"
        desk.switch.set(True, None)
        assert len(desk.streams) == 2

    def test_a_worker_that_ended_for_another_reason_leaves_no_timer_behind(self, desk):
        switched_on(desk)
        desk.switch.set(False, None)
        desk.publish()
        assert desk.timers == []

    def test_without_a_worker_there_is_nothing_to_wait_for(self, desk):
        desk.can_open = False
        desk.switch.set(True, None)
        desk.run_background()
        desk.switch.set(False, None)
        assert desk.timers == []

    def test_switching_on_again_before_the_hosts_keyframe_shows_no_raw_picture(self, desk, studio):
        switched_on(desk)
        desk.switch.set(False, None)
        desk.stream.lose_worker()
        desk.switch.set(True, None)
        assert desk.switch.view.state == "recovering"
        studio.shoot(2, keyframe=True)
        assert studio.tags("v") == [b"fil"]
        desk.stream.get_worker()
        studio.shoot(1, keyframe=True)
        desk.stream.give_frame()
        assert studio.tags("v") == [b"fil"] * 2
        assert desk.switch.view.state == "on"

    def test_the_same_holds_when_the_worker_had_been_ended_meanwhile(self, desk, studio):
        switched_on(desk)
        desk.switch.set(False, None)
        studio.now += LINGER_S
        desk.run_timers()
        desk.switch.set(True, None)
        studio.shoot(2, keyframe=True)
        assert studio.tags("v") == [b"fil"]

    def test_a_worker_that_died_while_it_lingered_is_not_turned_to_before_it_is_back(
        self, desk, studio
    ):
        switched_on(desk)
        desk.switch.set(False, None)
        studio.shoot(1, keyframe=True)
        desk.stream.lose_worker()
        assert desk.switch.view.state == "off"
        desk.switch.set(True, None)
        assert desk.switch.view.state == "recovering"
        paths = [studio.broadcast.path]
        desk.stream.get_worker()
        paths.append(studio.broadcast.path)
        assert paths == [VideoPath.DIRECT, VideoPath.TO_FILTER]

    def test_a_worker_that_came_back_while_off_is_not_turned_to(self, desk, studio):
        switched_on(desk)
        desk.switch.set(False, None)
        studio.shoot(1, keyframe=True)
        desk.stream.lose_worker()
        desk.stream.get_worker()
        paths = [studio.broadcast.path]
        desk.switch.set(True, None)
        paths.append(studio.broadcast.path)
        assert paths == [VideoPath.DIRECT, VideoPath.TO_FILTER]


class TestWorkerLoss:
    @pytest.mark.parametrize("state", [FilterState.RECOVERING, FilterState.UNAVAILABLE])
    def test_viewers_keep_the_last_frame_and_the_host_is_told(self, desk, studio, state):
        switched_on(desk)
        desk.stream.lose_worker(state)
        studio.shoot(3, keyframe=True)
        assert studio.tags("v") == [b"fil"]
        assert (desk.switch.view.state, desk.switch.view.reason) == (state.value, "worker_crashed")
        studio.pass_time(1)
        asked = len(studio.host.requests())
        desk.stream.get_worker()
        studio.pass_time(0.1)
        assert len(studio.host.requests()) == asked + 1
        studio.shoot(1, keyframe=True)
        desk.stream.give_frame()
        assert studio.tags("v") == [b"fil"] * 2
        assert (desk.switch.view.state, desk.switch.view.reason) == ("on", None)


class TestPublications:
    def test_with_the_filter_on_nothing_of_a_new_connection_goes_past_it(self, desk, studio):
        switched_on(desk)
        old = desk.stream
        studio.shoot(1)
        desk.publish()
        studio.camera = StudioCamera(ssrc=3)
        studio.shoot(2, keyframe=True)
        old.give_frame()
        desk.run_background()
        assert studio.tags("v") == [b"fil"]
        assert old.closed == "the host's connection changed"
        desk.start_worker()
        studio.shoot(1, keyframe=True)
        desk.stream.give_frame()
        assert studio.tags("v") == [b"fil"] * 2

    def test_what_a_replaced_worker_says_is_not_heard(self, desk, studio):
        switched_on(desk)
        old = desk.stream
        desk.publish()
        said = len(desk.announced)
        old.on_state(FilterState.UNAVAILABLE, "old")
        old.get_worker()
        assert len(desk.announced) == said
        assert studio.broadcast.path is VideoPath.FILTERED

    def test_a_room_may_begin_with_the_filter_on(self, studio):
        desk = FilterDesk(studio, ON)
        desk.publish()
        studio.shoot(2, keyframe=True)
        assert studio.tags("v") == []
        desk.start_worker()
        studio.shoot(1, keyframe=True)
        desk.stream.give_frame()
        assert studio.tags("v") == [b"fil"]

    def test_switching_on_without_a_host_takes_effect_when_one_comes(self, studio):
        desk = FilterDesk(studio)
        desk.switch.set(True, None)
        assert desk.streams == []
        assert desk.announced == []
        desk.publish()
        studio.shoot(1, keyframe=True)
        assert studio.tags("v") == []
        assert desk.states == ["starting"]
        desk.run_background()

    def test_when_the_hosts_video_ends_so_does_the_worker(self, desk):
        switched_on(desk)
        desk.unpublish()
        desk.run_background()
        assert desk.stream.closed == "the host's video has ended"
        assert (desk.switch.view.enabled, desk.switch.view.state) == (True, "off")

    def test_a_host_who_comes_back_without_video_needs_no_worker(self, desk):
        switched_on(desk)
        desk.publish(None)
        desk.run_background()
        assert desk.stream.closed
        assert len(desk.streams) == 1
        assert desk.switch.view.state == "off"

    def test_a_host_who_comes_back_after_switching_off_is_seen_directly(self, desk, studio):
        switched_on(desk)
        desk.unpublish()
        desk.switch.set(False, None)
        desk.publish()
        studio.camera = StudioCamera(ssrc=3)
        studio.shoot(2, keyframe=True)
        assert studio.tags("v") == [b"fil"] + [b"raw"] * 4

    def test_the_next_host_begins_anew(self, desk, studio):
        switched_on(desk)
        desk.switch.set(None, {"smooth": 99, "brighten": 0})
        desk.switch.reset(OFF)
        desk.run_background()
        assert desk.switch.view == OFF
        desk.publish()
        studio.camera = StudioCamera(ssrc=3)
        studio.shoot(1, keyframe=True)
        assert studio.tags("v") == [b"fil", b"raw", b"raw"]

    def test_the_worker_speaks_the_codec_of_the_room(self, desk):
        desk.switch.set(True, None)
        desk.publish(Codec.H264)
        assert [s.codec for s in desk.streams] == [Codec.VP8, Codec.H264]
