import struct
from dataclasses import replace

import pytest

from mediasrv.relay import rtcp
from mediasrv.relay.broadcast import REPORTS_EVERY_S
from mediasrv.relay.estimate import MAX_BPS
from mediasrv.relay.publisher import REPORT_S
from mediasrv.relay.subscription import SENDER_REPORT_S
from tests.relay_fakes import (
    AUDIO_SSRC,
    HOST_TRACKS,
    VIDEO_SSRC,
    Microphone,
    StudioCamera,
    viewer_tracks,
)
from tests.studio import Studio

OURS = 0xCAFE


@pytest.fixture
def studio():
    studio = Studio()
    studio.publish()
    return studio


def of_kind(outlet, kind):
    return [m for m in outlet.messages if isinstance(m, kind)]


def fir(ssrc):
    return b"\x84\xce\x00\x04" + struct.pack("!IIIBxxx", 1, 0, ssrc, 3)


class TestKeyframeRequests:
    def test_a_join_asks_the_host_at_once_when_no_recent_keyframe_is_there(self, studio):
        studio.shoot(1, keyframe=True)
        studio.pass_time(2)
        studio.join("v")
        assert studio.host.requests() == [rtcp.KeyframeRequest(OURS, (VIDEO_SSRC,))]

    def test_somebody_who_is_about_to_connect_finds_a_keyframe_on_its_way(self, studio):
        studio.shoot(1, keyframe=True)
        studio.pass_time(2)
        studio.broadcast.expect_viewer(studio.now)
        assert studio.host.requests() == [rtcp.KeyframeRequest(OURS, (VIDEO_SSRC,))]
        studio.shoot(1, keyframe=True)
        studio.pass_time(0.1)
        studio.join("v")
        assert studio.viewers["v"].packets
        assert len(studio.host.requests()) == 1

    def test_nothing_is_asked_for_somebody_who_finds_a_recent_keyframe(self, studio):
        studio.shoot(1, keyframe=True)
        studio.broadcast.expect_viewer(studio.now)
        assert studio.host.requests() == []

    def test_two_hundred_joins_within_two_seconds_cost_the_host_four_requests(self, studio):
        studio.shoot(1, keyframe=True)
        studio.pass_time(2)
        requested = 0
        for i in range(200):
            studio.join(f"v{i}", viewer_tracks(2 * i + 10))
            studio.pass_time(0.009)
            if len(studio.host.requests()) > requested:
                requested = len(studio.host.requests())
                studio.shoot(1, keyframe=True)
        assert requested <= 4
        assert all(outlet.packets for outlet in studio.viewers.values())

    def test_a_request_is_repeated_every_half_second_until_the_keyframe_comes(self, studio):
        studio.shoot(2)
        studio.pass_time(1.0)
        studio.shoot(1)
        sent = len(studio.host.requests())
        assert sent == 3
        studio.shoot(1, keyframe=True)
        studio.pass_time(3)
        assert len(studio.host.requests()) == sent

    def test_the_host_is_not_asked_before_its_first_packet(self, studio):
        studio.join("v")
        studio.pass_time(2)
        assert studio.host.requests() == []
        studio.shoot(1)
        assert len(studio.host.requests()) == 1

    @pytest.mark.parametrize("request_", [rtcp.write_pli(1, 1001), fir(1001)])
    def test_viewers_ask_by_picture_loss_and_by_full_intra_request(self, studio, request_):
        studio.join("v")
        studio.shoot(1, keyframe=True)
        studio.broadcast.receive_viewer_rtcp("v", request_, studio.now)
        assert len(studio.host.requests()) == 1

    @pytest.mark.parametrize(
        "message",
        [
            rtcp.write_pli(1, 1000),  # the audio's
            rtcp.write_pli(1, 999),
            fir(5),
            rtcp.write_receiver_report(1, []),
            b"\x80\xc9\x00",
        ],
    )
    def test_other_feedback_of_viewers_asks_for_nothing(self, studio, message):
        studio.join("v")
        studio.shoot(1, keyframe=True)
        studio.broadcast.receive_viewer_rtcp("v", message, studio.now)
        studio.pass_time(2)
        assert studio.host.requests() == []

    def test_a_viewer_of_sound_alone_cannot_ask_for_keyframes(self, studio):
        studio.join("v", viewer_tracks()[:1])
        studio.shoot(1, keyframe=True)
        studio.broadcast.receive_viewer_rtcp("v", rtcp.write_pli(1, 1001), studio.now)
        assert studio.host.requests() == []

    def test_a_flood_of_requests_reaches_the_host_twice_a_second(self, studio):
        studio.join("v")
        studio.shoot(1, keyframe=True)
        for _ in range(200):
            studio.broadcast.receive_viewer_rtcp("v", rtcp.write_pli(1, 1001), studio.now)
            studio.pass_time(0.01)
        assert len(studio.host.requests()) == 4

    def test_malformed_feedback_is_counted(self, studio):
        studio.join("v")
        studio.broadcast.receive_viewer_rtcp("v", b"\x80", studio.now)
        studio.broadcast.receive_rtcp(b"\x80", studio.now)
        assert studio.broadcast.counters.malformed_rtcp == 2


