from dataclasses import replace

import pytest

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.layout import BATCH_PACKETS_MAX
from mediasrv.relay.packets import ExtensionIds, TrackPacket
from mediasrv.relay.track import (
    CATCH_UP_BYTES,
    CATCH_UP_EVERY_S,
    CATCH_UP_FIRST_BYTES,
    CATCH_UP_MAX_S,
    CATCH_UP_PACKETS_MAX,
    HOLD_S,
    PAYLOAD_MAX_BYTES,
    TrackRelay,
)
from tests.relay_fakes import (
    WatchingOutlet,
    read_piece,
    vp8_bitstream,
    vp8_payloads,
    whole_frames,
)

HZ = 90_000
STEP = 3000


class Stage:
    """A video track with viewers; frames of the host 1/30 s apart."""

    def __init__(self):
        self.track = TrackRelay(HZ, seekable=True)
        self.outlets = {}
        self.now = 10.0
        self.sequence = 1000
        self.frame = 0

    def join(self, name, **types):
        outlet = self.outlets[name] = WatchingOutlet()
        self.track.add(
            name,
            Forwarder(outlet, 5, types or {"vp8": 96, "h264": 97}, ExtensionIds(), 0),
            self.now,
        )
        return outlet

    def packets(self, *, keyframe=False, count=2):
        payloads = vp8_payloads(
            self.frame, keyframe=keyframe, count=count, picture_id=self.frame + 7
        )
        made = [
            TrackPacket(
                self.sequence + i,
                self.frame * STEP,
                i == count - 1,
                "vp8",
                payload,
                b"",
                keyframe and i == 0,
            )
            for i, payload in enumerate(payloads)
        ]
        self.sequence += count
        self.frame += 1
        return made

    def write(self, packets):
        for packet in packets:
            self.track.write_packet(packet, self.now)

    def shoot(self, frames=1, *, keyframe=False, count=2):
        for _ in range(frames):
            self.write(self.packets(keyframe=keyframe, count=count))
            self.now += 1 / 30

    def catch_up(self):
        """Let everybody who is on the way to the present arrive there."""
        while self.track.due_at is not None:
            self.now = self.track.due_at
            self.track.advance(self.now)

    def seen(self, name):
        return [read_piece(p.payload) for p in self.outlets[name].packets]


@pytest.fixture
def stage():
    return Stage()


class TestSending:
    def test_a_frame_leaves_in_one_send_when_its_marker_comes(self, stage):
        outlet = stage.join("v")
        packets = stage.packets(keyframe=True, count=5)
        stage.write(packets[:4])
        assert outlet.sends == 0
        assert stage.track.due_at == stage.now + HOLD_S
        stage.write(packets[4:])
        assert outlet.sends == 1
        assert stage.track.due_at is None
        assert [p.index for p in stage.seen("v")] == [0, 1, 2, 3, 4]
        assert stage.track.packets_in == 5

    def test_what_waits_leaves_when_it_has_waited_long_enough(self, stage):
        outlet = stage.join("v")
        stage.write(stage.packets(keyframe=True, count=5)[:3])
        stage.track.flush(stage.now + HOLD_S)
        assert len(outlet.packets) == 3
        stage.track.flush(stage.now + HOLD_S)
        assert outlet.sends == 1

    def test_a_huge_frame_leaves_in_parts(self, stage):
        outlet = stage.join("v")
        stage.write(stage.packets(keyframe=True, count=BATCH_PACKETS_MAX + 10))
        assert outlet.sends == 2
        assert len(outlet.packets) == BATCH_PACKETS_MAX + 10

    def test_packets_of_a_batch_leave_in_the_order_of_their_numbers(self, stage):
        outlet = stage.join("v")
        stage.shoot()
        first, second, third = stage.packets(keyframe=True, count=3)
        # The start of the keyframe is overtaken.
        stage.write([second, first, third])
        assert [p.index for p in stage.seen("v")] == [0, 1, 2]
        assert [p.sequence for p in outlet.packets] == [0, 1, 2]

    def test_dropped_packets_reach_nobody(self, stage):
        outlet = stage.join("v")
        stage.write(stage.packets(keyframe=True, count=3)[:2])
        stage.track.drop_pending()
        stage.track.flush(stage.now)
        assert outlet.packets == []
        assert stage.track.due_at is None

    def test_audio_leaves_at_once(self):
        track, outlet = TrackRelay(48_000, seekable=False), WatchingOutlet()
        track.add("v", Forwarder(outlet, 5, {"opus": 111}, ExtensionIds(), 9), 0.0)
        track.write_packet(TrackPacket(70, 960, False, "opus", b"a", b"", True), 0.0)
        track.write_packet(TrackPacket(71, 1920, False, "opus", b"b", b"", True), 0.0)
        assert [(p.sequence, p.payload) for p in outlet.packets] == [(9, b"a"), (10, b"b")]
        assert not track.keyframes.wanted

    def test_a_viewer_who_leaves_gets_nothing_more(self, stage):
        outlet = stage.join("v")
        stage.track.remove("v")
        stage.track.remove("nobody")
        stage.shoot(keyframe=True)
        assert outlet.packets == []

    def test_a_viewer_whose_sends_fail_waits_and_asks_while_others_go_on(self, stage):
        broken, well = stage.join("broken"), stage.join("well")
        stage.shoot(keyframe=True)
        assert not stage.track.keyframes.wanted
        broken.is_broken = True
        stage.shoot()
        assert stage.track.keyframes.wanted
        broken.is_broken = False
        stage.shoot(3)
        stage.shoot(keyframe=True)
        assert not stage.track.keyframes.wanted
        assert [p.frame for p in stage.seen("broken")] == [0, 0, 5, 5]
        assert [p.sequence for p in broken.packets] == [0, 1, 4, 5]
        assert [p.sequence for p in well.packets] == list(range(12))


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


