import pytest
from aiortc.sdp import SessionDescription

from mediasrv.errors import NegotiationError
from mediasrv.transport.offer import (
    FMTP_MAX,
    SDP_CANDIDATES_MAX,
    SDP_FEEDBACK_FOR_ALL_MAX,
    SDP_LINES_MAX,
    SDP_MAX_BYTES,
    SDP_SECTIONS_MAX,
    Offer,
    OfferedCodec,
    parse_offer,
)
from tests.hostile import mutate_sdp, mutations, short_id
from tests.sdp_offers import HOSTS, NAMES, VIEWERS, offer_text, offer_texts

SESSION = ("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0 1 2 3")
TRANSPORT = (
    "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdabcdabcdabcdabcdabcd",
    "a=fingerprint:sha-256 AB:CD",
    "a=setup:actpass",
)


def section(
    mid: str = "0",
    *,
    line: str = "m=video 9 UDP/TLS/RTP/SAVPF 96",
    attributes: tuple[str, ...] = ("a=recvonly", "a=rtcp-mux", "a=rtpmap:96 VP8/90000"),
    transport: tuple[str, ...] = TRANSPORT,
) -> list[str]:
    return [line, f"a=mid:{mid}", *transport, *attributes]


def sdp(*sections: list[str], session: tuple[str, ...] = SESSION) -> str:
    lines = [*session, *(line for lines in sections for line in lines)]
    return "\r\n".join(lines) + "\r\n"


def with_attributes(*attributes: str) -> str:
    return sdp(section(attributes=("a=sendonly", "a=rtcp-mux", *attributes)))


def only_codec(text: str) -> OfferedCodec:
    (media,) = parse_offer(text).media
    (codec,) = media.codecs
    return codec


# Real offers.


@pytest.mark.parametrize("name", NAMES)
def test_a_real_offer_says_who_is_there(name):
    offer = parse_offer(offer_text(name))
    assert len(offer.ice_fragment) >= 4
    assert offer.fingerprints[0][0] == "sha-256"
    assert all(value == value.upper() and ":" in value for _, value in offer.fingerprints)
    assert all(media.in_bundle for media in offer.media)
    assert [media.mid for media in offer.media] == [str(i) for i in range(len(offer.media))]


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_sends_and_does_not_receive(name):
    kinds = ["video"] if "video" in name else ["audio", "video"]
    offer = parse_offer(offer_text(name))
    assert [media.kind for media in offer.media if media.sends and not media.receives] == kinds


@pytest.mark.parametrize("name", VIEWERS)
def test_a_viewer_receives_and_does_not_send(name):
    offer = parse_offer(offer_text(name))
    received = [media.kind for media in offer.media if media.receives and not media.sends]
    assert received == ["audio", "video"]


@pytest.mark.parametrize("name", NAMES)
def test_codecs_come_in_the_order_of_the_media_line(name):
    for media in parse_offer(offer_text(name)).media:
        types = [str(codec.payload_type) for codec in media.codecs]
        assert types == [f for f in media.formats if f in types]
        carried = {"audio": "opus", "video": "h264" if name.startswith("obs") else "vp8"}
        assert media.kind not in carried or carried[media.kind] in {c.name for c in media.codecs}


def test_a_chromium_codec_is_read_in_full():
    audio, video = parse_offer(offer_text("chromium-host")).media
    assert audio.codecs[0] == OfferedCodec(
        name="opus",
        payload_type=111,
        clock_hz=48_000,
        channels=2,
        parameters={"minptime": "10", "useinbandfec": "1"},
        feedback=frozenset({"transport-cc"}),
    )
    assert video.codecs[0] == OfferedCodec(
        name="vp8",
        payload_type=96,
        clock_hz=90_000,
        channels=1,
        parameters={},
        feedback=frozenset({"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"}),
    )
    uri = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    assert video.extensions[uri] == audio.extensions[uri]


