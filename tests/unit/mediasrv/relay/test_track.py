import pytest

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import vp8
from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.layout import BATCH_PACKETS_MAX
from mediasrv.relay.packets import ExtensionIds, TrackPacket
from mediasrv.relay.patience import FIRST_WAIT_S
from mediasrv.relay.track import HOLD_S, PAYLOAD_MAX_BYTES, TrackRelay
from tests.relay_fakes import (
    WatchingOutlet,
    vp8_bitstream,
)
from tests.unit.mediasrv.relay.track_stage import HZ, STEP, Stage


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

    def test_a_viewer_who_loses_the_keyframe_as_well_costs_the_next_one_later(self, stage):
        outlet = stage.join("v")
        stage.shoot(keyframe=True)
        outlet.is_broken = True
        stage.shoot()
        assert stage.track.keyframes.wanted
        stage.shoot(keyframe=True)
        assert not stage.track.keyframes.wanted
        stage.now += FIRST_WAIT_S
        stage.shoot()
        assert stage.track.keyframes.wanted

    def test_a_listener_whose_sends_fail_goes_on_with_the_next_packet(self):
        track, outlet = TrackRelay(48_000, seekable=False), WatchingOutlet()
        track.add("v", Forwarder(outlet, 5, {"opus": 111}, ExtensionIds(), 9), 0.0)
        for sequence in range(3):
            outlet.is_broken = sequence == 1
            track.write_packet(
                TrackPacket(sequence, 960 * sequence, False, "opus", b"a", b"", True), 0.0
            )
        assert len(outlet.packets) == 2
        assert not track.keyframes.wanted


def test_layers_of_the_worker_are_counted_and_stand_in_the_packets(stage):
    outlet = stage.join("v")
    for i, (layer, sync) in enumerate([(0, False), (2, True), (1, True), (0, False)]):
        data = vp8_bitstream(i, keyframe=i == 0)
        frame = EncodedFrame(Codec.VP8, STEP * i, i == 0, data, layer=layer, layer_sync=sync)
        stage.track.write_frame(frame, stage.now)
    seen = [vp8.parse_descriptor(p.payload) for p in outlet.packets]
    assert [(d.layer, d.layer_sync) for d in seen] == [(0, False), (2, True), (1, True), (0, False)]
    base = seen[0].tl0_index
    assert [d.tl0_index for d in seen] == [base, base, base, base + 1]


class Notes:
    """An observer that writes down what it is told."""

    def __init__(self):
        self.heard = []

    def writing(self, frame):
        self.heard.append(("writing", frame.timestamp_ticks))

    def appended(self, packet):
        self.heard.append(("appended", packet.sequence))

    def sending(self, packets):
        self.heard.append(("sending", [p.sequence for p in packets]))

    def sent(self, packets, viewers):
        self.heard.append(("sent", [p.sequence for p in packets], viewers))


def test_an_observer_follows_each_packet_on_its_way_out(stage):
    stage.join("a")
    stage.join("b")
    notes = stage.track.observer = Notes()
    stage.shoot(keyframe=True)
    first = stage.track.history.newest - 1
    both = [first, first + 1]
    sent = [("sending", both), ("sent", both, 2)]
    assert notes.heard == [("appended", first), ("appended", first + 1), *sent]


def test_an_observer_hears_of_a_frame_of_the_worker_before_its_packets(stage):
    notes = stage.track.observer = Notes()
    stage.track.write_frame(
        EncodedFrame(Codec.VP8, 900, True, vp8_bitstream(0, keyframe=True)), 1.0
    )
    assert [note[0] for note in notes.heard] == ["writing", "appended", "sending", "sent"]
    assert notes.heard[0] == ("writing", 900)


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