class TestSplicing:
    def test_what_waits_leaves_before_the_other_source_begins(self, stage):
        outlet = stage.join("v")
        stage.write(stage.packets(keyframe=True, count=3)[:2])
        stage.track.splice(stage.now, new_clock=False)
        assert len(outlet.packets) == 2

    @pytest.mark.parametrize("cut", [1, 2])
    def test_a_torn_frame_leaves_a_hole_so_that_nobody_joins_it_to_the_next(self, stage, cut):
        outlet = stage.join("v")
        stage.shoot(keyframe=True)
        stage.write(stage.packets(count=3)[:cut])
        stage.track.splice(stage.now, new_clock=False)
        stage.track.splice(stage.now, new_clock=False)
        stage.shoot(keyframe=True)
        after = 2 + cut + 1
        assert [p.sequence for p in outlet.packets] == [*range(2 + cut), after, after + 1]

    def test_a_padding_probe_tears_nothing(self, stage):
        outlet = stage.join("v")
        stage.shoot(keyframe=True)
        probe = stage.packets(count=1)[0]
        probe.payload, probe.marker = b"", False
        stage.write([probe])
        stage.track.splice(stage.now, new_clock=False)
        stage.shoot(keyframe=True)
        assert [p.sequence for p in outlet.packets] == list(range(5))

    def test_a_viewer_who_has_seen_nothing_yet_sees_no_hole(self, stage):
        outlet = stage.join("v")
        stage.write(stage.packets(count=3)[:2])
        stage.track.splice(stage.now, new_clock=False)
        stage.shoot(keyframe=True)
        assert [p.sequence for p in outlet.packets] == [0, 1]

    def test_viewers_wait_for_the_other_sources_keyframe(self, stage):
        outlet = stage.join("v")
        stage.shoot(keyframe=True)
        stage.track.splice(stage.now, new_clock=True)
        stage.shoot(2)
        assert stage.track.keyframes.wanted
        stage.shoot(keyframe=True)
        assert [p.frame for p in stage.seen("v")] == [0, 0, 3, 3]
        assert [p.sequence for p in outlet.packets] == [0, 1, 2, 3]

    def test_a_splice_forgets_the_recent_keyframe(self, stage):
        stage.shoot(keyframe=True)
        stage.track.splice(stage.now, new_clock=False)
        assert stage.join("late").packets == []

    def test_packets_of_the_source_before_come_too_late(self, stage):
        outlet = stage.join("v")
        stage.shoot(keyframe=True)
        old = stage.packets()
        stage.track.splice(stage.now, new_clock=False)
        stage.shoot(keyframe=True)
        stage.write(old)
        assert [p.frame for p in stage.seen("v")] == [0, 0, 2, 2]
        assert len(outlet.packets) == 4


