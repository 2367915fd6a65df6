"""Tests of addresses and answers; the connection itself is tested with the clients."""

import pytest

from mediasrv.client.link import websocket_url
from mediasrv.client.path import is_loopback, negotiated_codecs, with_candidates_everywhere

ANSWER = """v=0\r
s=-\r
m=video 9 UDP/TLS/RTP/SAVPF 97 98\r
a=rtpmap:97 VP8/90000\r
a=rtpmap:98 rtx/90000\r
a=fmtp:98 apt=97\r
a=candidate:1 1 udp 2130706431 192.0.2.2 8080 typ host\r
a=end-of-candidates\r
m=audio 9 UDP/TLS/RTP/SAVPF 96\r
a=rtpmap:96 opus/48000/2\r
"""


@pytest.mark.parametrize(
    ("url", "websocket"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws"),
        ("https://media.example/", "wss://media.example/ws"),
        ("https://media.example/live", "wss://media.example/live/ws"),
        ("ws://[::1]:8080/ws", "ws://[::1]:8080/ws"),
        ("media.example:8080", "ws://media.example:8080/ws"),
    ],
)
def test_the_websocket_is_found_from_the_servers_address(url, websocket):
    assert websocket_url(url) == websocket


@pytest.mark.parametrize("url", ["", "ftp://media.example", "http://"])
def test_what_is_no_server_address_is_refused(url):
    with pytest.raises(ValueError, match="no address"):
        websocket_url(url)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:8080", True),
        ("http://127.8.0.1", True),
        ("ws://[::1]:8080", True),
        ("127.0.0.1:8080", True),
        ("http://192.0.2.2:8080", False),
        ("https://media.example", False),
        ("", False),
    ],
)
def test_a_server_on_this_machine_is_recognised(url, loopback):
    assert is_loopback(url) is loopback


def test_an_answer_tells_what_each_payload_type_is():
    kinds, repeats = negotiated_codecs(ANSWER)
    assert kinds == {97: ("video", "vp8"), 96: ("audio", "opus")}
    assert repeats == {98: 97}


def test_an_empty_answer_tells_nothing():
    assert negotiated_codecs("") == ({}, {})


def test_candidates_reach_every_section_of_a_bundle():
    everywhere = with_candidates_everywhere(ANSWER)
    assert everywhere.count("a=candidate:1 ") == 2
    assert everywhere.count("a=end-of-candidates\r\n") == 2
    assert everywhere.startswith(ANSWER)


@pytest.mark.parametrize("answer", ["", "v=0\r\ns=-\r\n", with_candidates_everywhere(ANSWER)])
def test_an_answer_that_needs_no_candidates_stays_as_it_is(answer):
    assert with_candidates_everywhere(answer) == answer
