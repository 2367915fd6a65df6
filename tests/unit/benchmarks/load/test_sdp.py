import pytest

from benchmarks.load.sdp import LocalSide, read_remote, write_answer, write_offer
from mediasrv.negotiation import negotiate_host, negotiate_viewer
from mediasrv.transport.offer import parse_offer

LOCAL = LocalSide("abcd", "0123456789abcdef0123456789", "AB:" * 31 + "AB", ("192.0.2.7", 5000))

# The parts of a Janus offer that matter.
OFFER = """v=0\r
a=group:BUNDLE a v\r
a=ice-lite\r
m=audio 9 UDP/TLS/RTP/SAVPF 111\r
a=mid:a\r
a=sendonly\r
a=ice-ufrag:Aa1+\r
a=ice-pwd:password\r
a=rtpmap:111 opus/48000/2\r
a=ssrc:77 cname:janus\r
a=candidate:1 1 udp 2015363327 fd00::2 40000 typ host\r
a=candidate:2 1 udp 2015363327 127.0.0.1 40001 typ host\r
a=candidate:3 1 udp 2015363327 192.0.2.2 40002 typ host\r
a=candidate:4 1 tcp 2015363327 192.0.2.2 9 typ host\r
m=video 9 UDP/TLS/RTP/SAVPF 96\r
a=mid:v\r
a=rtpmap:96 VP8/90000\r
a=ssrc:78 cname:janus\r
"""


def test_our_server_accepts_the_viewers_offer():
    session = negotiate_viewer(parse_offer(write_offer(LOCAL, "recvonly")), "vp8")
    assert [track.kind for track in session.tracks] == ["audio", "video"]
    assert all(accepted.extensions for accepted in session.accepted.values())


def test_our_server_accepts_the_hosts_offer():
    offer = write_offer(LOCAL, "sendonly", {"audio": 1, "video": 2})
    tracks = negotiate_host(parse_offer(offer)).tracks
    assert {t.kind: t.payload_type for t in tracks} == {"audio": 111, "video": 96}
    assert "a=ssrc:2 cname:load" in offer


def test_an_offer_is_read_for_what_a_light_peer_needs():
    remote = read_remote(OFFER)
    assert (remote.fragment, remote.password) == ("Aa1+", "password")
    assert remote.addresses == (("127.0.0.1", 40001), ("192.0.2.2", 40002))
    assert remote.best_address() == ("192.0.2.2", 40002)
    assert remote.ssrcs == {"audio": 77, "video": 78}


def test_loopback_will_do_when_there_is_nothing_else():
    sdp = "\r\n".join(line for line in OFFER.split("\r\n") if "192.0.2.2" not in line)
    assert read_remote(sdp).best_address() == ("127.0.0.1", 40001)


def test_a_description_without_a_candidate_is_refused():
    with pytest.raises(ValueError, match="no IPv4 candidate"):
        read_remote("a=ice-ufrag:a\r\na=ice-pwd:b\r\n")


def test_an_answer_keeps_mids_and_payload_types_and_is_the_dtls_client():
    answer = write_answer(LOCAL, OFFER)
    assert "a=group:BUNDLE a v" in answer
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" in answer
    assert answer.count("a=setup:active") == 2
    assert answer.count("a=recvonly") == 2
    assert "extmap" not in answer
