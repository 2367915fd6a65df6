"""The only module that touches private names of aiortc and pylibsrtp.

Both are pinned to exact versions; ``tests/unit/mediasrv/transport/test_aiortc_seam.py`` fails when
one of the names moves. Server side: DTLS over our own datagrams, and SRTP in place in our own
buffers. The client side of the seam is at the end.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
import pylibsrtp
from aioice.candidate import Candidate
from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
)
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from OpenSSL import SSL
from pylibsrtp import _binding

from mediasrv.errors import NegotiationError

# A handshake needs a few flights of at most a handful of records; a peer that floods DTLS loses
# its own datagrams, never memory.
DTLS_QUEUE_MAX = 32

# One alert record, with room to spare.
GOODBYE_MAX_BYTES = 1500

# A host sends two or three streams and changes an SSRC now and then. libsrtp keeps each one for
# ever, in a list that it searches for every packet: 20,000 of them cost 180 us a packet.
SRTP_STREAMS_MAX = 64

# RFC 7714 section 12 and RFC 3711 section 5.2: what each profile adds to a packet.
SRTP_OVERHEAD_BYTES = {
    b"SRTP_AEAD_AES_256_GCM": 16,
    b"SRTP_AEAD_AES_128_GCM": 16,
    b"SRTP_AES128_CM_SHA1_80": 10,
}

# What aioice leaves out when it gathers.
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")


# SSL_MODE_RELEASE_BUFFERS of openssl/ssl.h: idle connections keep no record buffers.
_MODE_RELEASE_BUFFERS = 0x10

# Objects of cffi, which has no types for them.
SrtpContext: TypeAlias = Any
Pointer: TypeAlias = Any

# int srtp_protect(context, packet, length): encrypts in place and writes the new length; 0 if well.
srtp_protect: Callable[[SrtpContext, Pointer, Pointer], int] = _binding.lib.srtp_protect


class Lengths:
    """Integers that :data:`srtp_protect` reads and writes the lengths of packets in.

    Attributes:
        capacity: How many there are.
        numbers: All of them, writable.
        pointers: To each one.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        # The pointers do not keep the memory; this object does.
        self._memory = _binding.ffi.new("int[]", capacity)
        self.numbers = np.frombuffer(_binding.ffi.buffer(self._memory), np.intc)
        self.pointers: list[Pointer] = [self._memory + i for i in range(capacity)]


class _DatagramPipe:
    """Stands where RTCDtlsTransport expects an RTCIceTransport."""

    role = "controlled"
    state = "completed"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue(DTLS_QUEUE_MAX)
        self._has_ended = False
        self.transmit = send

    def put(self, datagram: bytes) -> bool:
        try:
            self._arrived.put_nowait(datagram)
        except asyncio.QueueFull:
            return False
        return True

    def end(self) -> None:
        self._has_ended = True
        self.put(b"")  # wakes the reader; behind a full queue there is none asleep

    async def _recv(self) -> bytes:
        datagram = b"" if self._has_ended else await self._arrived.get()
        if self._has_ended or not datagram:
            raise ConnectionError
        return datagram

    async def _send(self, data: bytes) -> None:
        self.transmit(data)


class SrtpSession:
    """The two SRTP contexts of one peer.

    Attributes:
        overhead_bytes: What protection adds to every RTP packet.
        outbound_context: Of outgoing packets, for :data:`srtp_protect`; dies with this object.
    """

    def __init__(self, inbound: pylibsrtp.Session, outbound: pylibsrtp.Session, overhead: int):
        self._inbound = inbound
        self._outbound = outbound
        self.outbound_context: SrtpContext = outbound._srtp[0]
        self._length = _binding.ffi.new("int *")
        self._streams: set[bytes] = set()
        self.overhead_bytes = overhead

    def unprotect(self, packet: bytes) -> bytes | None:
        """Decrypt one RTP packet; None when it is forged, replayed or malformed.

        Packets of more than SRTP_STREAMS_MAX streams are refused too.
        """
        return self._unprotect(self._inbound.unprotect, packet, packet[8:12])

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """Decrypt one RTCP packet; None in the same cases."""
        return self._unprotect(self._inbound.unprotect_rtcp, packet, packet[4:8])

    def _unprotect(
        self, decrypt: Callable[[bytes], bytes], packet: bytes, ssrc: bytes
    ) -> bytes | None:
        is_new = ssrc not in self._streams
        if is_new and len(self._streams) >= SRTP_STREAMS_MAX:
            return None
        try:
            plain = decrypt(packet)
        except (pylibsrtp.Error, ValueError):
            return None
        if is_new:
            self._streams.add(ssrc)
        return plain

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """Encrypt one compound RTCP packet; None when libsrtp refuses it, for its length say."""
        try:
            return bytes(self._outbound.protect_rtcp(packet))
        except (pylibsrtp.Error, ValueError):
            return None

    def protect_in_place(self, buffer: "SharedBuffer", spans: Iterable[tuple[int, int]]) -> bool:
        """Encrypt RTP packets where they lie; each grows by ``overhead_bytes`` in place.

        Args:
            buffer: Holds the packets, with room for the overhead after each.
            spans: Offset and plaintext length of every packet.

        Returns:
            False when a packet does not fit into the buffer or libsrtp refused it; the packets
            before it are protected.
        """
        protect, context = _binding.lib.srtp_protect, self.outbound_context
        base, length = buffer.address, self._length
        room = len(buffer.memory) - self.overhead_bytes
        for offset, size in spans:
            # libsrtp writes behind the packet without asking how much memory there is.
            if offset < 0 or offset + size > room:
                return False
            length[0] = size
            if protect(context, base + offset, length):
                return False
        return True


