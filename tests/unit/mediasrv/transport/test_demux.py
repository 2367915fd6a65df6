import pytest

from mediasrv.transport.demux import (
    DATAGRAM_MAX_BYTES,
    DATAGRAM_MIN_BYTES,
    DatagramKind,
    classify,
)

REST = bytes(30)


def expected(first: int) -> DatagramKind:
    """RFC 7983 section 7, without the protocols that nobody here speaks (ZRTP, TURN, QUIC)."""
    if first <= 3:
        return DatagramKind.STUN
    if 20 <= first <= 63:
        return DatagramKind.DTLS
    if 128 <= first <= 191:
        return DatagramKind.RTP
    return DatagramKind.REFUSED


def test_the_first_byte_tells_the_protocol():
    for first in range(256):
        assert classify(bytes([first]) + REST) is expected(first), first


def test_the_second_byte_tells_rtcp_from_rtp():
    for first in (128, 129, 144, 160, 191):
        for second in range(256):
            kind = DatagramKind.RTCP if 192 <= second <= 223 else DatagramKind.RTP
            assert classify(bytes([first, second]) + REST) is kind, (first, second)


def test_the_second_byte_means_nothing_elsewhere():
    assert classify(bytes([22, 200]) + REST) is DatagramKind.DTLS
    assert classify(bytes([0, 200]) + REST) is DatagramKind.STUN


@pytest.mark.parametrize("first", [0, 22, 128])
@pytest.mark.parametrize("size", range(DATAGRAM_MIN_BYTES))
def test_what_is_shorter_than_any_header_is_refused(first, size):
    assert classify(bytes([first] * size)) is DatagramKind.REFUSED


@pytest.mark.parametrize("first", [0, 22, 128])
def test_sizes_at_the_bounds(first):
    assert classify(bytes([first]) * DATAGRAM_MIN_BYTES) is expected(first)
    assert classify(bytes([first]) * DATAGRAM_MAX_BYTES) is expected(first)
    assert classify(bytes([first]) * (DATAGRAM_MAX_BYTES + 1)) is DatagramKind.REFUSED
