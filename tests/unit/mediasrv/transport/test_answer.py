import re
from dataclasses import replace

import pytest
from aiortc.sdp import SessionDescription

from mediasrv.errors import NegotiationError
from mediasrv.negotiation import negotiate_host, negotiate_viewer
from mediasrv.transport.addresses import candidates
from mediasrv.transport.answer import AcceptedMedia, SentTrack, ServerIdentity, write_answer
from mediasrv.transport.ice import IceCredentials
from mediasrv.transport.offer import SDP_MAX_BYTES, Offer, OfferedCodec, OfferedMedia, parse_offer
from tests.hostile import mutate_sdp, mutations
from tests.sdp_offers import HOSTS, VIEWERS, offer_text, offer_texts

IDENTITY = ServerIdentity(
    IceCredentials("0123456789abcdef", "0123456789abcdef0123456789abcdef"),
    ("sha-256", "AB:CD"),
    candidates(["192.0.2.1", "2001:db8::1"], 4000),
    session_id=7,
)
VP8 = OfferedCodec("vp8", 96, 90_000, 1, {}, frozenset({"nack", "nack pli", "transport-cc"}))
OPUS = OfferedCodec("opus", 111, 48_000, 2, {"minptime": "10", "usedtx": ""}, frozenset({"nack"}))


def media(kind: str, mid: str, *, in_bundle: bool = True) -> OfferedMedia:
    codec = VP8 if kind == "video" else OPUS
    return OfferedMedia(
        kind=kind,
        protocol="UDP/TLS/RTP/SAVPF",
        formats=(str(codec.payload_type), "97"),
        mid=mid,
        sends=True,
        receives=True,
        codecs=(codec,),
        extensions={},
        in_bundle=in_bundle,
    )


def accept(kind: str) -> AcceptedMedia:
    codec = VP8 if kind == "video" else OPUS
    return AcceptedMedia((codec,), {"urn:x": 3}, frozenset({"nack pli"}), "sendonly")


def offer(*sections: OfferedMedia) -> Offer:
    return Offer(sections, "abcd", (("sha-256", "AB"),))


def answer_to(name: str) -> tuple[Offer, str]:
    found = parse_offer(offer_text(name))
    session = negotiate_host(found) if name in HOSTS else negotiate_viewer(found, None)
    return found, write_answer(found, session.accepted, IDENTITY)


# Answers to real offers, read by aiortc.


@pytest.mark.parametrize("name", HOSTS + VIEWERS)
def test_an_answer_has_the_sections_of_its_offer_in_their_order(name):
    found, text = answer_to(name)
    answer = SessionDescription.parse(text)
    assert [(m.kind, m.rtp.muxId) for m in answer.media] == [(m.kind, m.mid) for m in found.media]
    assert [m.port for m in answer.media] == [9] * len(found.media)
    assert [str(group) for group in answer.group] == [
        "BUNDLE " + " ".join(m.mid for m in found.media)
    ]


@pytest.mark.parametrize("name", HOSTS + VIEWERS)
def test_every_section_says_how_to_reach_and_trust_the_server(name):
    _, text = answer_to(name)
    answer = SessionDescription.parse(text)
    assert text.index("a=ice-lite") < text.index("m=")
    assert "a=setup:passive" in text
    for section in answer.media:
        assert section.ice is not None
        assert section.ice.iceLite
        assert section.ice.usernameFragment == IDENTITY.credentials.fragment
        assert section.ice.password == IDENTITY.credentials.password
        assert section.dtls is not None
        assert section.dtls.role == "server"
        assert [(f.algorithm, f.value) for f in section.dtls.fingerprints] == [("sha-256", "AB:CD")]
        assert section.rtcp_mux
    first, *others = answer.media
    assert [(c.ip, c.port) for c in first.ice_candidates] == [
        ("192.0.2.1", 4000),
        ("2001:db8::1", 4000),
    ]
    assert first.ice_candidates_complete
    assert all(not section.ice_candidates for section in others)


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_is_told_that_the_server_only_receives(name):
    _, text = answer_to(name)
    for section in SessionDescription.parse(text).media:
        assert section.direction == "recvonly"
        assert not section.ssrc
        assert len(section.rtp.codecs) == 1


