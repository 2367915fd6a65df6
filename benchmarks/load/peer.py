"""One light peer: ICE, DTLS and SRTP on a UDP socket of its own, without a task of its own."""

import asyncio
import secrets
import socket

import pylibsrtp

from benchmarks.load.checks import is_success, write_check
from benchmarks.load.dtls import DtlsClient, DtlsFailed, Identity
from benchmarks.load.sdp import LocalSide, RemoteSide
from mediasrv.transport import stun

SOL_UDP = 17
UDP_GRO = 104  # linux/udp.h
SO_TIMESTAMPNS = 35
SO_MEMINFO = 55
_MEMINFO_DROPS = 8  # linux/sock_diag.h
SOCKET_BUFFER_BYTES = 2 * 1024 * 1024
CHECK_RETRY_S = 0.1
DTLS_RETRY_S = 1.1  # OpenSSL's first timeout is a second
CONNECT_TIMEOUT_S = 15.0


class NotConnected(Exception):
    """The peer found no way to the server in time."""


class LightPeer:
    """A peer that controls ICE and is the DTLS client.

    Args:
        identity: Certificate and TLS context.
        local_ip: Address to bind.
        gro: Take trains of datagrams in one read, where the kernel can.

    Attributes:
        socket: Connected to the server once known; non-blocking.
        inbound: Unprotects what comes, once connected.
        outbound: Protects what goes, once connected.
        profile: Name of the SRTP profile, once connected.
        reached_ns: When the first answer to a check arrived, as :meth:`control` was told.
        secured_ns: When the end of the DTLS handshake arrived.
    """

    def __init__(self, identity: Identity, local_ip: str, *, gro: bool = True) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if gro:
            self.socket.setsockopt(SOL_UDP, UDP_GRO, 1)
        self.socket.bind((local_ip, 0))
        self.local = LocalSide(
            secrets.token_hex(4),
            secrets.token_hex(12),
            identity.fingerprint,
            self.socket.getsockname(),
        )
        self.inbound: pylibsrtp.Session | None = None
        self.outbound: pylibsrtp.Session | None = None
        self.profile = ""
        self.reached_ns = self.secured_ns = 0
        self._dtls = DtlsClient(identity)
        self._reached = asyncio.Event()
        self._secured: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._username = ""
        self._password = b""
        self._tie_breaker = secrets.randbits(64)

    async def connect(self, remote: RemoteSide) -> None:
        """Pass a check and complete DTLS; whoever reads the socket calls :meth:`control`.

        Raises:
            NotConnected: It did not succeed in time.
        """
        self._username = f"{remote.fragment}:{self.local.fragment}"
        self._password = remote.password.encode()
        self.socket.connect(remote.best_address())
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._reach()
                await self._secure()
        except (TimeoutError, DtlsFailed) as exc:
            raise NotConnected(f"no connection to {remote.best_address()}: {exc!r}") from exc

    async def _reach(self) -> None:
        while not self._reached.is_set():
            self.check()
            try:
                async with asyncio.timeout(CHECK_RETRY_S):
                    await self._reached.wait()
            except TimeoutError:
                continue

    async def _secure(self) -> None:
        self._send(self._dtls.begin())
        while True:
            done, _ = await asyncio.wait([self._secured], timeout=DTLS_RETRY_S)
            if done:
                return self._secured.result()
            self._send(self._dtls.retransmit())

    def check(self) -> None:
        """Send a connectivity check; it also renews consent (RFC 7675)."""
        self._send(write_check(self._username, self._password, self._tie_breaker))

    def control(self, datagram: bytes, at_ns: int = 0) -> None:
        """Take a datagram that is STUN or DTLS, and arrived ``at_ns`` on the realtime clock."""
        if datagram[0] < 4:
            if is_success(datagram):
                self.reached_ns = self.reached_ns or at_ns
                self._reached.set()
            else:
                self._answer_check(datagram)
        elif 20 <= datagram[0] < 64:
            self._feed_dtls(datagram, at_ns)

    def _answer_check(self, datagram: bytes) -> None:
        """Answer a full ICE agent, which wants to see for itself."""
        try:
            request = stun.parse_binding_request(datagram)
        except stun.StunRefused:
            return
        address = self.socket.getpeername()
        self._send(
            stun.write_binding_success(
                request.transaction_id, address, self.local.password.encode()
            )
        )

    def _feed_dtls(self, datagram: bytes, at_ns: int) -> None:
        try:
            self._send(self._dtls.feed(datagram))
        except DtlsFailed as exc:
            if not self._secured.done():
                self._secured.set_exception(exc)
            return
        if self._dtls.profile is not None and not self._secured.done():
            # At once: media may lie right behind the end of the handshake.
            self.inbound, self.outbound = self._dtls.srtp()
            self.profile = self._dtls.profile.name.decode()
            self.secured_ns = at_ns
            self._secured.set_result(None)

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send a compound RTCP packet."""
        if self.outbound is not None:
            self._send(self.outbound.protect_rtcp(packet))

    def _send(self, datagram: bytes) -> None:
        if not datagram:
            return
        try:
            self.socket.send(datagram)
        except OSError:
            # No room or nobody there: what matters is sent again.
            return

    def drops(self) -> int:
        """Count the datagrams that found this socket's queue full."""
        raw = self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36)
        return int.from_bytes(raw[4 * _MEMINFO_DROPS : 4 * _MEMINFO_DROPS + 4], "little")

    def close(self) -> None:
        """Say goodbye and close the socket."""
        self._send(self._dtls.close())
        self.socket.close()