class TestFilteredFrames:
    def frame(self, number, *, keyframe=False, codec=Codec.VP8, size=3000):
        return EncodedFrame(
            codec, number * STEP, keyframe, vp8_bitstream(number, keyframe=keyframe, size=size)
        )

    def test_a_frame_of_the_filter_is_cut_into_packets_and_sent_whole(self, stage):
        outlet = stage.join("v")
        stage.track.write_frame(self.frame(4, keyframe=True), stage.now)
        assert outlet.sends == 1
        assert [p.marker for p in outlet.packets] == [False, False, True]
        assert {p.timestamp for p in outlet.packets} == {4 * STEP}
        assert all(len(p.payload) <= PAYLOAD_MAX_BYTES for p in outlet.packets)
        assert (
            b"".join(p.payload[4:] for p in outlet.packets) == self.frame(4, keyframe=True).payload
        )

    def test_picture_ids_and_numbers_go_on_from_the_hosts_own(self, stage):
        outlet = stage.join("v")
        stage.shoot(keyframe=True)
        stage.track.splice(stage.now, new_clock=False)
        stage.track.write_frame(self.frame(1, keyframe=True, size=50), stage.now)
        stage.track.write_frame(self.frame(2, size=50), stage.now)
        stage.track.splice(stage.now, new_clock=False)
        stage.frame = 3
        stage.shoot(keyframe=True)
        pictures = [(p.payload[2] & 0x7F) << 8 | p.payload[3] for p in outlet.packets]
        assert pictures == [7, 7, 8, 9, 10, 10]
        assert [p.sequence for p in outlet.packets] == list(range(6))
        assert [p.timestamp for p in outlet.packets] == [0, 0, STEP, 2 * STEP, 3 * STEP, 3 * STEP]

    def test_a_late_viewer_is_served_from_the_filters_keyframe(self, stage):
        stage.track.write_frame(self.frame(1, keyframe=True), stage.now)
        stage.track.write_frame(self.frame(2), stage.now)
        assert len(stage.join("late").packets) == 6

    def test_h264_is_cut_as_h264(self, stage):
        outlet = stage.join("v")
        unit = b"\0\0\0\1\x67sps\0\0\0\1\x68pps\0\0\0\1\x65" + b"i" * 2000
        stage.track.write_frame(EncodedFrame(Codec.H264, 0, True, unit), stage.now)
        assert [p.payload[0] & 0x1F for p in outlet.packets] == [24, 28, 28]
        assert {p.payload_type for p in outlet.packets} == {97}

    def test_a_frame_without_units_sends_nothing(self, stage):
        outlet = stage.join("v")
        stage.track.write_frame(EncodedFrame(Codec.H264, 0, True, b"nothing"), stage.now)
        assert outlet.sends == 0


class TestSenderReports:
    def test_there_is_none_before_the_hosts_first_or_the_first_packet(self, stage):
        stage.join("v")
        forwarder = stage.track.forwarders["v"]
        stage.track.set_clock(1.0, 0)
        assert stage.track.clock is None
        stage.shoot(keyframe=True)
        assert stage.track.sender_report(forwarder, stage.now) is None
        stage.track.set_clock(1.0, 0)
        stage.join("silent", h264=97)
        assert stage.track.sender_report(stage.track.forwarders["silent"], stage.now) is None
        assert stage.track.sender_report(forwarder, stage.now) is not None

    def test_it_continues_the_hosts_clock_to_the_present(self, stage):
        stage.join("v")
        stage.shoot(keyframe=True)
        stage.track.set_clock(100.0, 2**32 - HZ)
        report = stage.track.sender_report(stage.track.forwarders["v"], 102.5)
        assert report.ntp == int(102.5 * 2**32)
        assert report.timestamp == int(1.5 * HZ)
        assert (report.ssrc, report.packets, report.octets) == (5, 2, 148)

    def test_a_new_clock_forgets_the_old_report(self, stage):
        stage.shoot(keyframe=True)
        stage.track.set_clock(100.0, 0)
        stage.track.splice(stage.now, new_clock=False)
        assert stage.track.clock is not None
        stage.track.splice(stage.now, new_clock=True)
        assert stage.track.clock is None
