from itertools import pairwise

import pytest

from mediasrv.relay import rtp
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.publisher import STREAMS_MAX
from mediasrv.relay.track import HOLD_S
from tests.relay_fakes import H264_TRACKS, HOST_TRACKS, Microphone, StudioCamera, viewer_tracks
from tests.studio import Studio


@pytest.fixture
def studio():
    studio = Studio()
    studio.publish()
    return studio


class TestFilterOff:
    def test_payloads_arrive_byte_for_byte_and_headers_are_each_viewers_own(self, studio):
        ids = ExtensionIds(audio_level=4, abs_send_time=6)
        a = studio.join("a", viewer_tracks(1000, first_sequence=7))
        b = studio.join("b", viewer_tracks(2000, video={"vp8": 33}, ids=ids, first_sequence=32767))
        video = [p for i in range(20) for p in studio.camera.shoot(keyframe=i == 0, count=3)]
        audio = [studio.microphone.packet(bytes([i])) for i in range(20)]
        studio.receive(*video, *audio)
        for outlet, ssrc, types, first in ((a, 1000, (119, 120), 7), (b, 2000, (119, 33), 32767)):
            for sent, kind in ((audio, 0), (video, 1)):
                got = outlet.of(ssrc + kind)
                originals = [rtp.parse_rtp(p) for p in sent]
                assert [p.payload for p in got] == [p.payload for p in originals]
                assert [p.marker for p in got] == [p.marker for p in originals]
                assert {p.payload_type for p in got} == {types[kind]}
                numbers = [(first + i) & 0xFFFF for i in range(len(got))]
                assert [p.sequence for p in got] == numbers
                times = [p.timestamp for p in got]
                assert [t - times[0] for t in times] == [
                    p.timestamp - originals[0].timestamp for p in originals
                ]
        assert {frozenset(p.extensions) for p in a.packets} == {frozenset()}
        assert {frozenset(p.extensions) for p in b.of(2000)} == {frozenset({4, 6})}
        assert {p.extensions[4] for p in b.of(2000)} == {b"\x30"}
        assert {frozenset(p.extensions) for p in b.of(2001)} == {frozenset({6})}

    def test_numbers_that_wrap_at_the_host_do_not_disturb_a_viewer(self, studio):
        studio.camera.sequence, studio.camera.timestamp = 65_520, 2**32 - 20_000
        studio.microphone.sequence, studio.microphone.timestamp = 65_530, 2**32 - 4800
        outlet = studio.join("v")
        studio.shoot(20, keyframe=True)
        studio.receive(*(studio.microphone.packet() for _ in range(20)))
        for ssrc, step in ((1000, 960), (1001, 3000)):
            packets = outlet.of(ssrc)
            assert [p.sequence for p in packets] == [100 + i for i in range(len(packets))]
            times = sorted({p.timestamp for p in packets}, key=lambda t: (t - 2**31) % 2**32)
            assert {(b - a) % 2**32 for a, b in pairwise(times)} == {step}

    def test_padding_probes_keep_the_numbers_together(self, studio):
        outlet = studio.join("v")
        studio.shoot(2, keyframe=True)
        studio.receive(studio.camera.packet(b"", marker=False))
        studio.shoot(2)
        packets = outlet.of(1001)
        assert [p.sequence for p in packets] == list(range(100, 109))
        assert [len(p.payload) for p in packets].index(0) == 4

    def test_a_frame_whose_end_is_late_is_flushed_after_two_milliseconds(self, studio):
        outlet = studio.join("v")
        packets = studio.camera.shoot(keyframe=True, count=4)
        assert studio.broadcast.due_at is None
        studio.receive(*packets[:3])
        assert studio.broadcast.due_at == studio.now + HOLD_S
        studio.broadcast.advance(studio.now)
        assert outlet.packets == []
        studio.broadcast.advance(studio.now + HOLD_S)
        assert len(outlet.packets) == 3

    def test_h264_goes_through_untouched_from_its_parameter_sets_on(self):
        studio = Studio()
        studio.publish(H264_TRACKS)
        assert studio.broadcast.video_codec == "h264"
        outlet = studio.join("v")
        pack = studio.camera.pack
        studio.receive(*pack([b"\x41before"]))
        key = [b"\x78\x00\x02\x67a\x00\x02\x68b", b"\x7c\x85idr", b"\x7c\x45end"]
        studio.receive(*pack(key), *pack([b"\x41delta"]))
        assert [p.payload for p in outlet.of(1001)] == [*key, b"\x41delta"]
        assert {p.payload_type for p in outlet.of(1001)} == {121}

    def test_an_audio_level_of_a_wrong_size_is_left_out(self, studio):
        outlet = studio.join("v", viewer_tracks(ids=ExtensionIds(audio_level=4)))
        for level in (b"ab", b"", b"x"):
            studio.microphone.level = level
            studio.receive(studio.microphone.packet())
        assert [p.extensions for p in outlet.of(1000)] == [{}, {}, {4: b"x"}]


