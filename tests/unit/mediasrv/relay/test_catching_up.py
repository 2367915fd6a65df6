from dataclasses import replace

import pytest

from mediasrv.relay.catching_up import (
    CATCH_UP_BYTES,
    CATCH_UP_EVERY_S,
    CATCH_UP_FIRST_BYTES,
    CATCH_UP_MAX_S,
    CATCH_UP_PACKETS_MAX,
)
from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.layout import BATCH_PACKETS_MAX
from mediasrv.relay.packets import ExtensionIds
from tests.relay_fakes import (
    WatchingOutlet,
    read_piece,
    whole_frames,
)
from tests.unit.mediasrv.relay.track_stage import STEP, Stage


@pytest.fixture
def stage():
    return Stage()


class TestJoining:
    def test_the_first_viewer_asks_for_a_keyframe_and_waits_for_it(self, stage):
        stage.shoot(3)
        stage.join("v")
        assert stage.track.keyframes.wanted
        stage.shoot(2)
        stage.shoot(keyframe=True)
        assert [p.frame for p in stage.seen("v")] == [5, 5]
        assert not stage.track.keyframes.wanted

    def test_a_late_viewer_is_served_from_the_recent_keyframe(self, stage):
        stage.shoot(keyframe=True, count=4)
        stage.shoot(5)
        outlet = stage.join("late")
        assert not stage.track.keyframes.wanted
        stage.shoot(4)
        assert [(p.frame, p.index) for p in stage.seen("late")] == [
            *((0, i) for i in range(4)),
            *((f, i) for f in range(1, 10) for i in range(2)),
        ]
        assert [p.sequence for p in outlet.packets] == list(range(22))

    def test_a_keyframe_of_one_packet_is_enough(self, stage):
        stage.shoot(keyframe=True, count=1)
        outlet = stage.join("late")
        assert [p.sequence for p in outlet.packets] == [0]

    def test_replayed_frames_end_at_the_present_and_times_only_grow(self, stage):
        stage.shoot(keyframe=True)
        stage.shoot(5)
        outlet = stage.join("late")
        stage.shoot(2)
        times = [packets[0].timestamp for packets in whole_frames(outlet.packets)]
        newest = 5 * STEP
        assert times == [newest - 90 * i for i in (5, 4, 3, 2, 1, 0)] + [6 * STEP, 7 * STEP]

    def test_frames_closer_than_the_replays_step_keep_their_times(self, stage):
        for ticks in (0, 30, 60):
            packets = stage.packets(keyframe=ticks == 0)
            for packet in packets:
                packet.ticks = ticks
            stage.write(packets)
        outlet = stage.join("late")
        assert [p.timestamp for p in outlet.packets] == [0, 0, 30, 30, 60, 60]

    def test_joining_in_mid_frame_neither_doubles_nor_loses_a_packet(self, stage):
        early = stage.join("early")
        stage.shoot(keyframe=True)
        packets = stage.packets(count=4)
        stage.write(packets[:2])
        late = stage.join("late")
        stage.write(packets[2:])
        for outlet in (early, late):
            assert [p.sequence for p in outlet.packets] == list(range(6))
            assert [p.timestamp for p in outlet.packets[2:]] == [STEP] * 4

    def test_joining_in_the_middle_of_the_keyframe_works_too(self, stage):
        packets = stage.packets(keyframe=True, count=6)
        stage.write(packets[:3])
        stage.track.flush(stage.now)
        late = stage.join("late")
        stage.write(packets[3:])
        assert [p.sequence for p in late.packets] == list(range(6))

    def test_a_keyframe_of_long_ago_is_not_replayed(self, stage):
        stage.shoot(keyframe=True)
        stage.now = 10 + CATCH_UP_MAX_S + 0.001
        outlet = stage.join("late")
        assert outlet.packets == []
        assert stage.track.keyframes.wanted

    def test_more_packets_than_the_bound_are_not_replayed(self, stage):
        stage.write(stage.packets(keyframe=True, count=CATCH_UP_PACKETS_MAX))
        outlet = stage.join("in time")
        stage.catch_up()
        assert len(outlet.packets) == CATCH_UP_PACKETS_MAX
        stage.write(stage.packets(count=1))
        assert stage.join("late").packets == []
        assert stage.track.keyframes.wanted

    def test_the_past_is_not_sent_in_one_gulp(self, stage):
        stage.write(stage.packets(keyframe=True, count=CATCH_UP_PACKETS_MAX - 10))
        outlet = stage.join("late")
        at_once = sum(len(p.payload) for p in outlet.packets)
        assert at_once <= CATCH_UP_FIRST_BYTES + 100
        assert stage.track.due_at == stage.now + CATCH_UP_EVERY_S
        before, began = len(outlet.packets), stage.now
        stage.now += CATCH_UP_EVERY_S
        stage.track.advance(stage.now)
        part = sum(len(p.payload) for p in outlet.packets[before:])
        assert CATCH_UP_BYTES <= part <= CATCH_UP_BYTES + 100
        stage.catch_up()
        assert stage.now - began < 0.1
        assert [p.sequence for p in outlet.packets] == list(range(CATCH_UP_PACKETS_MAX - 10))

    def test_what_comes_while_a_viewer_catches_up_follows_without_a_hole(self, stage):
        early = stage.join("early")
        stage.write(stage.packets(keyframe=True, count=CATCH_UP_PACKETS_MAX - 100))
        late = stage.join("late")
        for _ in range(4):
            stage.now += CATCH_UP_EVERY_S / 2
            stage.write(stage.packets(count=3))
            stage.track.advance(stage.now)
        stage.catch_up()
        stage.shoot(2)
        assert [p.sequence for p in late.packets] == [p.sequence for p in early.packets]
        assert stage.track.due_at is None

    def test_who_leaves_while_catching_up_is_forgotten(self, stage):
        stage.write(stage.packets(keyframe=True, count=CATCH_UP_PACKETS_MAX - 100))
        outlet = stage.join("late")
        stage.track.remove("late")
        sent = len(outlet.packets)
        assert stage.track.due_at is None
        stage.shoot()
        assert len(outlet.packets) == sent

    def test_a_splice_ends_catching_up_with_a_hole_for_the_frame_that_was_cut(self, stage):
        stage.write(stage.packets(keyframe=True, count=CATCH_UP_PACKETS_MAX - 100))
        outlet = stage.join("late")
        last = outlet.packets[-1].sequence
        stage.track.splice(stage.now, new_clock=False)
        stage.shoot(keyframe=True)
        assert [p.sequence for p in outlet.packets[-2:]] == [last + 2, last + 3]

    def test_a_packet_that_comes_twice_leaves_once(self, stage):
        outlet = stage.join("v")
        first, second, third = stage.packets(keyframe=True, count=3)
        stage.write([first, replace(first), second, third, replace(second)])
        stage.track.flush(stage.now)
        assert [p.sequence for p in outlet.packets] == [0, 1, 2]
        assert stage.track.duplicates == 2

    def test_a_viewer_that_cannot_play_the_recent_codec_is_not_served_from_it(self, stage):
        stage.shoot(keyframe=True)
        assert stage.join("late", h264=97).packets == []

    def test_a_replay_that_cannot_be_sent_asks_for_a_keyframe(self, stage):
        stage.shoot(keyframe=True, count=BATCH_PACKETS_MAX)
        stage.shoot(count=10)
        outlet = WatchingOutlet(is_broken=True)
        forwarder = Forwarder(outlet, 5, {"vp8": 96}, ExtensionIds(), 0)
        stage.track.add("late", forwarder, stage.now)
        assert outlet.sends == 1
        assert forwarder.waiting
        assert stage.track.keyframes.wanted

    def test_what_is_repaired_after_joining_fits_to_what_was_replayed(self, stage):
        early = stage.join("early")
        stage.shoot(keyframe=True)
        holed = stage.packets(count=3)
        stage.write([holed[0], holed[2]])
        stage.now += 1 / 30
        stage.shoot(2)
        late = stage.join("late")
        stage.write([holed[1]])
        stage.track.flush(stage.now)
        stage.shoot()
        for outlet in (early, late):
            frames = list(whole_frames(outlet.packets))
            assert [[read_piece(p.payload).frame for p in f] for f in frames] == [
                [0, 0],
                [1, 1, 1],
                [2, 2],
                [3, 3],
                [4, 4],
            ]
            assert [p.sequence for f in frames for p in f] == list(range(11))

    def test_what_is_older_than_the_keyframe_is_not_replayed(self, stage):
        before = stage.packets(count=2)
        stage.write(before[:1])
        stage.shoot(keyframe=True)
        stage.write(before[1:])
        stage.shoot()
        late = stage.join("late")
        assert [(p.frame, p.index) for p in stage.seen("late")] == [(1, 0), (1, 1), (2, 0), (2, 1)]
        assert [p.sequence for p in late.packets] == list(range(4))

    def test_nobody_starts_at_a_keyframe_whose_start_comes_after_the_rest(self, stage):
        going = stage.join("going")
        stage.shoot(keyframe=True)
        waiting = stage.join("waiting", vp8=96)
        stage.track.forwarders["waiting"].waiting = True
        packets = stage.packets(keyframe=True, count=3)
        stage.write(packets[1:])
        stage.track.keyframes.ask()
        stage.write(packets[:1])
        stage.track.flush(stage.now)
        assert len(going.packets) == 5
        assert len(waiting.packets) == 2
        assert stage.track.keyframes.wanted
        stage.shoot(keyframe=True)
        assert len(waiting.packets) == 4
        assert not stage.track.keyframes.wanted
