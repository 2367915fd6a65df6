"""A host with simulcast, and viewers who go from one quality to another, in virtual time."""

from dataclasses import replace
from itertools import groupby, pairwise

import pytest

from mediasrv.relay import rtcp, rtp, vp8
from mediasrv.relay.adaptation import BEST, HOLD_FIRST_S, Rung
from mediasrv.relay.forwarder import ALL_LAYERS
from mediasrv.relay.outlet import Retransmission
from mediasrv.relay.publisher import STREAMS_MAX, IncomingTrack
from mediasrv.relay.qualities import BEST_FIRST_S, LINGER_S
from mediasrv.relay.stills import EVERY_S
from tests.layered_video import STEP_TICKS, LayeredCamera, seen
from tests.loss_reports import LossReports
from tests.relay_fakes import AUDIO_LEVEL_ID, AUDIO_TYPE, VIDEO_TYPE, unwrapped, viewer_tracks
from tests.studio import Studio

RID_ID = 5
SSRCS = {"f": 0xF00, "h": 0xB00, "q": 0xA00}
# Bytes of a packet, two of which make a frame: at 30 frames a second 576, 144 and 38 kb/s.
SIZES = {"f": 1200, "h": 300, "q": 80}
TRACKS = (
    IncomingTrack("audio", "opus", AUDIO_TYPE, 48_000, AUDIO_LEVEL_ID),
    IncomingTrack("video", "vp8", VIDEO_TYPE, 90_000, rid_id=RID_ID, rids=tuple(SSRCS)),
)
VIDEO, RTX = 1001, 2001
LOWEST = Rung(2, ALL_LAYERS, 1000.0)


class SimulcastStudio(Studio):
    """Three cameras on one image; each has numbers of its own, and only the wanted ones roll."""

    def __init__(self):
        super().__init__()
        self.wanted = []
        self.broadcast._on_qualities_wanted = self.wanted.append
        self.cameras = {
            rid: LayeredCamera(sequence=1000 * i, picture_id=100 + 5000 * i)
            for i, rid in enumerate(SSRCS, 1)
        }
        self.active = ["f"]
        self.shot = 0
        self.reports = LossReports(VIDEO)
        self.publish(TRACKS)

    def packet(self, rid, packet, **more):
        ticks = packet.ticks + 1_000_000 * list(SSRCS).index(rid)
        extensions = {RID_ID: rid.encode()} | more.pop("extensions", {})
        return rtp.write_rtp(
            rtp.RtpPacket(
                VIDEO_TYPE,
                packet.marker,
                packet.sequence & 0xFFFF,
                ticks & 0xFFFFFFFF,
                more.get("ssrc", SSRCS[rid]),
                extensions,
                packet.payload.ljust(SIZES[rid], b"."),
            )
        )

    def asked(self):
        """SSRCs that keyframes were asked of since the last call."""
        messages, self.host.messages = self.host.messages, []
        return {
            ssrc for m in messages if isinstance(m, rtcp.KeyframeRequest) for ssrc in m.media_ssrcs
        }

    def roll(self, seconds, *, keyframe=False, order="qhf", tell=None):
        """Send 30 images a second; each request is answered by keyframes of all qualities."""
        for i in range(round(seconds * 30)):
            begin = bool(self.asked()) or (keyframe and i == 0)
            for rid in order:
                camera = self.cameras[rid]
                camera.frame = self.shot
                if rid in self.active:
                    for packet in camera.shoot(keyframe=begin):
                        self.receive(self.packet(rid, packet))
            self.shot += 1
            if tell is not None and i % 15 == 0:
                tell()
            self.pass_time(1 / 30)

    def say(self, name, *messages):
        compound = rtcp.write_receiver_report(1, []) + b"".join(messages)
        self.broadcast.receive_viewer_rtcp(name, compound, self.now)

    def remb(self, bitrate_bps, loss=0.0, name="v"):
        def tell():
            report = rtcp.write_receiver_report(1, [self.reports.block(loss)])
            remb = rtcp.write_remb(1, bitrate_bps, [VIDEO])
            self.broadcast.receive_viewer_rtcp(name, report + remb, self.now)

        return tell

    def quality_of(self, name="v"):
        return self.broadcast.qualities.tracks.index(self.broadcast.qualities.track_of(name))

    def shown(self, name="v"):
        """What a viewer got, by frame; numbers, picture ids and times are one stream."""
        packets = self.viewers[name].of(VIDEO)
        numbers = unwrapped([p.sequence for p in packets], 16)
        assert sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))
        pieces = seen(packets)
        # Two frames may be of one image, in different qualities.
        got = [list(group) for _, group in groupby(pieces, key=lambda s: (s.frame, s.ticks))]
        assert all([s.index for s in frame] == list(range(frame[0].count)) for frame in got)
        ticks = unwrapped([frame[0].ticks for frame in got], 32)
        assert all(b > a for a, b in pairwise(ticks))
        pictures = unwrapped([frame[0].picture_id for frame in got], 15)
        assert all(b > a for a, b in pairwise(pictures))
        return got