class TestRepair:
    def test_a_gap_in_the_video_is_asked_for_in_time_and_the_answer_goes_on(self, studio):
        outlet = studio.join("v")
        studio.shoot(2, keyframe=True)
        first, second, third = studio.camera.shoot(count=3)
        studio.receive(first, third)
        assert studio.host.nacked() == []
        studio.pass_time(0.02)
        assert studio.host.nacked() == [5005]
        studio.receive(second)
        studio.pass_time(1)
        assert studio.host.nacked() == [5005]
        assert sorted(p.sequence for p in outlet.of(1001)) == list(range(100, 107))

    def test_a_nack_names_the_stream_and_ours(self, studio):
        studio.shoot(1, keyframe=True)
        studio.camera.shoot()
        studio.shoot(1)
        assert of_kind(studio.host, rtcp.Nack) == [rtcp.Nack(OURS, VIDEO_SSRC, (5002, 5003))]

    def test_packets_before_a_keyframe_are_not_asked_for(self, studio):
        studio.shoot(1, keyframe=True)
        studio.camera.shoot()
        studio.receive(*studio.camera.shoot(keyframe=True))
        studio.pass_time(1)
        assert studio.host.nacked() == []

    def test_lost_sound_is_asked_for_where_that_was_agreed(self, studio):
        studio.receive(studio.microphone.packet())
        missing = (studio.microphone.sequence,)
        studio.microphone.packet()
        studio.receive(studio.microphone.packet())
        studio.pass_time(0.02)
        assert tuple(studio.host.nacked()) == missing

    def test_lost_sound_is_not_asked_for_where_it_was_not(self):
        studio = Studio()
        audio, video = HOST_TRACKS
        studio.publish((replace(audio, repaired=False), video))
        studio.receive(studio.microphone.packet())
        studio.microphone.packet()
        studio.receive(studio.microphone.packet())
        studio.pass_time(1)
        assert studio.host.nacked() == []

    def test_many_missing_packets_are_asked_for_in_several_messages(self, studio):
        studio.shoot(1, keyframe=True)
        for _ in range(300):
            studio.camera.shoot(count=2)
            studio.receive(studio.camera.shoot(count=1)[0])
        studio.pass_time(0.1)
        nacks = of_kind(studio.host, rtcp.Nack)
        assert len(set(studio.host.nacked())) == 600
        assert max(len(n.sequences) for n in nacks) == 250


