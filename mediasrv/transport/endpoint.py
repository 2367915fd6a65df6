"""Everything that arrives on the port finds its peer here, or is dropped and counted."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import TracebackType

from mediasrv.transport import stun
from mediasrv.transport.addresses import Candidate, candidates, usable_local_addresses
from mediasrv.transport.aiortc_seam import SharedBuffer, make_certificate
from mediasrv.transport.burst import Burst
from mediasrv.transport.demux import DatagramKind, classify
from mediasrv.transport.heap import CrowdHeap, trim_heap
from mediasrv.transport.ice import Path
from mediasrv.transport.offer import Offer
from mediasrv.transport.peer import PeerHandler, PeerTransport
from mediasrv.transport.udp_port import UdpPort

logger = logging.getLogger(__name__)

# Timeouts are checked this often; RFC 7675 does not ask for more precision.
TICK_S = 1.0
# Interfaces are looked up at most this often: it takes a millisecond, and hundreds may join.
INTERFACES_S = 1.0
# Packets of one flush for one viewer: GSO carries 64 KB at most, so more is never sent at once.
BUFFER_BYTES = 256 * 1024


@dataclass(slots=True)
class EndpointCounters:
    """Datagrams by fate. Each that is dropped disturbs nobody; its number says what goes on."""

    refused_datagrams: int = 0
    malformed_stun: int = 0
    unknown_session: int = 0
    badly_signed: int = 0
    unknown_path: int = 0
    taken_path: int = 0
    checks_answered: int = 0
    sessions_timed_out: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return all counters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


class TransportEndpoint:
    """The shared port and the peers on it; an async context manager.

    Attributes:
        counters: Datagrams by fate.
        certificate: The server's DTLS certificate.
        fingerprint: Of the certificate, as (algorithm, value).
        burst: Sends to many peers at once.

    Args:
        port: UDP port number; 0 lets the system choose.
        clock: Monotonic seconds.
        public_ips: Addresses to announce instead of the local ones (behind a 1:1 NAT).
        public_port: Port to announce instead of ``port`` (behind a port mapping).
        local_addresses: Lists the addresses to bind.
    """

    def __init__(
        self,
        port: int,
        clock: Callable[[], float],
        *,
        public_ips: Sequence[str] = (),
        public_port: int | None = None,
        local_addresses: Callable[[], list[str]] = usable_local_addresses,
    ) -> None:
        self.counters = EndpointCounters()
        self.certificate, self.fingerprint = make_certificate()
        self._clock = clock
        self._public_ips = tuple(public_ips)
        self._public_port = public_port
        self._local_addresses = local_addresses
        self._local: list[str] = []
        self._local_at = 0.0
        self._port = UdpPort(port, self._receive)
        self.burst = Burst(self._port, SharedBuffer(BUFFER_BYTES))
        self._by_fragment: dict[str, PeerTransport] = {}
        self._by_path: dict[Path, PeerTransport] = {}
        self._heap = CrowdHeap(trim_heap)
        self._group = asyncio.TaskGroup()

    @property
    def port(self) -> int:
        """The UDP port number in use."""
        return self._port.port

    @property
    def gso(self) -> bool:
        """Whether runs of packets leave in one system call."""
        return self._port.gso

    @property
    def peers(self) -> list[PeerTransport]:
        """Transports that are not closed."""
        return list(self._by_fragment.values())

    async def __aenter__(self) -> "TransportEndpoint":
        """Bind the port and start the timer."""
        self._open_port(self._clock())
        await self._group.__aenter__()
        self._ticker = self._group.create_task(self._tick_forever(), name="transport timer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every peer, then the port."""
        for peer in self.peers:
            peer.close("server shutdown")
        self._ticker.cancel()
        try:
            if isinstance(error, asyncio.CancelledError):
                await self._group.__aexit__(kind, error, trace)
            else:
                # An error of whoever uses the endpoint leaves as it is, not wrapped by the group.
                await self._group.__aexit__(None, None, None)
        finally:
            self._port.close()

    def candidates(self) -> list[Candidate]:
        """List what an answer announces; binds interfaces that have come up a while ago."""
        now = self._clock()
        if now - self._local_at >= INTERFACES_S:
            self._open_port(now)
        bound = set(self._port.addresses)
        addresses = self._public_ips or [a for a in self._local if a in bound]
        return candidates(addresses, self._public_port or self._port.port)

    def _open_port(self, now: float) -> None:
        self._local, self._local_at = self._local_addresses(), now
        self._port.open(self._local)

    def open_peer(
        self, offer: Offer, handler: PeerHandler, *, is_frugal: bool = False
    ) -> PeerTransport:
        """Make the transport that answers ``offer``; it waits for the peer from now on.

        Args:
            offer: The peer's.
            handler: Who is told what happens.
            is_frugal: For peers that there are many of; see :class:`PeerTransport`.
        """
        now = self._clock()
        self._heap.entered(now)
        peer = PeerTransport(
            self.burst,
            self.certificate,
            offer.ice_fragment,
            offer.fingerprints,
            handler,
            opened_at=now,
            is_frugal=is_frugal,
            closed=self._forget,
        )
        self._by_fragment[peer.ice.credentials.fragment] = peer
        peer.start(self._group)
        return peer

    def watch_sends(self, on_sent: Callable[[], None] | None) -> None:
        """Call ``on_sent`` after every system call that sends media; None ends that."""
        self._port.on_sent = on_sent
        if self.burst.messages is not None:
            self.burst.messages.on_sent = on_sent

    def _forget(self, peer: PeerTransport) -> None:
        self._by_fragment.pop(peer.ice.credentials.fragment, None)
        for path in peer.ice.proven_paths:
            self._by_path.pop(path, None)

    def _receive(self, datagram: bytes, path: Path) -> None:
        kind = classify(datagram)
        if kind is DatagramKind.STUN:
            self._receive_stun(datagram, path)
            return
        if kind is DatagramKind.REFUSED:
            self.counters.refused_datagrams += 1
            return
        peer = self._by_path.get(path)
        if peer is None:
            self.counters.unknown_path += 1
            return
        try:
            self._deliver(peer, kind, datagram)
        except Exception:
            # A fault of ours that this peer's packet uncovered must end this peer alone.
            logger.exception("a packet could not be handled")
            peer.close("internal error")

    def _deliver(self, peer: PeerTransport, kind: DatagramKind, datagram: bytes) -> None:
        if kind is DatagramKind.RTP:
            peer.receive_rtp(datagram, self._clock())
        elif kind is DatagramKind.RTCP:
            peer.receive_rtcp(datagram, self._clock())
        else:
            peer.receive_dtls(datagram)

    def _receive_stun(self, datagram: bytes, path: Path) -> None:
        try:
            request = stun.parse_binding_request(datagram)
        except stun.StunRefused:
            self.counters.malformed_stun += 1
            return
        peer = self._by_fragment.get(request.local_fragment)
        if peer is None:
            self.counters.unknown_session += 1
        elif not peer.ice.accepts(request):
            self.counters.badly_signed += 1
        elif self._by_path.get(path, peer) is not peer:
            # A viewer that forges the host's address must not get the host's packets sent astray.
            self.counters.taken_path += 1
        else:
            self._receive_check(peer, request, path)

    def _receive_check(self, peer: PeerTransport, request: stun.BindingRequest, path: Path) -> None:
        self.counters.checks_answered += 1
        outcome = peer.receive_check(request, path, self._clock())
        if outcome.proven is not None:
            self._by_path[path] = peer
        if outcome.forgotten is not None:
            self._by_path.pop(outcome.forgotten, None)

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.expire(self._clock())

    def expire(self, now: float) -> None:
        """Close the peers that nobody completed, or whose consent has run out; tidy up."""
        self._heap.tick(now)
        for peer in self.peers:
            reason = peer.overdue(now)
            if reason is not None:
                self.counters.sessions_timed_out += 1
                peer.close(reason)