def test_firefox_offers_its_second_section_as_bundle_only():
    text = offer_text("firefox-viewer-max-bundle")
    assert "a=bundle-only" in text
    assert "m=video 0 " in text
    _, video = parse_offer(text).media
    assert video.receives
    assert video.codecs


def test_credentials_of_the_session_serve_all_sections_of_a_whip_client():
    offer = parse_offer(offer_text("obs-whip-host"))
    assert offer.ice_fragment == "jBua"
    h264 = offer.media[1].codecs[0]
    # The blanks behind the semicolons are no part of the names.
    assert (h264.name, h264.parameters["packetization-mode"]) == ("h264", "1")


# Limits, before anything is parsed.


@pytest.fixture
def parsed(monkeypatch):
    """What reached aiortc's parser."""
    texts: list[str] = []

    def parse(text: str) -> SessionDescription:
        texts.append(text)
        raise ValueError

    monkeypatch.setattr(SessionDescription, "parse", parse)
    return texts


def padded(size: int) -> str:
    text = sdp(section())
    return text + "i=" + "x" * (size - len(text) - 4) + "\r\n"


def many(count: int, line: str) -> str:
    return sdp(section(attributes=("a=recvonly", "a=rtcp-mux", *[line] * count)))


CANDIDATE = "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host"
FOR_ALL = "a=rtcp-fb:* nack"
LINES = len(many(0, "").splitlines())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (padded(SDP_MAX_BYTES + 1), "larger than 65536 bytes"),
        # 40,000 characters, but 80,000 bytes.
        (sdp(section()) + "i=" + "\u00e9" * 40_000, "larger than 65536 bytes"),
        ("\U0001f600" * 20_000, "larger than 65536 bytes"),
        ("\ud800" * 70_000, "larger than 65536 bytes"),
        (many(SDP_CANDIDATES_MAX + 1, CANDIDATE), "more than 32 candidates"),
        (sdp(*[section(str(i)) for i in range(SDP_SECTIONS_MAX + 1)]), "more than 4 media"),
        (many(SDP_LINES_MAX + 1 - LINES, "a=x"), "more than 1000 lines"),
        (many(SDP_FEEDBACK_FOR_ALL_MAX + 1, FOR_ALL), "too many rtcp-fb"),
        (with_attributes("a=rtpmap:96 VP8/90000", "a=rtpmap:96 H264/90000"), "described twice"),
        (with_attributes("a=rtpmap:96 VP8/90000", "a=rtpmap:096 H264/90000"), "malformed"),
        (with_attributes("a=rtpmap:96 VP8/90000", "a=rtpmap:9_6 H264/90000"), "malformed"),
        (with_attributes("a=rtpmap:\u0669\u0666 VP8/90000"), "payload type is malformed"),
        (with_attributes("a=rtpmap:128 VP8/90000"), "payload type is malformed"),
        (with_attributes("a=rtpmap: VP8/90000"), "payload type is malformed"),
        ("", "no media section"),
        ("\r\n".join(SESSION), "no media section"),
    ],
    ids=short_id,
)
def test_what_is_over_a_limit_is_refused_unparsed(parsed, text, why):
    with pytest.raises(NegotiationError, match=why):
        parse_offer(text)
    assert parsed == []


@pytest.mark.parametrize(
    "text",
    [
        padded(SDP_MAX_BYTES),
        many(SDP_CANDIDATES_MAX, CANDIDATE),
        many(SDP_FEEDBACK_FOR_ALL_MAX, FOR_ALL),
        many(SDP_LINES_MAX - LINES, "a=x"),
        sdp(*[section(str(i)) for i in range(SDP_SECTIONS_MAX)]),
    ],
    ids=short_id,
)
def test_what_is_at_a_limit_is_parsed(text):
    assert parse_offer(text).media[0].mid == "0"


