from dataclasses import replace

import pytest

from mediasrv.errors import NegotiationError, UnsupportedCodec
from mediasrv.negotiation import negotiate_host, negotiate_viewer
from mediasrv.relay.forwarder import FIRST_SEQUENCE_MAX
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.publisher import IncomingTrack
from mediasrv.relay.rtp import (
    ABS_SEND_TIME_URI,
    AUDIO_LEVEL_URI,
    MID_URI,
    PLAYOUT_DELAY_URI,
    RID_URI,
    TRANSPORT_SEQUENCE_URI,
)
from mediasrv.transport.answer import ServerIdentity, write_answer
from mediasrv.transport.ice import IceCredentials
from mediasrv.transport.offer import Offer, OfferedCodec, OfferedMedia, parse_offer
from mediasrv.transport.simulcast import SimulcastStream
from tests.sdp_offers import HOSTS, VIEWERS, offer_text

OPUS = OfferedCodec("opus", 111, 48_000, 2, {}, frozenset({"transport-cc"}))
PCMU = OfferedCodec("pcmu", 0, 8000, 1, {}, frozenset())
VP8 = OfferedCodec("vp8", 96, 90_000, 1, {}, frozenset({"nack", "nack pli", "goog-remb"}))
VP9 = OfferedCodec("vp9", 98, 90_000, 1, {"profile-id": "0"}, frozenset())
AV1 = OfferedCodec("av1", 45, 90_000, 1, {}, frozenset())
H261 = OfferedCodec("h261", 31, 90_000, 1, {}, frozenset())
H264 = OfferedCodec(
    "h264",
    102,
    90_000,
    1,
    {"profile-level-id": "42e01f", "packetization-mode": "1"},
    frozenset({"nack pli"}),
)


def media(kind, *codecs, mid=None, sends=True, receives=True, extensions=None, in_bundle=True):
    return OfferedMedia(
        kind=kind,
        protocol="UDP/TLS/RTP/SAVPF",
        formats=tuple(str(c.payload_type) for c in codecs),
        mid=mid or kind,
        sends=sends,
        receives=receives,
        codecs=codecs,
        extensions=extensions or {},
        in_bundle=in_bundle,
    )


def offer(*sections):
    return Offer(sections, "ufrag", (("sha-256", "AB"),))


def rtx(codec, payload_type):
    repaired = {"apt": str(codec.payload_type)}
    return OfferedCodec("rtx", payload_type, codec.clock_hz, 1, repaired, frozenset())


def profile(codec, level_id):
    return replace(codec, parameters={**codec.parameters, "profile-level-id": level_id})


AUDIO, VIDEO = media("audio", OPUS), media("video", VP8, H264)