@pytest.mark.parametrize("name", VIEWERS)
def test_a_viewer_is_told_which_streams_belong_together(name):
    _, text = answer_to(name)
    sections = SessionDescription.parse(text).media
    assert [section.direction for section in sections] == ["sendonly", "sendonly"]
    assert len({section.ssrc[0].ssrc for section in sections}) == 2
    assert len({section.ssrc[0].cname for section in sections}) == 1
    streams = [(section.msid or "").split() for section in sections]
    assert streams[0][0] == streams[1][0]
    assert streams[0][1] != streams[1][1]
    assert [section.ssrc[0].msid for section in sections] == [s.msid for s in sections]


@pytest.mark.parametrize("name", HOSTS + VIEWERS)
def test_an_answer_names_nothing_that_was_not_offered(name):
    found, text = answer_to(name)
    for offered, section in zip(found.media, SessionDescription.parse(text).media, strict=True):
        known = {codec.payload_type: codec for codec in offered.codecs}
        assert section.fmt == [codec.payloadType for codec in section.rtp.codecs]
        for codec in section.rtp.codecs:
            twin = known[codec.payloadType or 0]
            assert (codec.name.lower(), codec.clockRate) == (twin.name, twin.clock_hz)
            wanted = {f"{f.type} {f.parameter or ''}".strip() for f in codec.rtcpFeedback}
            assert wanted <= twin.feedback
        for extension in section.rtp.headerExtensions:
            assert offered.extensions[extension.uri] == extension.id


# The text.


def test_an_answer_to_the_letter():
    sent = SentTrack(42, "cname", "stream")
    accepted = {"a": replace(accept("audio"), sent=sent)}
    text = write_answer(offer(media("video", "v"), media("audio", "a")), accepted, IDENTITY)
    assert text.split("\r\n") == [
        "v=0",
        "o=- 7 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=group:BUNDLE a",
        "a=msid-semantic: WMS *",
        "m=video 0 UDP/TLS/RTP/SAVPF 96 97",
        "c=IN IP4 0.0.0.0",
        "a=mid:v",
        "a=inactive",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:a",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=ice-ufrag:0123456789abcdef",
        "a=ice-pwd:0123456789abcdef0123456789abcdef",
        "a=fingerprint:sha-256 AB:CD",
        "a=setup:passive",
        "a=extmap:3 urn:x",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;usedtx",
        "a=msid:stream stream-audio",
        "a=ssrc:42 cname:cname",
        "a=ssrc:42 msid:stream stream-audio",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 4000 typ host",
        "a=end-of-candidates",
        "",
    ]


def test_hints_for_one_codec_are_added_to_what_the_peer_wrote():
    choice = replace(accept("video"), extra_parameters={"vp8": {"x": "1"}, "h264": {"y": "2"}})
    text = write_answer(offer(media("video", "v")), {"v": choice}, IDENTITY)
    assert "a=fmtp:96 x=1\r\n" in text
    assert "a=rtcp-fb:96 nack pli\r\n" in text
    assert "transport-cc" not in text


def test_a_section_that_was_not_bundled_is_not_bundled_by_the_answer():
    alone = offer(media("video", "v", in_bundle=False), media("audio", "a", in_bundle=False))
    text = write_answer(alone, {"v": accept("video")}, IDENTITY)
    assert "a=group" not in text
    assert text.count("a=candidate") == 2


# Hostile offers.

LINE = re.compile(r"[a-z]=[ -~]*")


def hostile_answers(count: int) -> list[tuple[Offer, str]]:
    answers = []
    for text in mutations(count, 3, offer_texts(HOSTS + VIEWERS), mutate_sdp):
        try:
            found = parse_offer(text)
            sends = any(section.sends for section in found.media)
            session = negotiate_host(found) if sends else negotiate_viewer(found, None)
        except NegotiationError:
            continue
        answers.append((found, write_answer(found, session.accepted, IDENTITY)))
    return answers


def test_no_offer_injects_a_line_into_its_answer():
    answers = hostile_answers(1000)
    assert len(answers) > 100
    for found, text in answers:
        lines = text.removesuffix("\r\n").split("\r\n")
        assert all(LINE.fullmatch(line) for line in lines)
        assert len(text) <= SDP_MAX_BYTES
        assert lines.count("a=ice-lite") == 1
        accepted = lines.count("a=setup:passive")
        for prefix in ("a=fingerprint", "a=ice-ufrag", "a=ice-pwd"):
            assert sum(line.startswith(prefix) for line in lines) == accepted
        assert sum(line.startswith("a=candidate") for line in lines) == 2
        assert sum(line.startswith("m=") for line in lines) == len(found.media)
        answer = SessionDescription.parse(text)
        assert [m.rtp.muxId for m in answer.media] == [m.mid for m in found.media]
