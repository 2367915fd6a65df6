"""One viewer's reports and requests, through a whole broadcast in virtual time."""

from dataclasses import replace

import pytest

from mediasrv.relay import rtcp, rtp
from mediasrv.relay.losses import WINDOW_S
from mediasrv.relay.outlet import Retransmission
from mediasrv.relay.repair import LOSSY, RTT_DEFAULT_S
from tests.layered_video import LayeredCamera, assert_playable, layers_of, seen
from tests.loss_reports import LossReports
from tests.relay_fakes import VIDEO_SSRC, VIDEO_TYPE, viewer_tracks
from tests.studio import Studio

VIDEO, RTX = 1001, 2001
# What the pattern takes at 2 x 500 bytes a frame and 30 frames/s is 240 kb/s, half of it or more
# in the top layer.
FRAME_BYTES = 500


class LayeredStudio(Studio):
    """A host who sends three temporal layers."""

    def __init__(self):
        super().__init__()
        self.layered = LayeredCamera()
        self.publish()

    def roll(self, seconds, *, keyframe=False, each_second=None):
        """Send 30 frames a second; viewers may say something once a second."""
        for i in range(round(seconds * 30)):
            for packet in self.layered.shoot(keyframe=keyframe and i == 0):
                sequence, ticks = packet.sequence & 0xFFFF, packet.ticks & 0xFFFFFFFF
                payload = packet.payload.ljust(FRAME_BYTES, b".")
                made = rtp.RtpPacket(
                    VIDEO_TYPE, packet.marker, sequence, ticks, VIDEO_SSRC, {}, payload
                )
                self.receive(rtp.write_rtp(made))
            self.pass_time(1 / 30)
            if each_second is not None and i % 30 == 0:
                each_second()

    def say(self, name, *messages):
        compound = rtcp.write_receiver_report(1, []) + b"".join(messages)
        self.broadcast.receive_viewer_rtcp(name, compound, self.now)

    def remb(self, name, bitrate_bps, ssrc=VIDEO):
        self.say(name, rtcp.write_remb(1, bitrate_bps, [ssrc]))

    def video_frames(self, name):
        return seen(self.viewers[name].of(VIDEO))

    @property
    def counters(self):
        return self.broadcast.subscriptions["v"].forwarders["video"].counters


def rtx_tracks():
    audio, video = viewer_tracks()
    return audio, replace(video, retransmission=Retransmission(RTX, {"vp8": 98}, 77))


def lose(studio, share, ssrc=VIDEO):
    """Let a viewer report a share as lost, a while after a report that all is well."""
    reports = LossReports(ssrc)
    for told in (0.0, share):
        studio.say("v", rtcp.write_receiver_report(1, [reports.block(told)]))
        studio.pass_time(2 * WINDOW_S)


@pytest.fixture
def studio():
    return LayeredStudio()


def test_a_viewer_with_a_narrow_way_gets_fewer_frames_and_the_others_get_all(studio):
    studio.join("narrow")
    studio.join("wide")
    studio.roll(2, keyframe=True)
    studio.roll(6, each_second=lambda: studio.remb("narrow", 60_000))
    studio.roll(4, each_second=lambda: studio.remb("narrow", 60_000))
    narrow, wide = (studio.video_frames(name) for name in ("narrow", "wide"))
    assert_playable(narrow)
    assert_playable(wide)
    assert set(layers_of(narrow)[-20:]) == {0}
    assert len(layers_of(wide)) == 12 * 30
    assert studio.broadcast.subscriptions["narrow"].estimate_bps == 60_000
    # When its way grows, everything comes back without a keyframe.
    studio.roll(20, each_second=lambda: studio.remb("narrow", 5_000_000))
    assert_playable(studio.video_frames("narrow"))
    assert layers_of(studio.video_frames("narrow"))[-8:].count(2) == 4


def test_a_filter_in_between_changes_nothing_for_who_gets_fewer_frames(studio):
    studio.join("narrow")
    studio.roll(8, keyframe=True, each_second=lambda: studio.remb("narrow", 60_000))
    before = studio.viewers["narrow"].of(VIDEO)[-1].sequence
    studio.broadcast.require_filter(studio.now)
    studio.roll(1, keyframe=True)
    studio.give_filtered(studio.fed[0], keyframe=True)
    studio.give_filtered(studio.fed[1])
    after = studio.viewers["narrow"].of(VIDEO)[-2:]
    assert [p.sequence for p in after] == [before + 1, before + 2]