def test_lines_that_a_parser_may_see_are_counted_however_they_end(parsed):
    for end in ("\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"):
        text = end.join([*SESSION, *section(), *[CANDIDATE] * (SDP_CANDIDATES_MAX + 1)])
        with pytest.raises(NegotiationError, match="candidates"):
            parse_offer(text)
    assert parsed == []


def test_two_sections_may_share_their_payload_types():
    first, second = parse_offer(sdp(section("0"), section("1"))).media
    assert first.codecs == second.codecs


# What is malformed or forbidden.


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (sdp(section(), section()), "share one mid"),
        (sdp(section("")), "no valid mid"),
        (sdp(section("a b")), "no valid mid"),
        (sdp(section("x" * 33)), "no valid mid"),
        (sdp(section("0\x00")), "no valid mid"),
        (sdp(section(attributes=("a=recvonly",))), "rtcp-mux is required"),
        (sdp(section(transport=TRANSPORT[1:])), "no ICE credentials"),
        (sdp(section(transport=(TRANSPORT[0], *TRANSPORT[2:]))), "no ICE credentials"),
        (sdp(section(transport=("a=ice-ufrag:abc", *TRANSPORT[1:]))), "fragment is malformed"),
        (sdp(section(transport=("a=ice-ufrag:ab:d", *TRANSPORT[1:]))), "fragment is malformed"),
        (sdp(section(transport=(*TRANSPORT[:2], TRANSPORT[3]))), "no certificate fingerprint"),
        (sdp(section(transport=TRANSPORT[:3])), "no DTLS setup"),
        (sdp(section(transport=(*TRANSPORT[:3], "a=setup:passive"))), "setup:passive"),
        (sdp(section(transport=(*TRANSPORT[:3], "a=setup:holdconn"))), "malformed"),
        (
            sdp(section(transport=(*TRANSPORT[:2], "a=fingerprint:sha-1 AB", "a=setup:active"))),
            "SHA-256 or better",
        ),
        (
            sdp(section(line="m=video 0 UDP/TLS/RTP/SAVPF 96"), session=SESSION[:4]),
            "every media section is disabled",
        ),
        (sdp(section(line="m=vi\x7fdeo 9 UDP/TLS/RTP/SAVPF 96")), "media line is malformed"),
        (sdp(section(line="m=other 9 UDP/TLS x\x00y")), "media line is malformed"),
        (sdp(section(line=f"m=other 9 UDP/TLS {'x' * 33}")), "media line is malformed"),
        (sdp(section(line=f"m=other 9 UDP/TLS{' x' * 129}")), "media line is malformed"),
        (sdp(section(line="m=video 9 UDP/TLS/RTP/SAVPF 96 97 x")), "malformed"),
        (sdp(section(line="m=video")), "malformed"),
        (with_attributes("a=rtpmap:96 VP8"), "malformed"),
        (with_attributes("a=rtpmap:96 VP8/90000", "a=fmtp:96 x=\u00e9"), "parameter is malformed"),
        (with_attributes("a=rtpmap:96 VP8/90000", "a=fmtp:96 x=\x00"), "parameter is malformed"),
        (
            with_attributes("a=rtpmap:96 VP8/90000", "a=fmtp:96 x=" + "y" * FMTP_MAX),
            "parameter is malformed",
        ),
        (
            sdp(
                section(
                    line="m=audio 9 UDP/TLS/RTP/SAVPF 96",
                    attributes=("a=rtcp-mux", "a=rtpmap:96 opus/48000/-2"),
                )
            ),
            "channels is out of range",
        ),
        (
            sdp(
                section(
                    line="m=audio 9 UDP/TLS/RTP/SAVPF 96",
                    attributes=("a=rtcp-mux", "a=rtpmap:96 opus/48000/256"),
                )
            ),
            "channels is out of range",
        ),
        ("m=\r\n" * 3, "malformed"),
        ("\x00" * 10 + "\r\nm=", "malformed"),
    ],
    ids=short_id,
)
def test_what_is_wrong_is_named(text, why):
    with pytest.raises(NegotiationError, match=why):
        parse_offer(text)