class TestViewers:
    def test_a_viewer_who_joins_first_waits_for_the_host(self):
        studio = Studio()
        outlet = studio.join("early")
        studio.pass_time(3)
        studio.publish()
        studio.shoot(3, keyframe=True)
        assert studio.frames_seen("early") == [0, 1, 2]
        assert outlet.of(1001)[0].sequence == 100

    def test_a_late_viewer_sees_the_recent_keyframe_without_holes_or_doubles(self, studio):
        studio.shoot(4, keyframe=True, count=3)
        outlet = studio.join("late")
        studio.shoot(4, count=3)
        assert studio.frames_seen("late") == list(range(8))
        assert [p.sequence for p in outlet.of(1001)] == list(range(100, 124))
        times = [p.timestamp for p in outlet.of(1001)]
        assert times == sorted(times)
        assert studio.host.requests() == []

    def test_one_who_has_left_gets_nothing_and_says_nothing(self, studio):
        outlet = studio.join("v")
        studio.broadcast.unsubscribe("v")
        studio.broadcast.unsubscribe("v")
        studio.shoot(keyframe=True)
        studio.broadcast.receive_viewer_rtcp("v", b"\x80", studio.now)
        assert outlet.packets == []
        assert studio.broadcast.counters.malformed_rtcp == 0

    def test_subscribing_again_replaces_every_track_of_before(self, studio):
        before = studio.join("v")
        after = studio.join("v", viewer_tracks(3000)[1:])
        studio.shoot(keyframe=True)
        studio.receive(studio.microphone.packet())
        assert before.packets == []
        assert {p.ssrc for p in after.packets} == {3001}

    def test_a_codec_that_one_cannot_play_leaves_the_others_alone(self, studio):
        deaf = studio.join("deaf", viewer_tracks(video={"h264": 121}))
        well = studio.join("well")
        studio.shoot(3, keyframe=True)
        studio.receive(studio.microphone.packet())
        assert deaf.of(1001) == []
        assert len(deaf.of(1000)) == len(well.of(1000)) == 1
        assert studio.frames_seen("well") == [0, 1, 2]
        studio.pass_time(2)
        assert studio.host.requests() == []

    def test_a_broken_outlet_heals_at_a_keyframe_and_nobody_else_notices(self, studio):
        broken, well = studio.join("broken"), studio.join("well")
        studio.shoot(3, keyframe=True)
        broken.is_broken = True
        studio.shoot(3)
        broken.is_broken = False
        studio.shoot(3)
        assert len(studio.host.requests()) == 1
        studio.shoot(3, keyframe=True)
        assert studio.frames_seen("broken") == [0, 1, 2, 9, 10, 11]
        assert studio.frames_seen("well") == list(range(12))
        assert [p.sequence for p in well.of(1001)] == list(range(100, 124))


