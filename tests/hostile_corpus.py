"""The corpus of malformed datagrams, made from what honest peers of a connection send."""

import struct
from collections.abc import Iterator
from random import Random

from aioice import stun

from mediasrv.relay import rtcp
from mediasrv.relay.rtp import RtpPacket, write_rtp
from mediasrv.transport.peer import PeerTransport
from tests.hostile import keeping_class, mutate_bytes, mutate_stun, mutations, sign_stun
from tests.live_room import DELTA, KEYFRAME
from tests.loopback import SSRCS, LoopbackClient

COUNT = 2000


def checks(peer: PeerTransport) -> list[bytes]:
    """Unsigned connectivity checks for a session."""
    found = []
    for nominates in (True, False):
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = (
            f"{peer.ice.credentials.fragment}:{peer.ice.remote_fragment}"
        )
        message.attributes["PRIORITY"] = 1853824767
        message.attributes["ICE-CONTROLLING"] = 7
        if nominates:
            message.attributes["USE-CANDIDATE"] = None
        found.append(bytes(message))
    return found


def malformed_checks(peer: PeerTransport, password: str) -> Iterator[bytes]:
    """Broken after they were signed, and broken but signed."""
    key, valid = password.encode(), checks(peer)
    yield from mutations(COUNT // 2, 10, [sign_stun(check, key) for check in valid], as_stun)
    for mutant in mutations(COUNT // 2, 11, valid, as_stun):
        yield sign_stun(mutant, key) if len(mutant) >= 20 else mutant


def dtls_record(kind: int, epoch: int, body: bytes, *, version: int = 0xFEFD) -> bytes:
    return struct.pack("!BHHHIH", kind, version, epoch, 0, 7, len(body)) + body


# RFC 6347 sections 4.2.2 and 4.3.1: a ClientHello without extensions, by hand.
HELLO_BODY = b"\xfe\xfd" + bytes(32) + b"\0\0\0\x04\xc0\x2b\xc0\x09\x01\0"
HELLO = b"\x01" + len(HELLO_BODY).to_bytes(3, "big") + bytes(5)
HELLO += len(HELLO_BODY).to_bytes(3, "big") + HELLO_BODY
DTLS = [
    dtls_record(22, 0, HELLO, version=0xFEFF),
    dtls_record(22, 1, HELLO),
    dtls_record(20, 0, b"\x01"),
    dtls_record(21, 0, b"\x01\x00"),  # close_notify, in plain text
    dtls_record(21, 0, b"\x02\x28"),  # a fatal alert, in plain text
    dtls_record(21, 1, bytes(26)),
    dtls_record(23, 1, bytes(200)),
    dtls_record(
        22, 0, b"\x14" + (12).to_bytes(3, "big") + bytes(5) + (12).to_bytes(3, "big") + bytes(12)
    ),
    dtls_record(25, 0, bytes(40)),
]
RTCP = [
    rtcp.write_receiver_report(1, []) + rtcp.write_pli(1, 2),
    rtcp.write_sender_report(rtcp.SenderReport(SSRCS["video"], 1 << 60, 1, 2, 3))
    + rtcp.write_cname(SSRCS["video"], "cname"),
    rtcp.write_receiver_report(1, [rtcp.ReportBlock(2, 3, 4, 5, 6, 7, 8)])
    + rtcp.write_nack(1, 2, range(1, 60, 3)),
    rtcp.write_receiver_report(1, []) + rtcp.write_remb(1, 10**6, [2, 3]),
    rtcp.write_receiver_report(1, []) + b"\x84\xce\x00\x04" + bytes(16),  # FIR
    rtcp.write_receiver_report(1, []) + b"\x8f\xcd\x00\x04" + bytes(16),  # TWCC
    rtcp.write_receiver_report(1, []) + b"\x81\xcb\x00\x01" + bytes(4),  # BYE
]


def media(number: int) -> list[bytes]:
    """Packets with all that a header may have."""

    def packet(payload: bytes, **extensions: bytes) -> bytes:
        elements = {int(name[1:]): value for name, value in extensions.items()}
        return write_rtp(RtpPacket(number, True, 1, 3000, SSRCS["video"], elements, payload))

    plain = packet(KEYFRAME + bytes(300))
    return [
        plain,
        packet(DELTA + bytes(50), _1=b"\x7f", _2=b"abc", _14=bytes(16)),
        # VP8 with every optional field (RFC 7741 section 4.2).
        packet(b"\x90\xf0\x81\x23\x45\xe7" + b"\x00" + bytes(40)),
        # Contributing sources, padding, and a two-byte-header extension.
        b"\xa3" + plain[1:12] + bytes(12) + plain[12:-1] + b"\x07",
        b"\x90" + plain[1:12] + b"\x10\x00\x00\x02\x01\x03abc\x00\x00\x00" + plain[12:],
        plain[:12],
    ]


RTP_CLASS = range(128, 192)
as_stun = keeping_class(mutate_stun, range(4))
as_dtls = keeping_class(mutate_bytes, range(20, 64))


def as_rtp(rng: Random, valid: bytes) -> bytes:
    """Mutate within the class: RTP version 2, and no packet type of RTCP."""
    mutant = keeping_class(mutate_bytes, RTP_CLASS)(rng, valid)
    if len(mutant) > 1 and 192 <= mutant[1] <= 223:
        return mutant[:1] + bytes([mutant[1] & 0x3F]) + mutant[2:]
    return mutant


def as_rtcp(rng: Random, valid: bytes) -> bytes:
    """Mutate within the class: RTP version 2, and a packet type of RTCP."""
    mutant = keeping_class(mutate_bytes, RTP_CLASS)(rng, valid)
    if len(mutant) > 1 and not 192 <= mutant[1] <= 223:
        return mutant[:1] + bytes([192 + mutant[1] % 32]) + mutant[2:]
    return mutant


def corpus(
    kind: str, client: LoopbackClient, peer: PeerTransport, password: str
) -> Iterator[bytes]:
    """The malformed datagrams of one class, for one connection."""
    srtp = client.transport._tx_srtp
    number = next(iter(client.payload_types.values()))
    if kind == "stun":
        return malformed_checks(peer, password)
    if kind == "dtls":
        return mutations(COUNT, 12, DTLS, as_dtls)
    if kind == "rtp":
        packets = [srtp.protect(packet) for packet in media(number)]
        return mutations(COUNT, 13, packets, as_rtp)
    return mutations(COUNT, 14, [srtp.protect_rtcp(report) for report in RTCP], as_rtcp)


KINDS = ("stun", "dtls", "rtp", "rtcp")