class SharedBuffer:
    """Memory that packets are laid out in, with its address for libsrtp.

    Attributes:
        memory: The bytes, writable.
        view: A view of the same bytes, for slices without copies.
        array: The same bytes for numpy.
        address: A C pointer to the first byte.
        address_number: The same as a number.
    """

    def __init__(self, size_bytes: int) -> None:
        self.memory = bytearray(size_bytes)
        self.view = memoryview(self.memory)
        self.array = np.frombuffer(self.memory, np.uint8)
        # The array object keeps the memory exported; pointer arithmetic needs a plain pointer.
        self._exported = _binding.ffi.from_buffer("unsigned char[]", self.memory)
        self.address: Pointer = self._exported + 0
        self.address_number = int(_binding.ffi.cast("uintptr_t", self.address))


def _send_nothing(datagram: bytes) -> None:
    """Stand in for the peer once it is gone."""


class DtlsServer:
    """The DTLS server side of one peer (RFC 5763), handshake first, then only alerts.

    Attributes:
        is_retired: True after :meth:`retire`.
    """

    def __init__(self, certificate: RTCCertificate, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._pipe = _DatagramPipe(send)
        self._transport: RTCDtlsTransport | None = RTCDtlsTransport(
            self._pipe,  # type: ignore[arg-type]
            [certificate],
        )
        self._transport._set_role("server")
        self._transport.on("statechange", self._state_changed)
        self._closed = asyncio.Event()
        self._goodbye = b""

    def feed(self, datagram: bytes) -> bool:
        """Take one DTLS datagram; False when the queue is full and it was dropped."""
        return self._pipe.put(datagram)

    async def handshake(self, fingerprints: Iterable[tuple[str, str]]) -> SrtpSession:
        """Complete the handshake with a peer whose certificate has all of ``fingerprints``.

        Raises:
            NegotiationError: The peer failed the handshake or is somebody else.
        """
        transport = self._transport
        if transport is None:
            raise NegotiationError("the handshake is over")
        parameters = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(algorithm=a, value=v) for a, v in fingerprints]
        )
        try:
            await transport.start(parameters)
        except Exception as exc:
            # pyOpenSSL and cryptography have errors of their own, for too many timeouts or for a
            # certificate that cannot be read.
            raise NegotiationError("the DTLS handshake failed") from exc
        if transport.state != "connected" or transport._ssl is None:
            raise NegotiationError("the DTLS handshake failed")
        profile = transport._ssl.get_selected_srtp_profile()
        return SrtpSession(transport._rx_srtp, transport._tx_srtp, SRTP_OVERHEAD_BYTES[profile])

    def abandon(self) -> None:
        """Let a handshake that is under way fail, beside cancelling it.

        Before Python 3.12 ``asyncio.wait_for``, in which aiortc awaits a handshake's datagrams,
        swallows a cancellation that meets a datagram; the handshake would go on for minutes.
        """
        if self._transport is not None and self._transport.state != "connected":
            self._pipe.end()

    @property
    def is_retired(self) -> bool:
        """Has the connection been given up for its goodbye?"""
        return self._transport is None

    def retire(self) -> None:
        """Give up the connection, which holds 64 KiB; what :meth:`close` sends is kept.

        Only for a peer that is known to have completed the handshake: it gets no answer any more,
        and that it closes is no longer noticed here. Without effect before :meth:`handshake`.
        """
        transport = self._transport
        if transport is None or transport.state != "connected" or transport._ssl is None:
            return
        transport.remove_listener("statechange", self._state_changed)
        if transport._task is not None:
            transport._task.cancel()
        try:
            transport._ssl.shutdown()
            self._goodbye = transport._ssl.bio_read(GOODBYE_MAX_BYTES)
        except SSL.Error:
            # The peer has been the first; then it needs no goodbye.
            self._goodbye = b""
        # The rest is a circle, which the collector finds in its own time; this is what is large.
        transport._ssl = None
        self._transport = None

    async def wait_closed(self) -> None:
        """Return once the peer has closed DTLS; after :meth:`retire` never."""
        await self._closed.wait()

    async def close(self) -> None:
        """Say goodbye to the peer, end the reading task, let go of the owner.

        Then nothing here refers to what refers to it: keys and buffers, 90 KiB, are freed with
        their last user and not when the collector comes round, many peers later.
        """
        transport = self._transport
        if transport is None:
            if self._goodbye:
                self._send(self._goodbye)
                self._goodbye = b""
        else:
            reading = transport._task
            await transport.stop()
            self._pipe.end()
            if reading is not None:
                await asyncio.gather(reading, return_exceptions=True)
            transport.remove_all_listeners("statechange")
        self._send = self._pipe.transmit = _send_nothing

    def _state_changed(self) -> None:
        if self._transport is not None and self._transport.state in ("closed", "failed"):
            self._closed.set()