def rtx_tracks():
    audio, video = viewer_tracks()
    return audio, replace(video, retransmission=Retransmission(RTX, {"vp8": 98}, 77))


@pytest.fixture
def studio():
    made = SimulcastStudio()
    made.roll(0.5, keyframe=True)
    return made


@pytest.fixture
def narrow(studio):
    """A viewer whose way carries the lowest quality and its sound, and no more."""
    studio.join("v", rtx_tracks())
    studio.join("other", viewer_tracks(3000))
    studio.roll(5.0, tell=studio.remb(110_000, loss=0.3))
    studio.active = ["f", "q"]
    studio.roll(4.0, tell=studio.remb(110_000))
    return studio


# What the host is asked to send


def test_at_first_the_host_is_told_to_send_its_best_quality_alone(studio):
    studio.roll(2.0)
    assert studio.wanted == [("f",)]
    assert studio.broadcast.wanted_rids == ("f",)


def test_a_host_without_simulcast_is_told_nothing():
    studio = Studio()
    studio.broadcast._on_qualities_wanted = pytest.fail
    studio.publish()
    studio.shoot(90, keyframe=True)
    assert studio.broadcast.wanted_rids == ()


def test_a_viewer_short_of_bandwidth_makes_the_host_send_the_lowest_quality(narrow):
    assert narrow.wanted == [("f", "q")]


def test_a_quality_that_nobody_needs_any_more_is_let_go(narrow):
    narrow.broadcast.unsubscribe("v")
    narrow.roll(LINGER_S - 2)
    assert narrow.wanted[-1] == ("f", "q")
    narrow.roll(4.0)
    assert narrow.wanted[-1] == ("f",)


def test_when_the_best_quality_stops_for_the_others_they_have_to_wait(narrow):
    narrow.active = ["q"]
    narrow.roll(2.1)
    assert narrow.wanted[-1] == ("f",)
    assert narrow.quality_of("other") == 2
    narrow.active = ["f"]
    narrow.roll(BEST_FIRST_S - 4, tell=narrow.remb(110_000))
    assert narrow.wanted[-1] == ("f",)
    narrow.roll(5.0, tell=narrow.remb(110_000))
    assert narrow.wanted[-1] == ("f", "q")


def test_another_publication_begins_anew(narrow):
    narrow.publish(TRACKS)
    assert narrow.broadcast.wanted_rids == ()
    assert narrow.quality_of() == 0
    narrow.cameras = {rid: LayeredCamera() for rid in SSRCS}
    narrow.active = ["f"]
    narrow.roll(2.1, keyframe=True)
    # The viewer's way is as narrow as before.
    assert narrow.wanted[-1] == ("f", "q")
    assert narrow.shown()


def test_a_publication_that_ends_leaves_its_viewers_with_what_comes_next(narrow):
    narrow.broadcast.unpublish()
    assert len(narrow.broadcast.qualities.tracks) == 1
    assert narrow.quality_of() == 0
    narrow.roll(1.0)


# From one quality to another


def test_a_viewer_gets_a_lower_quality_as_one_stream(narrow):
    assert narrow.quality_of() == 2
    got = narrow.shown()
    last = narrow.viewers["v"].of(VIDEO)[-1]
    assert len(last.payload) == SIZES["q"]
    # From the switch on it gets every frame.
    assert [f[0].frame for f in got[-60:]] == list(range(narrow.shot - 60, narrow.shot))