class TestHosts:
    @pytest.mark.parametrize("name", HOSTS)
    def test_real_hosts_are_accepted_with_all_that_they_send(self, name):
        real = parse_offer(offer_text(name))
        session = negotiate_host(real)
        sent = [m for m in real.media if m.sends]
        assert {t.kind for t in session.tracks} == {m.kind for m in sent}
        for track, section in zip(session.tracks, sent, strict=True):
            (codec,) = session.accepted[section.mid].codecs
            assert codec in section.codecs
            assert track.payload_type == codec.payload_type
            assert track.codec.startswith(codec.name)

    def test_the_track_is_what_the_answer_says(self):
        extensions = {AUDIO_LEVEL_URI: 3, ABS_SEND_TIME_URI: 5, "urn:other": 7}
        session = negotiate_host(
            offer(
                media("audio", PCMU, OPUS, extensions=extensions),
                media("video", H261, VP8, H264, extensions=extensions),
            )
        )
        assert session.tracks == (
            IncomingTrack("audio", "opus", 111, 48_000, 3, repaired=False),
            IncomingTrack("video", "vp8", 96, 90_000, 0),
        )
        audio, video = session.accepted["audio"], session.accepted["video"]
        assert (audio.codecs, video.codecs) == ((OPUS,), (VP8,))
        assert audio.extensions == {AUDIO_LEVEL_URI: 3}
        assert video.extensions == {ABS_SEND_TIME_URI: 5}
        assert audio.feedback == {"nack", "goog-remb"}
        assert video.feedback == {"nack", "nack pli", "ccm fir", "goog-remb"}
        assert audio.extra_parameters is not None
        assert audio.extra_parameters["opus"] == {"useinbandfec": "1"}
        assert {audio.direction, video.direction} == {"recvonly"}
        assert audio.sent is video.sent is None

    def test_a_host_that_can_is_told_when_each_packet_arrived_instead_of_a_bitrate(self):
        extensions = {TRANSPORT_SEQUENCE_URI: 4, ABS_SEND_TIME_URI: 5}
        codec = replace(VP8, feedback=VP8.feedback | {"transport-cc"})
        session = negotiate_host(offer(media("video", codec, extensions=extensions)))
        assert session.tracks[0].transport_sequence_id == 4
        assert session.accepted["video"].feedback == {"nack", "nack pli", "ccm fir", "transport-cc"}
        assert session.accepted["video"].extensions == extensions

    @pytest.mark.parametrize(
        ("feedback", "extensions"),
        [({"transport-cc"}, {}), (set(), {TRANSPORT_SEQUENCE_URI: 4})],
    )
    def test_half_of_what_that_needs_is_not_accepted(self, feedback, extensions):
        codec = replace(VP8, feedback=frozenset(feedback))
        session = negotiate_host(offer(media("video", codec, extensions=extensions)))
        assert session.tracks[0].transport_sequence_id == 0
        assert "goog-remb" in session.accepted["video"].feedback
        assert session.accepted["video"].extensions == {}

    @pytest.mark.parametrize(
        ("codec", "name"),
        [
            (VP9, "vp9"),
            (AV1, "av1"),
            (profile(H264, "640032"), "h264-high"),
            (profile(H264, "4d001f"), "h264-main"),
        ],
    )
    def test_what_the_filter_cannot_process_passes_untouched_or_not_at_all(self, codec, name):
        only = offer(media("video", codec))
        assert negotiate_host(only).tracks[0].codec == name
        with pytest.raises(UnsupportedCodec, match="the filter is on"):
            negotiate_host(only, to_filter=True)
        choice = offer(AUDIO, media("video", codec, VP8))
        assert [t.codec for t in negotiate_host(choice, to_filter=True).tracks] == ["opus", "vp8"]

    def test_a_host_without_the_extension_has_no_id_for_it(self):
        assert negotiate_host(offer(AUDIO, VIDEO)).tracks[0].audio_level_id == 0

    def test_the_host_is_hinted_to_start_with_a_watchable_bitrate(self):
        hints = negotiate_host(offer(VIDEO)).accepted["video"].extra_parameters
        assert hints is not None
        assert {hints[c]["x-google-start-bitrate"] for c in ("vp8", "h264")} == {"1500"}

    def test_the_hosts_own_order_decides_between_codecs(self):
        session = negotiate_host(offer(media("video", H264, VP8)))
        assert [t.codec for t in session.tracks] == ["h264"]

    def test_only_the_first_section_of_a_kind_is_taken(self):
        session = negotiate_host(
            offer(AUDIO, VIDEO, media("video", replace(VP8, payload_type=99), mid="screen"))
        )
        assert session.accepted.keys() == {"audio", "video"}

    def test_what_is_not_sent_is_passed_over(self):
        session = negotiate_host(offer(media("video", H261, mid="x", sends=False), AUDIO, VIDEO))
        assert session.accepted.keys() == {"audio", "video"}

    @pytest.mark.parametrize(
        ("bundled", "accepted"),
        [
            ((True, True), {"audio", "video"}),
            ((False, False), {"audio"}),
            ((False, True), {"audio"}),
            ((True, False), {"audio"}),
        ],
    )
    def test_tracks_that_would_need_a_second_transport_are_left_out(self, bundled, accepted):
        sections = [replace(m, in_bundle=b) for m, b in zip((AUDIO, VIDEO), bundled, strict=True)]
        assert negotiate_host(offer(*sections)).accepted.keys() == accepted

    def test_tracks_that_packets_cannot_be_told_apart_by_are_refused(self):
        with pytest.raises(NegotiationError, match="share one payload type"):
            negotiate_host(offer(AUDIO, media("video", replace(VP8, payload_type=111))))

    @pytest.mark.parametrize(
        "sections", [(), (media("audio", OPUS, sends=False), media("video", VP8, sends=False))]
    )
    def test_a_host_that_sends_nothing_is_refused(self, sections):
        with pytest.raises(NegotiationError, match="neither audio nor video"):
            negotiate_host(offer(*sections))

    @pytest.mark.parametrize(
        "codecs",
        [
            (),
            (H261,),
            (replace(VP9, parameters={"profile-id": "2"}),),
            (replace(VP8, clock_hz=8000),),
            (replace(H264, parameters={"packetization-mode": "0"}),),
            (replace(H264, parameters={"profile-level-id": "42e01f"}),),
            (profile(H264, "58e01f"),),
        ],
    )
    def test_video_that_nobody_could_carry_is_refused(self, codecs):
        with pytest.raises(UnsupportedCodec, match="no video codec in common"):
            negotiate_host(offer(AUDIO, media("video", *codecs)))

    @pytest.mark.parametrize("codecs", [(PCMU,), (replace(OPUS, clock_hz=16_000),)])
    def test_sound_that_nobody_could_carry_is_refused(self, codecs):
        with pytest.raises(UnsupportedCodec, match="no audio codec in common"):
            negotiate_host(offer(media("audio", *codecs), VIDEO))

    @pytest.mark.parametrize("level_id", ["42e01f", "42E034", "42001f", "42c00a"])
    def test_baseline_profiles_are_carried_whatever_their_level(self, level_id):
        codec = profile(H264, level_id)
        assert negotiate_host(offer(media("video", codec))).tracks[0].codec == "h264"


