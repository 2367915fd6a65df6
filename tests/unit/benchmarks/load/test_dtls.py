import asyncio

import pylibsrtp
import pytest

from benchmarks.load.dtls import PROFILES, DtlsClient, DtlsFailed, Identity
from mediasrv.transport.aiortc_seam import DtlsServer, SrtpSession, make_certificate

RTP = bytes([0x80, 96, 0, 1]) + bytes(4) + b"\0\0\0\7" + b"payload"


async def shake_hands(identity: Identity) -> tuple[DtlsClient, SrtpSession]:
    certificate, _ = make_certificate()
    client = DtlsClient(identity)

    def to_client(datagram):
        answer = client.feed(datagram)
        if answer:
            server.feed(answer)

    server = DtlsServer(certificate, to_client)
    handshake = asyncio.create_task(server.handshake([("sha-256", identity.fingerprint)]))
    server.feed(client.begin())
    session = await handshake
    await server.close()
    return client, session


@pytest.mark.parametrize("profile", PROFILES)
async def test_both_sides_get_the_same_keys(profile):
    client, server = await shake_hands(Identity((profile,)))
    inbound, outbound = client.srtp()
    assert client.profile is profile
    assert server.unprotect(outbound.protect(RTP)) == RTP
    report = bytes([0x80, 201, 0, 1, 0, 0, 0, 7])
    protected = server.protect_rtcp(report)
    assert protected is not None
    assert inbound.unprotect_rtcp(protected) == report
    with pytest.raises(pylibsrtp.Error):
        inbound.unprotect(outbound.protect(RTP))


async def test_the_server_chooses_the_profile_and_browsers_offer_all():
    client, _ = await shake_hands(Identity())
    assert client.profile is not None
    assert client.profile.name == b"SRTP_AEAD_AES_128_GCM"


def test_there_are_no_keys_before_the_handshake():
    with pytest.raises(DtlsFailed):
        DtlsClient(Identity()).srtp()