# The order in which we choose from what a peer offers: the cheapest first, all of them are sound.
# AES-128-GCM takes two thirds of the time of AES-256-GCM and half that of AES-CM with HMAC-SHA1.
_PROFILE_PREFERENCE = (b"SRTP_AEAD_AES_128_GCM", b"SRTP_AEAD_AES_256_GCM")


class _ServerCertificate(RTCCertificate):
    """A certificate whose peers share one TLS context.

    aiortc makes one per peer, which takes 60 KiB and a millisecond each.
    """

    _shared: tuple[list[SRTPProtectionProfile], SSL.Context] | None = None

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._shared is None or self._shared[0] != srtp_profiles:
            context = super()._create_ssl_context(_by_preference(srtp_profiles))
            # Peers come with a new certificate each time, so there is nothing to resume.
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
            context.set_mode(_MODE_RELEASE_BUFFERS)
            self._shared = (srtp_profiles, context)
        return self._shared[1]


def _by_preference(profiles: list[SRTPProtectionProfile]) -> list[SRTPProtectionProfile]:
    """Put the preferred profiles first; OpenSSL's server chooses in this order."""

    def rank(profile: SRTPProtectionProfile) -> int:
        name = profile.openssl_profile
        preferred = _PROFILE_PREFERENCE
        return preferred.index(name) if name in preferred else len(preferred)

    return sorted(profiles, key=rank)


def make_certificate() -> tuple[RTCCertificate, tuple[str, str]]:
    """Make the server's certificate and the SHA-256 fingerprint that answers announce."""
    certificate = _ServerCertificate.generateCertificate()
    for fingerprint in certificate.getFingerprints():
        if fingerprint.algorithm == "sha-256":
            return certificate, (fingerprint.algorithm, fingerprint.value)
    raise RuntimeError("aiortc no longer offers a SHA-256 fingerprint")


# Client side: what mediasrv.client needs of its own RTCPeerConnection.


def gather_loopback(transport: RTCDtlsTransport) -> None:
    """Offer loopback addresses too, which aioice leaves out, so a server on 127.0.0.1 is met."""
    connection = transport.transport.iceGatherer._connection
    gather = connection.get_component_candidates

    async def gather_with_loopback(component: int, addresses: list[str]) -> list[Candidate]:
        return await gather(component, [*addresses, *LOOPBACK_ADDRESSES])

    connection.get_component_candidates = gather_with_loopback  # type: ignore[method-assign, assignment]


def tap_received(
    transport: RTCDtlsTransport, see: Callable[[bytes], None], *, forward: bool
) -> None:
    """Show every decrypted RTP packet to ``see``, which must not raise.

    Args:
        transport: The transport whose packets are shown.
        see: Called with each packet before anything else happens to it.
        forward: False ends the packet's way here: nothing is routed, repaired or decoded.
    """
    handle = transport._handle_rtp_data

    async def handle_seen(data: bytes, arrival_time_ms: int) -> None:
        see(data)
        if forward:
            await handle(data, arrival_time_ms)

    transport._handle_rtp_data = handle_seen  # type: ignore[method-assign]


def tap_sent(transport: RTCDtlsTransport, see: Callable[[bytes], None]) -> None:
    """Show every RTP packet that was sent, in plain form, to ``see``, which must not raise."""
    send = transport._send_rtp

    async def send_seen(data: bytes) -> None:
        await send(data)
        if not 192 <= data[1] <= 208:  # RFC 5761 section 4: these are RTCP
            see(data)

    transport._send_rtp = send_seen  # type: ignore[method-assign]


def without_decoder(receiver: RTCRtpReceiver) -> None:
    """Keep a receiver from starting: no decoder thread, no jitter buffer, no reports."""

    async def receive(parameters: RTCRtpReceiveParameters) -> None:
        del parameters

    receiver.receive = receive  # type: ignore[method-assign]


def on_keyframe_request(sender: RTCRtpSender, request: Callable[[], None]) -> None:
    """Call ``request`` when the other side asks for a keyframe (PLI or FIR)."""
    sender._send_keyframe = request  # type: ignore[method-assign]