@pytest.mark.parametrize("algorithm", ["sha-256", "SHA-384", "sha-512"])
def test_fingerprints_of_strong_digests_are_kept(algorithm):
    lines = (*TRANSPORT[:2], f"a=fingerprint:{algorithm} ab:cd", "a=setup:active")
    offer = parse_offer(sdp(section(transport=(*lines, "a=fingerprint:sha-1 ef"))))
    assert offer.fingerprints == ((algorithm.lower(), "AB:CD"),)


@pytest.mark.parametrize(
    ("direction", "sends", "receives"),
    [
        ("a=sendonly", True, False),
        ("a=recvonly", False, True),
        ("a=sendrecv", True, True),
        ("a=inactive", False, False),
        ("a=x", True, True),
    ],
)
def test_directions(direction, sends, receives):
    offer = parse_offer(sdp(section(attributes=(direction, "a=rtcp-mux"))))
    assert (offer.media[0].sends, offer.media[0].receives) == (sends, receives)


def test_a_disabled_section_outside_of_the_bundle_takes_no_part():
    disabled = section("9", line="m=video 0 UDP/TLS/RTP/SAVPF 96 97")
    first, second = parse_offer(sdp(section(), disabled)).media
    assert first.receives
    assert (second.sends, second.receives, second.codecs, second.in_bundle) == (
        False,
        False,
        (),
        False,
    )
    assert second.formats == ("96", "97")


def test_a_data_channel_is_neither_sent_nor_received():
    channel = section("1", line="m=application 9 UDP/DTLS/SCTP webrtc-datachannel", attributes=())
    media = parse_offer(sdp(section(), channel)).media[1]
    assert (media.kind, media.protocol, media.formats) == (
        "application",
        "UDP/DTLS/SCTP",
        ("webrtc-datachannel",),
    )
    assert not media.sends
    assert not media.receives


def test_extension_ids_of_one_byte_headers_are_kept():
    lines = [f"a=extmap:{i} urn:{i}" for i in (0, 1, 14, 15, 255)]
    media = parse_offer(with_attributes(*lines)).media[0]
    assert media.extensions == {"urn:1": 1, "urn:14": 14}


def test_payload_types_that_are_not_described_or_not_listed_are_left_out():
    line = "m=video 9 UDP/TLS/RTP/SAVPF 97 0 96 97"
    attributes = (
        "a=rtcp-mux",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:97 H264/90000",
        "a=rtpmap:98 x/1",
    )
    media = parse_offer(sdp(section(line=line, attributes=attributes))).media[0]
    assert [codec.payload_type for codec in media.codecs] == [97, 96]


def test_flags_and_values_of_a_codec_are_read():
    codec = only_codec(
        with_attributes("a=rtpmap:96 VP8/90000", "a=fmtp:96 a=1; b;c=d=e;useinbandfec=1")
    )
    assert codec.parameters == {"a": "1", "b": "", "c": "d=e", "useinbandfec": "1"}


# Hostile offers.


def check_offer(offer: Offer) -> None:
    """What the rest of the server relies on."""
    assert 1 <= len(offer.media) <= SDP_SECTIONS_MAX
    assert len({media.mid for media in offer.media}) == len(offer.media)
    assert offer.fingerprints
    for media in offer.media:
        assert media.mid.isprintable()
        assert all(0 <= codec.payload_type <= 127 for codec in media.codecs)
        assert all(1 <= number <= 14 for number in media.extensions.values())


def test_hostile_offers_raise_nothing_but_negotiation_errors():
    refused = 0
    for text in mutations(2000, 2, offer_texts(HOSTS + VIEWERS), mutate_sdp):
        try:
            check_offer(parse_offer(text))
        except NegotiationError:
            refused += 1
    assert 600 < refused < 1900
