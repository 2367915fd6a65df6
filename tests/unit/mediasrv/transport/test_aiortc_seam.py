"""What the seam relies on in aiortc, aioice and pylibsrtp; moves when upstream moves."""

import asyncio
import inspect
import struct
import weakref
from collections.abc import Callable
from importlib.metadata import version

import pylibsrtp
import pytest
from aioice import Connection
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
)
from OpenSSL import SSL
from pylibsrtp import Policy, Session, _binding

from mediasrv.errors import NegotiationError
from mediasrv.relay.rtcp import write_pli, write_receiver_report
from mediasrv.transport.aiortc_seam import (
    DTLS_QUEUE_MAX,
    SRTP_OVERHEAD_BYTES,
    SRTP_STREAMS_MAX,
    DtlsServer,
    SharedBuffer,
    SrtpSession,
    make_certificate,
)
from mediasrv.transport.demux import DATAGRAM_MAX_BYTES
from tests.hostile import keeping_class, mutate_bytes, mutations
from tests.unit.mediasrv.transport.peers import Pipe, greeting

PROFILES = {profile.openssl_profile: profile for profile in SRTP_PROFILES}
CERTIFICATE, FINGERPRINT = make_certificate()
CLIENT_CERTIFICATE, CLIENT_FINGERPRINT = make_certificate()
RTCP = write_receiver_report(1, []) + write_pli(1, 2)


def rtp(sequence: int, ssrc: int = 1, payload: bytes = b"payload") -> bytes:
    return struct.pack("!BBHII", 0x80, 96, sequence, 3000 * sequence, ssrc) + payload


# Pins and private names.


@pytest.mark.parametrize(
    ("package", "pinned"), [("aiortc", "1.16.0"), ("aioice", "0.13.0"), ("pylibsrtp", "1.0.0")]
)
def test_private_names_belong_to_these_versions(package, pinned):
    assert version(package) == pinned


def parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_private_names_of_aiortc_are_where_they_were():
    assert parameters(RTCDtlsTransport._set_role) == ["self", "role"]
    assert parameters(RTCDtlsTransport._handle_rtp_data) == ["self", "data", "arrival_time_ms"]
    assert parameters(RTCDtlsTransport._send_rtp) == ["self", "data"]
    assert parameters(RTCDtlsTransport.start) == ["self", "remoteParameters"]
    assert parameters(RTCRtpSender._send_keyframe) == ["self"]
    assert parameters(RTCRtpReceiver.receive) == ["self", "parameters"]
    assert parameters(Connection.get_component_candidates)[:3] == ["self", "component", "addresses"]
    for method in (
        RTCDtlsTransport._handle_rtp_data,
        RTCDtlsTransport._send_rtp,
        RTCRtpReceiver.receive,
        Connection.get_component_candidates,
    ):
        assert inspect.iscoroutinefunction(method)
    assert not inspect.iscoroutinefunction(RTCRtpSender._send_keyframe)


async def test_a_new_transport_has_its_private_attributes():
    transport = RTCDtlsTransport(Pipe(), [CERTIFICATE])  # type: ignore[arg-type]
    for name in ("_task", "_ssl", "_rx_srtp", "_tx_srtp"):
        assert getattr(transport, name) is None
    assert transport.state == "new"


async def test_a_connection_of_the_client_has_its_private_attributes():
    connection = RTCPeerConnection()
    transport = connection.addTransceiver("video").sender.transport
    assert isinstance(transport.transport.iceGatherer._connection, Connection)
    await connection.close()


def test_private_names_of_pylibsrtp_are_where_they_were():
    session = Session()
    assert _binding.ffi.typeof(session._srtp[0]).kind == "pointer"
    # Status, context, packet, length: what protect_in_place passes.
    kind = _binding.ffi.typeof(_binding.lib.srtp_protect)
    assert [str(argument.cname) for argument in kind.args][1:] == ["void *", "int *"]
    assert _binding.lib.srtp_err_status_ok == 0