@pytest.mark.parametrize("order", ["qhf", "fhq"])
def test_it_makes_no_difference_which_quality_of_an_image_comes_first(order):
    studio = SimulcastStudio()
    studio.roll(0.5, keyframe=True, order=order)
    studio.join("v", rtx_tracks())
    studio.roll(5.0, tell=studio.remb(110_000), order=order)
    studio.active = ["f", "q"]
    studio.roll(3.0, tell=studio.remb(110_000), order=order)
    assert studio.quality_of() == 2
    studio.roll(12.0, tell=studio.remb(3_000_000), order=order)
    assert studio.quality_of() == 0
    got = studio.shown()
    assert [f[0].frame for f in got[-30:]] == list(range(studio.shot - 30, studio.shot))


def test_counters_of_base_layer_frames_go_on(narrow):
    narrow.roll(12.0, tell=narrow.remb(3_000_000))
    assert narrow.quality_of() == 0
    counters, bases = [], set()
    packets = sorted(narrow.viewers["v"].of(VIDEO), key=lambda p: p.sequence)
    begins = next(i for i, p in enumerate(packets) if len(p.payload) == SIZES["q"])
    for packet in packets[begins:]:
        descriptor = vp8.parse_descriptor(packet.payload)
        if packet.timestamp not in bases and descriptor.layer == 0:
            bases.add(packet.timestamp)
            counters.append(descriptor.tl0_index)
    steps = [b - a & 0xFF for a, b in pairwise(counters)]
    # LayeredCamera's counter is the number of the image: four from base to base, and never back.
    assert all(1 <= step <= 8 for step in steps)


def test_others_get_the_same_as_if_nobody_were_short():
    def watch(with_narrow):
        studio = SimulcastStudio()
        studio.roll(0.5, keyframe=True)
        studio.join("other", viewer_tracks(3000))
        if with_narrow:
            studio.join("v", rtx_tracks())
        studio.roll(1.0, keyframe=True, tell=studio.remb(110_000) if with_narrow else None)
        studio.active = ["f", "q"]
        studio.roll(6.0, tell=studio.remb(110_000) if with_narrow else None)
        return [(p.sequence, p.timestamp, len(p.payload)) for p in studio.viewers["other"].of(3001)]

    assert watch(with_narrow=True) == watch(with_narrow=False)


def test_what_a_viewer_of_a_lower_quality_misses_is_sent_again_of_that(narrow):
    sent = narrow.viewers["v"].of(VIDEO)[-2]
    narrow.say("v", rtcp.write_nack(1, VIDEO, [sent.sequence]))
    (again,) = narrow.viewers["v"].of(RTX)[-1:]
    assert int.from_bytes(again.payload[:2], "big") == sent.sequence
    assert again.payload[2:] == sent.payload
    assert again.timestamp == sent.timestamp


def test_a_keyframe_that_was_stamped_anew_is_sent_again_with_that_stamp():
    studio = SimulcastStudio()
    studio.roll(0.5, keyframe=True)
    studio.join("v", rtx_tracks())
    studio.active = ["f", "q"]
    studio.roll(2.0, keyframe=True, order="fhq", tell=studio.remb(110_000))
    while studio.quality_of() == 0:
        studio.roll(1 / 30, order="fhq", tell=studio.remb(110_000))
    first = next(p for p in studio.viewers["v"].of(VIDEO) if len(p.payload) == SIZES["q"])
    before = next(p for p in studio.viewers["v"].of(VIDEO) if p.sequence == first.sequence - 1)
    assert 0 < (first.timestamp - before.timestamp) < STEP_TICKS
    studio.say("v", rtcp.write_nack(1, VIDEO, [first.sequence]))
    assert studio.viewers["v"].of(RTX)[-1].timestamp == first.timestamp


def test_a_wish_for_a_keyframe_goes_to_the_quality_that_the_viewer_is_to_get(narrow):
    narrow.asked()
    narrow.pass_time(1.0)
    narrow.say("v", rtcp.write_pli(1, VIDEO))
    assert narrow.asked() == {SSRCS["q"]}