SIMULCAST = (
    SimulcastStream("q", paused=True),
    SimulcastStream("h", paused=True),
    SimulcastStream("f", paused=False),
)
RIDS = {RID_URI: 10, MID_URI: 4, "urn:other": 7}


class TestSimulcast:
    def test_qualities_are_told_apart_by_the_rid_the_best_one_first(self):
        section = replace(media("video", VP8, extensions=RIDS), simulcast=SIMULCAST)
        session = negotiate_host(offer(section))
        (track,) = session.tracks
        assert (track.rid_id, track.rids) == (10, ("f", "h", "q"))
        accepted = session.accepted["video"]
        assert accepted.simulcast == SIMULCAST
        assert accepted.extensions == {RID_URI: 10, MID_URI: 4}

    def test_without_rids_in_its_packets_it_is_one_stream(self):
        section = replace(media("video", VP8, extensions={MID_URI: 4}), simulcast=SIMULCAST)
        session = negotiate_host(offer(section))
        assert session.tracks[0].rids == ()
        assert session.accepted["video"].simulcast == ()
        assert session.accepted["video"].extensions == {}

    def test_the_extension_alone_is_no_simulcast(self):
        session = negotiate_host(offer(media("video", VP8, extensions=RIDS)))
        assert (session.tracks[0].rid_id, session.tracks[0].rids) == (0, ())

    def test_sound_has_one_quality(self):
        section = replace(media("audio", OPUS, extensions=RIDS), simulcast=SIMULCAST)
        session = negotiate_host(offer(section))
        assert session.tracks[0].rids == ()
        assert session.accepted["audio"].simulcast == ()

    def test_an_offer_as_chromium_writes_it_is_answered_in_kind(self):
        lines = offer_text("chromium-host").rstrip().splitlines()
        lines += [f"a=rid:{rid} send" for rid in "qhf"]
        real = parse_offer("\r\n".join([*lines, "a=simulcast:send ~q;~h;f", ""]))
        session = negotiate_host(real)
        assert session.tracks[-1].rids == ("f", "h", "q")
        credentials = IceCredentials("0123456789abcdef", "0123456789abcdef0123456789abcdef")
        identity = ServerIdentity(credentials, ("sha-256", "AB"), (), session_id=7)
        answer = write_answer(real, session.accepted, identity)
        for line in ("a=rid:q recv", "a=rid:h recv", "a=rid:f recv", f"a=extmap:10 {RID_URI}"):
            assert answer.count(f"{line}\r\n") == 1
        assert "a=simulcast:recv ~q;~h;f\r\n" in answer