def test_each_profile_of_aiortc_has_a_known_overhead():
    assert set(SRTP_OVERHEAD_BYTES) == set(PROFILES)


def test_certificates_carry_a_strong_fingerprint():
    algorithm, value = FINGERPRINT
    assert algorithm == "sha-256"
    assert len(value.split(":")) == 32


def test_a_certificate_without_one_is_an_error(monkeypatch):
    weak = [RTCDtlsFingerprint("sha-1", "AB")]
    monkeypatch.setattr(RTCCertificate, "getFingerprints", lambda _: weak)
    with pytest.raises(RuntimeError, match="SHA-256"):
        make_certificate()


# SRTP.


def session(profile: SRTPProtectionProfile, direction: int) -> Session:
    key = bytes(range(profile.key_length + profile.salt_length))
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile.libsrtp_profile)
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return Session(policy)


def pair(profile: SRTPProtectionProfile = SRTP_PROFILES[0]) -> tuple[SrtpSession, Session]:
    """Return our end, and the sending half of a peer with the same keys."""
    ours = SrtpSession(
        session(profile, Policy.SSRC_ANY_INBOUND),
        session(profile, Policy.SSRC_ANY_OUTBOUND),
        SRTP_OVERHEAD_BYTES[profile.openssl_profile],
    )
    return ours, session(profile, Policy.SSRC_ANY_OUTBOUND)


@pytest.mark.parametrize("name", PROFILES)
def test_protection_in_place_is_that_of_pylibsrtp_bit_for_bit(name):
    ours, oracle = pair(PROFILES[name])
    packets = [rtp(i, 1 + i % 2, bytes([i]) * size) for i, size in enumerate((0, 1, 99, 1300, 7))]
    packets.append(bytes.fromhex("90e0ffff") + bytes(7) + b"\x01\xbe\xde\x00\x01\x10\xaa\0\0last")
    buffer, spans, offset = SharedBuffer(4096), [], 3
    for packet in packets:
        buffer.memory[offset : offset + len(packet)] = packet
        spans.append((offset, len(packet)))
        offset += len(packet) + ours.overhead_bytes
    before = bytes(buffer.memory)
    assert ours.protect_in_place(buffer, spans)
    for (start, size), packet in zip(spans, packets, strict=True):
        end = start + size + ours.overhead_bytes
        assert bytes(buffer.view[start:end]) == oracle.protect(packet)
    assert buffer.memory[:3] == before[:3]
    assert buffer.memory[offset:] == before[offset:]


@pytest.mark.parametrize("name", PROFILES)
def test_packets_of_the_peer_are_decrypted_once(name):
    ours, theirs = pair(PROFILES[name])
    media, report = theirs.protect(rtp(1)), theirs.protect_rtcp(RTCP)
    assert ours.unprotect(media) == rtp(1)
    assert ours.unprotect_rtcp(report) == RTCP
    # A replay is refused.
    assert ours.unprotect(media) is None
    assert ours.unprotect_rtcp(report) is None


def test_reports_are_encrypted_as_pylibsrtp_does():
    ours, theirs = pair()
    assert ours.protect_rtcp(RTCP) == theirs.protect_rtcp(RTCP)


def test_a_report_that_is_too_long_is_refused():
    ours, _ = pair()
    assert ours.protect_rtcp(RTCP + bytes(DATAGRAM_MAX_BYTES)) is None
    assert ours.protect_rtcp(b"\x80") is None
    assert ours.protect_rtcp(RTCP) is not None