def test_a_viewer_who_leaves_on_its_way_is_forgotten(studio):
    studio.join("v", rtx_tracks())
    studio.active = ["f", "q"]
    studio.roll(4.0, keyframe=True)
    qualities = studio.broadcast.qualities
    qualities.send("v", LOWEST, None, studio.now)
    assert qualities.tracks[2].is_expecting("v")
    studio.broadcast.unsubscribe("v")
    assert not qualities.tracks[2].is_expecting("v")
    studio.roll(1.0, keyframe=True)


def test_a_viewer_who_changes_its_mind_stays_where_it_is(studio):
    studio.join("v", rtx_tracks())
    studio.active = ["f", "q"]
    studio.roll(1.0)
    qualities = studio.broadcast.qualities
    qualities.send("v", LOWEST, None, studio.now)
    qualities.send("v", BEST, None, studio.now)
    studio.roll(2.0, keyframe=True)
    assert studio.quality_of() == 0


def test_sender_reports_of_the_new_quality_come_at_once(narrow):
    report = rtcp.SenderReport(SSRCS["q"], 5 << 32, 2_000_000, 1, 1)
    narrow.broadcast.receive_rtcp(rtcp.write_sender_report(report), narrow.now)
    narrow.pass_time(0.2)
    assert narrow.viewers["v"].reports(VIDEO)


# The filter


def test_with_the_filter_on_everybody_gets_its_picture(narrow):
    narrow.broadcast.require_filter(narrow.now)
    assert narrow.quality_of() == 0
    before = len(narrow.viewers["v"].of(VIDEO))
    narrow.roll(3.0, keyframe=True)
    assert len(narrow.viewers["v"].of(VIDEO)) == before
    narrow.give_filtered(narrow.fed[-1], keyframe=True)
    assert len(narrow.viewers["v"].of(VIDEO)) > before
    narrow.give_filtered(narrow.fed[-1])
    narrow.roll(1.1)
    assert narrow.wanted[-1] == ("f",)


def test_the_filter_takes_over_from_lower_qualities_at_the_hosts_keyframe_too(narrow):
    narrow.broadcast.divert_to_filter()
    assert narrow.quality_of() == 2
    narrow.roll(1.0)
    assert narrow.quality_of() == 0
    assert narrow.fed


# Streams that are not what they should be


def test_a_quality_that_was_not_agreed_on_is_not_forwarded(studio):
    before = studio.broadcast.counters.foreign_packets
    packet = studio.cameras["q"].shoot(keyframe=True)[0]
    for extensions in ({RID_ID: b"x"}, {RID_ID: b"F"}, {RID_ID: b"\xff\xfe"}, {RID_ID: b"f" * 16}):
        studio.receive(studio.packet("q", packet, extensions=extensions, ssrc=0xEEE))
    assert studio.broadcast.counters.foreign_packets == before + 4


def test_a_stream_that_does_not_say_its_quality_is_not_forwarded_until_it_does(studio):
    packet = studio.cameras["q"].shoot(keyframe=True)[0]
    nameless = rtp.write_rtp(rtp.RtpPacket(VIDEO_TYPE, True, 7, 7, SSRCS["q"], {}, packet.payload))
    before = studio.broadcast.counters.foreign_packets
    studio.receive(nameless)
    assert studio.broadcast.counters.foreign_packets == before + 1
    studio.receive(studio.packet("q", packet))
    studio.receive(nameless)
    assert studio.broadcast.counters.foreign_packets == before + 1


def test_a_quality_that_begins_anew_takes_the_place_of_its_stream(narrow, monkeypatch):
    narrow.cameras["q"] = LayeredCamera(sequence=50_000, picture_id=9)
    monkeypatch.setitem(SSRCS, "q", 0xA01)
    narrow.roll(1.0, keyframe=True)
    assert [f[0].frame for f in narrow.shown()[-20:]] == list(range(narrow.shot - 20, narrow.shot))