class TestRepair:
    def test_a_nack_is_answered_over_rtx_and_counted(self, studio):
        outlet = studio.join("v", rtx_tracks())
        studio.roll(0.5, keyframe=True)
        lost = outlet.of(VIDEO)[4]
        studio.say("v", rtcp.write_nack(1, VIDEO, [lost.sequence]))
        (again,) = outlet.of(RTX)
        assert again.payload == lost.sequence.to_bytes(2, "big") + lost.payload
        assert (again.payload_type, again.sequence) == (98, 77)
        assert studio.broadcast.subscriptions["v"].counters.nacks == 1
        assert studio.counters.repaired == 1

    def test_a_nack_for_a_foreign_stream_is_not(self, studio):
        outlet = studio.join("v", rtx_tracks())
        studio.roll(0.5, keyframe=True)
        studio.say("v", rtcp.write_nack(1, 999, [outlet.of(VIDEO)[0].sequence]))
        assert outlet.of(RTX) == []
        assert studio.broadcast.subscriptions["v"].counters.nacks == 0

    @pytest.mark.parametrize(("loss", "copies"), [(0.0, 1), (LOSSY - 0.005, 1), (LOSSY + 0.005, 2)])
    def test_on_a_lossy_way_repairs_go_twice(self, studio, loss, copies):
        outlet = studio.join("v", rtx_tracks())
        studio.roll(0.5, keyframe=True)
        lose(studio, loss)
        studio.say("v", rtcp.write_nack(1, VIDEO, [outlet.of(VIDEO)[4].sequence]))
        assert len(outlet.of(RTX)) == copies

    def test_losses_of_the_sound_say_nothing_about_the_video(self, studio):
        studio.join("v")
        lose(studio, 0.5, ssrc=VIDEO - 1)
        assert studio.broadcast.subscriptions["v"].loss == 0.0

    def test_repairs_wait_for_the_round_trip_that_reports_echo(self, studio):
        outlet = studio.join("v", rtx_tracks())
        studio.roll(0.5, keyframe=True)
        sent_at = studio.now - 0.3
        echo = int(sent_at * 65536) & 0xFFFFFFFF
        block = LossReports(VIDEO).block(0.0, last_report=echo)
        studio.say("v", rtcp.write_receiver_report(1, [block]))
        rtt_s = studio.broadcast.subscriptions["v"].round_trip.rtt_s
        assert rtt_s == pytest.approx(0.3, abs=0.001) != RTT_DEFAULT_S
        request = rtcp.write_nack(1, VIDEO, [outlet.of(VIDEO)[-2].sequence])
        studio.say("v", request)
        studio.pass_time(0.28)
        studio.say("v", request)
        assert len(outlet.of(RTX)) == 1
        studio.pass_time(0.04)
        studio.say("v", request)
        assert len(outlet.of(RTX)) == 2

    def test_a_sender_report_of_a_viewer_echoes_too(self, studio):
        studio.join("v")
        block = rtcp.ReportBlock(VIDEO, 0, 0, 0, 0, int((studio.now - 0.2) * 65536), 0)
        report = rtcp.SenderReport(1, 0, 0, 0, 0, (block,))
        studio.broadcast.receive_viewer_rtcp("v", rtcp.write_sender_report(report), studio.now)
        rtt_s = studio.broadcast.subscriptions["v"].round_trip.rtt_s
        assert rtt_s == pytest.approx(0.2, abs=0.001)


class TestTotals:
    def test_what_all_viewers_were_sent_is_summed_up_with_those_who_left(self, studio):
        studio.join("v")
        studio.join("w")
        studio.roll(1, keyframe=True)
        studio.broadcast.unsubscribe("w")
        studio.roll(1)
        totals = studio.broadcast.forwarded()["video"]
        sent = [p for outlet in studio.viewers.values() for p in outlet.of(VIDEO)]
        assert totals.packets_sent == len(sent) == 120 + 60
        assert totals.octets_sent == sum(len(p.payload) for p in sent)
        # Looking changes nothing.
        assert studio.broadcast.forwarded()["video"] == totals
        assert studio.broadcast.forwarded()["audio"].packets_sent == 0

    def test_requests_to_the_host_are_counted(self, studio):
        assert studio.broadcast.keyframe_requests_sent == 0
        studio.roll(0.1, keyframe=True)
        studio.pass_time(3)
        studio.join("v")
        assert studio.broadcast.keyframe_requests_sent == len(studio.host.requests()) == 1