@pytest.mark.parametrize("name", PROFILES)
def test_garbage_is_refused(name):
    ours, theirs = pair(PROFILES[name])
    media, report = theirs.protect(rtp(1)), theirs.protect_rtcp(RTCP)
    for mutant in mutations(1500, 4, [media, report], mutate_bytes):
        if mutant not in (media, report):
            assert ours.unprotect(mutant) is None
            assert ours.unprotect_rtcp(mutant) is None
    too_long = media + bytes(DATAGRAM_MAX_BYTES)
    assert ours.unprotect(too_long) is None
    assert ours.unprotect_rtcp(too_long) is None
    for size in range(len(media)):
        assert ours.unprotect(media[:size]) is None
        assert ours.unprotect_rtcp(report[:size]) is None
    assert ours.unprotect(media) == rtp(1)
    assert ours.unprotect_rtcp(report) == RTCP


def test_a_peer_has_so_many_streams_and_no_more():
    ours, theirs = pair()
    for ssrc in range(SRTP_STREAMS_MAX - 1):
        assert ours.unprotect(theirs.protect(rtp(1, ssrc))) is not None
    report = write_receiver_report(0xFFFFFFFF, [])
    assert ours.unprotect_rtcp(theirs.protect_rtcp(report)) == report
    assert ours.unprotect(theirs.protect(rtp(1, 5000))) is None
    assert ours.unprotect_rtcp(theirs.protect_rtcp(write_receiver_report(6000, []))) is None
    # Those that were there go on.
    assert ours.unprotect(theirs.protect(rtp(2, 0))) == rtp(2, 0)
    assert ours.unprotect_rtcp(theirs.protect_rtcp(report)) == report


def test_forged_streams_take_no_place():
    ours, theirs = pair()
    for ssrc in range(10 * SRTP_STREAMS_MAX):
        assert ours.unprotect(rtp(1, ssrc, bytes(40))) is None
    assert ours.unprotect(theirs.protect(rtp(1))) == rtp(1)


def test_nothing_is_written_outside_of_the_buffer():
    ours, _ = pair()
    buffer = SharedBuffer(100)
    buffer.memory[:] = (rtp(1) * 9)[:100]
    before = bytes(buffer.memory)
    fitting = 100 - ours.overhead_bytes
    for span in (
        (0, fitting + 1),
        (fitting - 11, 12),
        (-1, 20),
        (-4000, 20),
        (100, 12),
        (0, 2**31),
    ):
        assert not ours.protect_in_place(buffer, [span])
    assert bytes(buffer.memory) == before
    assert ours.protect_in_place(buffer, [(0, fitting)])


@pytest.mark.parametrize("size", [-1, 0, 11])
def test_what_is_no_packet_is_not_protected(size):
    ours, _ = pair()
    assert not ours.protect_in_place(SharedBuffer(100), [(0, size)])


def test_packets_before_a_refused_one_are_valid():
    ours, theirs = pair()
    buffer = SharedBuffer(200)
    buffer.memory[: len(rtp(1))] = rtp(1)
    assert not ours.protect_in_place(buffer, [(0, len(rtp(1))), (100, 3)])
    assert bytes(buffer.view[: len(rtp(1)) + ours.overhead_bytes]) == theirs.protect(rtp(1))


def test_a_shared_buffer_can_be_written_but_not_resized():
    buffer = SharedBuffer(16)
    buffer.view[3:5] = b"ab"
    assert buffer.memory[3:5] == b"ab"
    assert _binding.ffi.buffer(buffer.address, 16)[3:5] == b"ab"
    with pytest.raises(BufferError):
        buffer.memory += b"x"


# DTLS.


def nowhere(datagram: bytes) -> None:
    del datagram