class TestViewers:
    @pytest.mark.parametrize("name", VIEWERS)
    def test_real_viewers_get_sound_and_picture(self, name):
        session = negotiate_viewer(parse_offer(offer_text(name)), "vp8")
        assert [t.kind for t in session.tracks] == ["audio", "video"]
        assert {a.direction for a in session.accepted.values()} == {"sendonly"}

    def test_every_codec_in_common_is_agreed_so_that_the_host_may_change_its_own(self):
        session = negotiate_viewer(offer(AUDIO, media("video", VP8, H261, H264)), "h264")
        audio, video = session.tracks
        assert audio.payload_types == {"opus": 111}
        assert video.payload_types == {"vp8": 96, "h264": 102}
        # The first one in the answer is what a browser prepares for.
        assert session.accepted["video"].codecs == (H264, VP8)

    def test_a_profile_that_the_viewer_did_not_offer_is_another_codec(self):
        high = replace(profile(H264, "640032"), payload_type=104)
        session = negotiate_viewer(offer(media("video", H264, high, VP9, AV1)), "h264-high")
        assert session.tracks[0].payload_types == {
            "h264": 102,
            "h264-high": 104,
            "vp9": 98,
            "av1": 45,
        }
        assert session.accepted["video"].codecs[0] == high
        with pytest.raises(UnsupportedCodec, match="the room sends h264-high"):
            negotiate_viewer(offer(media("video", H264)), "h264-high")

    def test_each_codec_is_repaired_by_the_payload_type_that_the_viewer_meant_for_it(self):
        codecs = (VP8, rtx(VP8, 97), H264, rtx(H264, 103), rtx(VP9, 99))
        session = negotiate_viewer(offer(media("video", *codecs)), "vp8")
        (track,) = session.tracks
        assert track.retransmission is not None
        assert track.retransmission.payload_types == {"vp8": 97, "h264": 103}
        assert 0 <= track.retransmission.first_sequence < FIRST_SEQUENCE_MAX
        assert session.accepted["video"].codecs == codecs[:4]
        sent = session.accepted["video"].sent
        assert sent is not None
        assert sent.rtx_ssrc == track.retransmission.ssrc != track.ssrc

    def test_without_rtx_nothing_is_announced_for_it(self):
        session = negotiate_viewer(offer(VIDEO), "vp8")
        assert session.tracks[0].retransmission is None
        sent = session.accepted["video"].sent
        assert sent is not None
        assert sent.rtx_ssrc is None

    def test_one_payload_type_is_agreed_for_each_codec(self):
        more = replace(VP8, payload_type=35)
        session = negotiate_viewer(offer(media("video", VP8, more)), None)
        assert session.tracks[0].payload_types == {"vp8": 96}
        assert session.accepted["video"].codecs == (VP8,)

    def test_extensions_go_by_the_viewers_own_ids(self):
        extensions = {
            AUDIO_LEVEL_URI: 9,
            ABS_SEND_TIME_URI: 12,
            PLAYOUT_DELAY_URI: 4,
            "urn:other": 1,
        }
        session = negotiate_viewer(
            offer(
                media("audio", OPUS, extensions=extensions),
                media("video", VP8, extensions=extensions),
            ),
            "vp8",
        )
        assert [t.ids for t in session.tracks] == [ExtensionIds(9, 0, 0), ExtensionIds(0, 12, 4)]
        assert session.accepted["audio"].extensions == {AUDIO_LEVEL_URI: 9}
        assert session.accepted["video"].extensions == {
            ABS_SEND_TIME_URI: 12,
            PLAYOUT_DELAY_URI: 4,
        }
        assert [t.ids for t in negotiate_viewer(offer(AUDIO, VIDEO), "vp8").tracks] == [
            ExtensionIds()
        ] * 2

    def test_what_is_announced_is_what_is_sent(self):
        session = negotiate_viewer(offer(AUDIO, VIDEO), "vp8")
        announced = [a.sent for a in session.accepted.values()]
        assert [s.ssrc for s in announced if s] == [t.ssrc for t in session.tracks]
        assert {s.cname for s in announced if s} == {session.cname}
        assert len({s.stream for s in announced if s}) == 1

    def test_numbers_are_drawn_anew_for_every_viewer(self):
        sessions = [negotiate_viewer(offer(AUDIO, VIDEO), "vp8") for _ in range(50)]
        tracks = [t for s in sessions for t in s.tracks]
        assert len({t.ssrc for t in tracks}) == 100
        assert all(0 < t.ssrc < 2**32 for t in tracks)
        # RFC 3711 section 3.3.1: below 2**15.
        assert all(0 <= t.first_sequence < FIRST_SEQUENCE_MAX == 2**15 for t in tracks)
        assert len({t.first_sequence for t in tracks}) > 50
        assert len({s.cname for s in sessions}) == 50

    def test_viewers_may_ask_for_keyframes_and_tell_their_bandwidth(self):
        accepted = negotiate_viewer(offer(AUDIO, VIDEO), "vp8").accepted
        assert accepted["video"].feedback == {"nack", "nack pli", "ccm fir", "goog-remb"}
        assert accepted["audio"].feedback == {"nack"}

    def test_a_viewer_who_cannot_decode_the_rooms_codec_hears_which_one_it_is(self):
        with pytest.raises(UnsupportedCodec, match="the room sends h264"):
            negotiate_viewer(offer(AUDIO, media("video", VP8)), "h264")

    def test_a_room_without_video_takes_any_viewer_with_a_codec_in_common(self):
        session = negotiate_viewer(offer(AUDIO, media("video", VP8)), None)
        assert session.tracks[1].payload_types == {"vp8": 96}
        with pytest.raises(UnsupportedCodec, match="no video codec in common"):
            negotiate_viewer(offer(AUDIO, media("video", H261)), None)

    def test_sound_without_a_common_codec_is_refused(self):
        with pytest.raises(UnsupportedCodec, match="no audio codec in common"):
            negotiate_viewer(offer(media("audio", PCMU), VIDEO), "vp8")

    def test_a_viewer_who_receives_nothing_is_refused(self):
        silent = [replace(m, receives=False) for m in (AUDIO, VIDEO)]
        with pytest.raises(NegotiationError, match="neither audio nor video"):
            negotiate_viewer(offer(*silent), "vp8")

    def test_only_what_is_received_is_sent(self):
        session = negotiate_viewer(offer(replace(AUDIO, receives=False), VIDEO), "vp8")
        assert [t.kind for t in session.tracks] == ["video"]