class TestHosts:
    def test_nothing_happens_without_a_host(self):
        studio = Studio()
        studio.join("v")
        studio.receive(*studio.camera.shoot(keyframe=True))
        studio.broadcast.receive_rtcp(b"\x80", studio.now)
        studio.pass_time(1)
        assert studio.broadcast.video_codec is None
        assert studio.broadcast.counters == type(studio.broadcast.counters)()

    def test_a_host_without_video_has_no_video_codec(self):
        studio = Studio()
        studio.publish(HOST_TRACKS[:1])
        assert studio.broadcast.video_codec is None
        outlet = studio.join("v")
        studio.receive(studio.microphone.packet(), *studio.camera.shoot(keyframe=True))
        studio.pass_time(2)
        assert len(outlet.packets) == 1
        assert studio.broadcast.counters.foreign_packets == 2

    def test_after_it_has_gone_its_packets_are_not_taken(self, studio):
        outlet = studio.join("v")
        studio.shoot(keyframe=True)
        studio.broadcast.unpublish()
        studio.shoot(3)
        assert len(outlet.packets) == 2

    @pytest.mark.parametrize("new_clocks", [(0, 0, 0), (65_535, 2**32 - 1, 32_767), (4999, 1, 39)])
    def test_a_viewer_goes_on_when_the_host_comes_back_with_other_numbers(self, studio, new_clocks):
        outlet = studio.join("v")
        studio.shoot(5, keyframe=True)
        studio.receive(*(studio.microphone.packet() for _ in range(5)))
        before = [p.timestamp for p in outlet.of(1001)][-1]
        studio.broadcast.unpublish()
        studio.pass_time(4.0)
        sequence, timestamp, picture_id = new_clocks
        studio.camera = StudioCamera(
            ssrc=77, sequence=sequence, timestamp=timestamp, picture_id=picture_id, frame=50
        )
        studio.microphone = Microphone(ssrc=78, sequence=sequence, timestamp=timestamp)
        studio.publish()
        studio.shoot(5, keyframe=True)
        studio.receive(*(studio.microphone.packet() for _ in range(5)))
        video = outlet.of(1001)
        assert studio.frames_seen("v") == [0, 1, 2, 3, 4, 50, 51, 52, 53, 54]
        assert [p.sequence for p in video] == list(range(100, 120))
        pictures = [(p.payload[2] & 0x7F) << 8 | p.payload[3] for p in video]
        assert pictures == [40 + i // 2 for i in range(20)]
        assert video[10].timestamp - before == pytest.approx(90_000 * (4 + 1 / 30), abs=2)
        assert [p.sequence for p in outlet.of(1000)] == list(range(100, 110))

    def test_a_viewer_waits_for_the_new_hosts_keyframe_when_its_start_was_lost(self, studio):
        studio.join("v")
        studio.shoot(2, keyframe=True)
        studio.publish()
        studio.camera = StudioCamera(ssrc=77, frame=50)
        studio.receive(*studio.camera.shoot(keyframe=True, count=4)[1:])
        studio.shoot(2)
        assert studio.frames_seen("v") == [0, 1]
        assert len(studio.host.requests()) == 1
        studio.shoot(2, keyframe=True)
        assert studio.frames_seen("v") == [0, 1, 53, 54]

    def test_a_restarted_track_takes_over_and_the_old_one_stays_out(self, studio):
        studio.join("v")
        studio.shoot(2, keyframe=True)
        old = studio.camera
        studio.camera = StudioCamera(ssrc=99, frame=20)
        studio.shoot(2, keyframe=True)
        studio.receive(*old.shoot())
        studio.shoot()
        assert studio.frames_seen("v") == [0, 1, 20, 21, 22]
        assert studio.broadcast.counters.foreign_packets == 2

    def test_endless_new_streams_are_refused(self, studio):
        for ssrc in range(STREAMS_MAX + 20):
            studio.receive(*StudioCamera(ssrc=ssrc + 1).shoot(keyframe=True, count=1))
        assert studio.broadcast.counters.foreign_packets == 20

    def test_a_stream_does_not_change_its_kind(self, studio):
        outlet = studio.join("v")
        studio.shoot(keyframe=True)
        studio.receive(Microphone(ssrc=studio.camera.ssrc).packet())
        assert outlet.of(1000) == []
        assert studio.broadcast.counters.foreign_packets == 1

    def test_unknown_payload_types_and_malformed_packets_are_counted_and_dropped(self, studio):
        outlet = studio.join("v")
        studio.shoot(keyframe=True)
        studio.receive(*StudioCamera(payload_type=55).shoot(count=1), b"garbage", b"")
        studio.receive(studio.camera.packet(b"\x80", marker=True))
        studio.shoot()
        counters = studio.broadcast.counters
        assert (counters.foreign_packets, counters.malformed_rtp) == (1, 3)
        assert len(outlet.packets) == 4

    def test_what_came_from_it_is_known_by_kind(self, studio):
        studio.receive(*studio.camera.shoot(keyframe=True, count=3), studio.microphone.packet())
        counts = {kind: r.packets_received for kind, r in studio.broadcast.receptions.items()}
        assert counts == {"video": 3, "audio": 1}
        assert Studio().broadcast.receptions == {}

    def test_two_rooms_know_nothing_of_each_other(self):
        first, second = Studio(), Studio()
        for studio in (first, second):
            studio.publish()
            studio.join("v")
        first.shoot(5, keyframe=True)
        second.shoot(1, keyframe=True)
        assert [len(s.viewers["v"].packets) for s in (first, second)] == [10, 2]