class DtlsPair:
    """Our server and aiortc's client, each other's datagrams in memory."""

    def __init__(self) -> None:
        self.pipe = Pipe()
        self.client = RTCDtlsTransport(self.pipe, [CLIENT_CERTIFICATE])  # type: ignore[arg-type]
        self.client._set_role("client")
        self.server = DtlsServer(CERTIFICATE, self.pipe.arrived.put_nowait)
        self.pipe.send = self.server.feed  # type: ignore[assignment]

    async def handshake(self, expected: tuple[tuple[str, str], ...] = (CLIENT_FINGERPRINT,)):
        trusted = RTCDtlsParameters([RTCDtlsFingerprint(*FINGERPRINT)])
        async with asyncio.timeout(10):
            async with asyncio.TaskGroup() as group:
                group.create_task(self.client.start(trusted))
                session = group.create_task(catching(self.server.handshake(expected)))
        return session.result()

    async def close(self) -> None:
        await self.server.close()
        reading = self.client._task
        await self.client.stop()
        if reading is not None:
            await asyncio.gather(reading, return_exceptions=True)


async def catching(handshake):
    """Turn a failure into a result, so that it does not cancel the client."""
    try:
        return await handshake
    except NegotiationError as exc:
        return exc


@pytest.fixture
async def dtls():
    made = DtlsPair()
    yield made
    await made.close()


@pytest.mark.parametrize("name", PROFILES)
async def test_a_handshake_with_aiortc_gives_both_sides_the_same_keys(dtls, name):
    dtls.client._srtp_profiles = [PROFILES[name]]
    ours = await dtls.handshake()
    assert ours.overhead_bytes == SRTP_OVERHEAD_BYTES[name]
    theirs = dtls.client
    assert ours.unprotect(theirs._tx_srtp.protect(rtp(1))) == rtp(1)
    assert ours.unprotect_rtcp(theirs._tx_srtp.protect_rtcp(RTCP)) == RTCP
    assert theirs._rx_srtp.unprotect_rtcp(ours.protect_rtcp(RTCP)) == RTCP
    buffer = SharedBuffer(100)
    buffer.memory[: len(rtp(2))] = rtp(2)
    assert ours.protect_in_place(buffer, [(0, len(rtp(2)))])
    end = len(rtp(2)) + ours.overhead_bytes
    assert theirs._rx_srtp.unprotect(bytes(buffer.view[:end])) == rtp(2)


@pytest.mark.parametrize(
    "expected",
    [
        (("sha-256", "00:" * 31 + "00"),),
        (FINGERPRINT,),
        (CLIENT_FINGERPRINT, FINGERPRINT),
        (("sha-256", ""),),
        (("md5", CLIENT_FINGERPRINT[1]),),
    ],
)
async def test_somebody_else_gets_no_keys(dtls, expected):
    found = await dtls.handshake(expected)
    assert isinstance(found, NegotiationError)
    assert dtls.server._transport._rx_srtp is None
    async with asyncio.timeout(1):
        await dtls.server.wait_closed()


async def test_a_peer_without_a_common_srtp_profile_gets_no_keys(dtls):
    unknown = SRTPProtectionProfile(0, b"SRTP_AES128_CM_SHA1_32", 16, 14)
    dtls.client._srtp_profiles = [unknown]
    assert isinstance(await dtls.handshake(), NegotiationError)


async def test_errors_of_other_libraries_are_translated(dtls, monkeypatch):
    async def start(self, remoteParameters):  # noqa: N803 (upstream's name)
        raise SSL.Error([("", "", "read timeout expired")])

    monkeypatch.setattr(RTCDtlsTransport, "start", start)
    with pytest.raises(NegotiationError, match="handshake failed"):
        await dtls.server.handshake([CLIENT_FINGERPRINT])


async def test_the_end_of_the_peer_is_noticed(dtls):
    await dtls.handshake()
    waiting = asyncio.create_task(dtls.server.wait_closed())
    await asyncio.sleep(0)
    assert not waiting.done()
    await dtls.client.stop()
    async with asyncio.timeout(5):
        await waiting


async def test_the_peer_is_told_of_our_end(dtls):
    await dtls.handshake()
    assert dtls.client._task is not None
    await dtls.server.close()
    async with asyncio.timeout(5):
        await asyncio.wait([dtls.client._task])
    assert dtls.client.state == "closed"