class TestReports:
    def test_the_host_hears_once_a_second_how_both_tracks_arrive(self, studio):
        for i in range(90):
            studio.receive(studio.microphone.packet())
            studio.shoot(1, keyframe=i == 0)
        full = [m for m in of_kind(studio.host, rtcp.ReceiverReport) if m.reports]
        assert REPORT_S == 1.0
        assert len(full) in (3, 4)
        blocks = {b.ssrc: b for b in full[-1].reports}
        assert blocks.keys() == {AUDIO_SSRC, VIDEO_SSRC}
        assert {b.packets_lost for b in blocks.values()} == {0}
        estimates = of_kind(studio.host, rtcp.BitrateEstimate)
        assert len(estimates) == len(full)
        assert estimates[-1].bitrate_bps == pytest.approx(MAX_BPS, rel=1e-4)
        assert estimates[-1].media_ssrcs == (VIDEO_SSRC,)

    def test_nothing_is_reported_before_the_first_packet(self, studio):
        studio.pass_time(3)
        assert studio.host.messages == []

    def test_heavy_loss_lowers_what_the_host_may_send(self, studio):
        studio.shoot(1, keyframe=True)
        for _ in range(90):
            studio.camera.shoot(count=1)
            studio.shoot(1, count=1)
        (*_, last) = of_kind(studio.host, rtcp.BitrateEstimate)
        assert last.bitrate_bps < MAX_BPS * 0.6
        blocks = [b for m in of_kind(studio.host, rtcp.ReceiverReport) for b in m.reports]
        assert blocks[-1].fraction_lost == pytest.approx(128, abs=5)

    def test_a_host_of_sound_alone_gets_no_bitrate_estimate(self):
        studio = Studio()
        studio.publish(HOST_TRACKS[:1])
        studio.receive(studio.microphone.packet())
        studio.pass_time(1.5)
        assert of_kind(studio.host, rtcp.BitrateEstimate) == []
        assert [b.ssrc for m in of_kind(studio.host, rtcp.ReceiverReport) for b in m.reports] == [
            AUDIO_SSRC
        ] * 2

    def test_the_round_trip_can_be_computed_from_our_reports(self, studio):
        studio.shoot(1, keyframe=True)
        report = rtcp.SenderReport(VIDEO_SSRC, 0xB44D_B705_2000_0000, 900_000, 2, 200)
        studio.broadcast.receive_rtcp(rtcp.write_sender_report(report), studio.now)
        studio.pass_time(1.02)
        blocks = [b for m in of_kind(studio.host, rtcp.ReceiverReport) for b in m.reports]
        assert blocks[-1].last_report == 0xB705_2000
        assert 0 < blocks[-1].delay / 65_536 <= 1.02


class Clock:
    """A host's clock: NTP seconds of its own, and RTP timestamps of both tracks from them."""

    def __init__(self, studio, ntp_s, audio_start, video_start):
        self.studio, self.ntp_s, self.began = studio, ntp_s, studio.now
        self.audio_start, self.video_start = audio_start, video_start

    def ticks(self, start, hz):
        return int(start + (self.studio.now - self.began) * hz) & 0xFFFFFFFF

    def send_media(self, *, keyframe=False):
        studio = self.studio
        studio.camera.timestamp = self.ticks(self.video_start, 90_000)
        studio.microphone.timestamp = self.ticks(self.audio_start, 48_000)
        studio.receive(studio.microphone.packet())
        studio.receive(*studio.camera.shoot(keyframe=keyframe))

    def report(self, kind):
        start, hz, ssrc = {
            "audio": (self.audio_start, 48_000, self.studio.microphone.ssrc),
            "video": (self.video_start, 90_000, self.studio.camera.ssrc),
        }[kind]
        ntp = int((self.ntp_s + self.studio.now - self.began) * 2**32)
        sent = rtcp.SenderReport(ssrc, ntp, self.ticks(start, hz), 1, 1)
        self.studio.broadcast.receive_rtcp(rtcp.write_sender_report(sent), self.studio.now)


def lag_s(outlet, heard, seen):
    """How much later video plays than audio for a viewer who aligns both by sender reports.

    Args:
        outlet: The viewer's.
        heard: An audio packet that the host recorded at the same instant as
        seen: this video packet.
    """

    def at(packet, report, hz):
        distance = (packet.timestamp - report.timestamp + 2**31) % 2**32 - 2**31
        return report.ntp / 2**32 + distance / hz

    audio, video = outlet.reports(1000)[-1], outlet.reports(1001)[-1]
    return at(seen, video, 90_000) - at(heard, audio, 48_000)


