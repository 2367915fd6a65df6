"""Tell what a datagram carries from its first byte (RFC 7983, section 7)."""

from enum import Enum

# The largest datagram a browser or OBS sends stays under the 1500-byte Ethernet MTU. libsrtp's
# Python binding works in a 1500-byte buffer, and OpenSSL's records never need more.
DATAGRAM_MAX_BYTES = 1500
DATAGRAM_MIN_BYTES = 8


class DatagramKind(Enum):
    """What may arrive on the shared port."""

    STUN = "stun"
    DTLS = "dtls"
    RTP = "rtp"
    RTCP = "rtcp"
    REFUSED = "refused"


def classify(datagram: bytes) -> DatagramKind:
    """Name the protocol of ``datagram``; anything impossible is ``REFUSED``.

    RTP and RTCP share a range of first bytes and are told apart by the packet type in the
    second one: 192..223 is RTCP (RFC 5761, section 4).
    """
    size = len(datagram)
    if size < DATAGRAM_MIN_BYTES or size > DATAGRAM_MAX_BYTES:
        return DatagramKind.REFUSED
    first = datagram[0]
    if 128 <= first <= 191:
        return DatagramKind.RTCP if 192 <= datagram[1] <= 223 else DatagramKind.RTP
    if 20 <= first <= 63:
        return DatagramKind.DTLS
    if first <= 3:
        return DatagramKind.STUN
    return DatagramKind.REFUSED