async def test_closing_twice_or_before_the_handshake_does_nothing(dtls):
    await DtlsServer(CERTIFICATE, nowhere).close()
    await dtls.handshake()
    await dtls.server.close()
    await dtls.server.close()


async def test_a_flood_fills_a_bounded_queue():
    server = DtlsServer(CERTIFICATE, nowhere)
    taken = [server.feed(b"\x16" * 20) for _ in range(DTLS_QUEUE_MAX + 5)]
    assert taken == [True] * DTLS_QUEUE_MAX + [False] * 5


async def test_an_empty_datagram_ends_the_handshake_and_nothing_else(dtls):
    # The endpoint lets none through; should one come, it is no crash of aiortc's.
    dtls.server.feed(b"")
    with pytest.raises(NegotiationError):
        await dtls.server.handshake([CLIENT_FINGERPRINT])


async def test_a_handshake_ends_even_when_its_cancellation_is_swallowed():
    # What Python 3.11 does when a datagram arrives in the same turn of the loop.
    server = DtlsServer(CERTIFICATE, nowhere)
    server.feed(await greeting())
    handshake = asyncio.create_task(catching(server.handshake([CLIENT_FINGERPRINT])))
    for _ in range(5):
        await asyncio.sleep(0)
    server.feed(b"\x16" * 20)
    await asyncio.sleep(0)
    handshake.cancel()
    server.abandon()
    async with asyncio.timeout(5):
        await asyncio.wait([handshake])
        await server.close()


async def test_hostile_handshakes_raise_nothing_but_negotiation_errors():
    hello = await greeting()
    assert hello[0] == 22
    failed = 0
    for mutant in mutations(300, 5, [hello], keeping_class(mutate_bytes, range(20, 64))):
        server = DtlsServer(CERTIFICATE, nowhere)
        handshake = asyncio.create_task(catching(server.handshake([CLIENT_FINGERPRINT])))
        for datagram in (mutant, hello, mutant):
            server.feed(datagram or b"\x16")
        for _ in range(8):
            await asyncio.sleep(0)
        failed += handshake.done()
        server.abandon()
        assert isinstance(await handshake, NegotiationError)
        await server.close()
    assert 0 < failed < 300


def test_pylibsrtp_errors_are_what_the_seam_catches():
    with pytest.raises(pylibsrtp.Error):
        session(SRTP_PROFILES[0], Policy.SSRC_ANY_INBOUND).unprotect(bytes(40))
    with pytest.raises(ValueError, match="too long"):
        session(SRTP_PROFILES[0], Policy.SSRC_ANY_INBOUND).unprotect(bytes(1501))


async def test_a_retired_server_still_has_its_keys_and_says_goodbye(dtls):
    session = await dtls.handshake()
    assert not dtls.server.is_retired
    dtls.server.retire()
    dtls.server.retire()
    assert dtls.server.is_retired
    assert session.unprotect(dtls.client._tx_srtp.protect(rtp(1))) == rtp(1)
    ended = asyncio.Event()
    dtls.client.on("statechange", ended.set)
    await dtls.server.close()
    await dtls.server.close()
    async with asyncio.timeout(5):
        await ended.wait()
    assert dtls.client.state == "closed"


async def test_a_retired_server_holds_nothing_of_openssl(dtls):
    await dtls.handshake()
    connection = weakref.ref(dtls.server._transport._ssl)
    dtls.server.retire()
    assert connection() is None


async def test_nothing_is_retired_before_the_handshake():
    server = DtlsServer(CERTIFICATE, nowhere)
    server.retire()
    assert not server.is_retired
    await server.close()


async def test_who_has_closed_first_gets_no_goodbye(dtls):
    await dtls.handshake()
    await dtls.client.stop()
    async with asyncio.timeout(5):
        await dtls.server.wait_closed()
    dtls.server.retire()
    assert not dtls.server.is_retired