def test_streams_without_end_are_not_remembered(studio):
    packet = studio.cameras["q"].shoot(keyframe=True)[0]
    before = studio.broadcast.counters.foreign_packets
    for i in range(2 * STREAMS_MAX):
        studio.receive(studio.packet("q", packet, ssrc=0x1000 + i))
    assert studio.broadcast.counters.foreign_packets >= before + STREAMS_MAX


def test_a_malformed_payload_of_a_lower_quality_is_counted(narrow):
    sequence = narrow.cameras["q"].sequence & 0xFFFF
    packet = rtp.RtpPacket(VIDEO_TYPE, True, sequence, 1, SSRCS["q"], {RID_ID: b"q"}, b"\x90")
    before = narrow.broadcast.counters.malformed_rtp
    narrow.receive(rtp.write_rtp(packet))
    assert narrow.broadcast.counters.malformed_rtp == before + 1


def test_what_is_given_up_of_a_lower_quality_makes_that_begin_anew(narrow):
    narrow.asked()
    narrow.cameras["q"].sequence += 2000
    narrow.receive(*(narrow.packet("q", p) for p in narrow.cameras["q"].shoot()))
    narrow.pass_time(0.6)
    assert SSRCS["q"] in narrow.asked()


# Padding and stills


def test_a_viewer_who_may_have_more_is_sent_more_by_rtx_and_climbs(narrow):
    counters = narrow.broadcast.subscriptions["v"].forwarders["video"].counters
    before, padded_before = len(narrow.viewers["v"].of(RTX)), counters.padded
    narrow.roll(4.0, tell=narrow.remb(160_000))
    padded = narrow.viewers["v"].of(RTX)[before:]
    assert padded
    assert counters.padded - padded_before == len(padded)
    assert counters.repaired == 0
    rate_bps = sum(len(p.payload) for p in padded) * 8 / 4.0
    assert 20_000 < rate_bps < 90_000
    assert "h" in narrow.wanted[-1]


def test_padding_without_rtx_sends_nothing():
    studio = SimulcastStudio()
    studio.roll(0.5, keyframe=True)
    studio.join("v")
    track = studio.broadcast.qualities.tracks[0]
    assert track.pad("v", 5000, studio.now) == 0
    assert track.pad("nobody", 5000, studio.now) == 0


def test_who_cannot_take_anything_gets_keyframes_at_its_pace_and_sound():
    studio = SimulcastStudio()
    studio.roll(0.5, keyframe=True)
    studio.join("v", rtx_tracks())
    studio.roll(8.0, tell=studio.remb(70_000, loss=0.9))
    keys = [f[0].frame for f in studio.shown() if f[0].keyframe]
    last = [f[0].keyframe for f in studio.shown()[-2:]]
    assert last == [True, True]
    steps = [b - a for a, b in pairwise(keys[-3:])]
    assert all(step >= EVERY_S * 30 - 1 for step in steps)
    assert studio.broadcast.qualities.tracks[0].shows_stills("v")


def test_stills_end_when_the_way_carries_more():
    studio = SimulcastStudio()
    studio.roll(0.5, keyframe=True)
    studio.join("v", rtx_tracks())
    studio.roll(4.0, tell=studio.remb(70_000, loss=0.9))
    assert studio.broadcast.qualities.tracks[0].shows_stills("v")
    studio.roll(HOLD_FIRST_S + 20, tell=studio.remb(3_000_000))
    assert not studio.broadcast.qualities.tracks[0].shows_stills("v")
    got = studio.shown()
    assert [f[0].frame for f in got[-30:]] == list(range(studio.shot - 30, studio.shot))


def test_stills_go_on_when_another_source_takes_over():
    studio = SimulcastStudio()
    studio.roll(0.5, keyframe=True)
    studio.join("v", rtx_tracks())
    studio.roll(6.0, tell=studio.remb(70_000, loss=0.9))
    track = studio.broadcast.tracks["video"]
    track.show_stills("nobody", 1000.0, studio.now)
    before = len(studio.viewers["v"].of(VIDEO))
    track.splice(studio.now, new_clock=False)
    studio.roll(3.0, keyframe=True, tell=studio.remb(70_000, loss=0.9))
    assert track.shows_stills("v")
    assert not track.shows_stills("nobody")
    assert len(studio.viewers["v"].of(VIDEO)) > before