class TestLipSync:
    def play(self, studio, clock, outlet):
        clock.send_media(keyframe=True)
        for i in range(70):
            studio.pass_time(0.05)
            clock.send_media()
            if i % 17 == 0:
                clock.report("video")
            if i % 31 == 0:
                studio.pass_time(0.013)
                clock.report("audio")
        studio.pass_time(2.1)
        clock.send_media()
        return lag_s(outlet, outlet.of(1000)[-1], outlet.of(1001)[-1])

    def test_sound_and_picture_recorded_together_play_together(self, studio):
        outlet = studio.join("v")
        clock = Clock(studio, 3.9e9, 2**32 - 10_000, 123)
        assert self.play(studio, clock, outlet) == pytest.approx(0, abs=0.001)

    @pytest.mark.parametrize("is_filtered", [False, True])
    def test_they_still_do_when_the_host_comes_back_with_other_clocks(self, studio, is_filtered):
        outlet = studio.join("v")
        self.play(studio, Clock(studio, 3.9e9, 2**32 - 10_000, 123), outlet)
        studio.broadcast.unpublish()
        studio.pass_time(3.21)
        studio.publish()
        studio.camera = StudioCamera(ssrc=70, frame=500)
        studio.microphone = Microphone(ssrc=71)
        if is_filtered:
            studio.broadcast.require_filter(studio.now)
        clock = Clock(studio, 1.5, 77, 2**32 - 5)
        if is_filtered:
            clock.send_media(keyframe=True)
            studio.pass_time(0.1)
            studio.give_filtered(studio.fed[0], keyframe=True)
            self.play_filtered(studio, clock)
            lag = lag_s(outlet, outlet.of(1000)[-1], outlet.of(1001)[-1])
        else:
            lag = self.play(studio, clock, outlet)
        assert lag == pytest.approx(0, abs=0.001)

    def play_filtered(self, studio, clock):
        for i in range(60):
            studio.pass_time(0.05)
            clock.send_media()
            studio.give_filtered(studio.fed[-1])
            if i % 20 == 1:
                clock.report("video")
                clock.report("audio")
        studio.pass_time(2.1)
        clock.send_media()
        studio.give_filtered(studio.fed[-1])


class TestSenderReports:
    def test_they_go_out_every_two_seconds_once_the_host_has_sent_its_own(self, studio):
        outlet = studio.join("v")
        clock = Clock(studio, 1000.0, 0, 0)
        clock.send_media(keyframe=True)
        studio.pass_time(3)
        assert outlet.reports(1001) == []
        clock.report("video")
        studio.pass_time(REPORTS_EVERY_S)
        assert len(outlet.reports(1001)) == 1
        assert outlet.reports(1000) == []
        clock.report("audio")
        studio.pass_time(REPORTS_EVERY_S)
        assert len(outlet.reports(1000)) == 1
        studio.pass_time(4.5)
        assert SENDER_REPORT_S == 2.0
        assert [len(outlet.reports(s)) for s in (1000, 1001)] == [3, 4]

    def test_a_later_report_of_the_host_does_not_hurry_ours(self, studio):
        outlet = studio.join("v")
        clock = Clock(studio, 1000.0, 0, 0)
        clock.send_media(keyframe=True)
        clock.report("video")
        for _ in range(10):
            studio.pass_time(0.1)
            clock.report("video")
        assert len(outlet.reports(1001)) == 1

    def test_a_late_viewer_gets_its_first_report_at_once(self, studio):
        clock = Clock(studio, 1000.0, 0, 0)
        clock.send_media(keyframe=True)
        clock.report("video")
        studio.pass_time(0.1)
        outlet = studio.join("late")
        studio.pass_time(0.02)
        assert [m.packets for m in outlet.reports(1001)] == [2]

    def test_reports_of_unknown_streams_change_nothing(self, studio):
        outlet = studio.join("v")
        studio.shoot(1, keyframe=True)
        stranger = rtcp.SenderReport(5, 2**40, 1, 1, 1)
        studio.broadcast.receive_rtcp(rtcp.write_sender_report(stranger), studio.now)
        studio.pass_time(0.1)
        assert outlet.messages == []

    def test_reports_of_a_stream_that_was_replaced_change_nothing(self, studio):
        outlet = studio.join("v")
        studio.shoot(1, keyframe=True)
        studio.camera = StudioCamera(ssrc=99)
        studio.shoot(1, keyframe=True)
        old = rtcp.SenderReport(VIDEO_SSRC, 2**40, 1, 1, 1)
        studio.broadcast.receive_rtcp(rtcp.write_sender_report(old), studio.now)
        studio.pass_time(0.1)
        assert outlet.messages == []
