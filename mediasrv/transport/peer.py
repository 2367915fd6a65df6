"""One peer's transport: ICE-lite, then DTLS, then SRTP, on paths of the shared port."""

import asyncio
import enum
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiortc.rtcdtlstransport import RTCCertificate

from mediasrv.errors import MediaError, TransportClosed
from mediasrv.transport import stun
from mediasrv.transport.aiortc_seam import DtlsServer, SrtpSession
from mediasrv.transport.burst import Burst, Wire
from mediasrv.transport.ice import CheckOutcome, IceCredentials, IceLiteAgent, Path

logger = logging.getLogger(__name__)

# A session that nobody completes is freed within 15 s: this, and the endpoint's tick of a second.
CONNECT_TIMEOUT_S = 14.0
# The first byte of a DTLS record that holds an alert (RFC 6347 section 4.1).
ALERT = 21


class PeerState(enum.Enum):
    """Life of a peer's transport."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class PeerHandler(Protocol):
    """What a peer's transport tells its owner; called from the event loop, must not block."""

    def connected(self) -> None:
        """SRTP is ready: packets may be sent."""

    def received_rtp(self, packet: bytes, now: float) -> None:
        """A decrypted RTP packet arrived."""

    def received_rtcp(self, packet: bytes, now: float) -> None:
        """A decrypted compound RTCP packet arrived."""

    def closed(self, reason: str) -> None:
        """The transport ended; nothing else is called after this."""


@dataclass(slots=True)
class PeerCounters:
    """What one peer's transport has carried and refused; what left in bursts is counted there."""

    packets_received: int = 0
    packets_sent: int = 0
    sends_failed: int = 0
    unprotect_failed: int = 0
    dtls_dropped: int = 0


class PeerTransport:
    """The server's end of one WebRTC connection.

    Attributes:
        ice: Its ICE agent.
        state: How far it has come.
        counters: What it has carried and refused.
        wire: What bursts need to send to it; None while it is not connected.

    Args:
        burst: The shared port, and the shared buffer that packets are laid out in before
            :meth:`send_packets`; told when the wire changes.
        certificate: The server's DTLS certificate.
        remote_fragment: ICE fragment of the peer.
        fingerprints: Certificate fingerprints of the peer, (algorithm, value).
        handler: Who is told what happens.
        opened_at: Now, in monotonic seconds.
        is_frugal: Whether to give up the DTLS connection, 64 KiB, as soon as the peer is known to
            have completed the handshake. That it closes is then noticed by its silence only.
        closed: Called once when the transport has ended, for the owner of the port.
    """

    def __init__(
        self,
        burst: Burst,
        certificate: RTCCertificate,
        remote_fragment: str,
        fingerprints: Sequence[tuple[str, str]],
        handler: PeerHandler,
        *,
        opened_at: float,
        is_frugal: bool = False,
        closed: "Callable[[PeerTransport], None]",
    ) -> None:
        self.ice = IceLiteAgent(IceCredentials.generate(), remote_fragment)
        self.state = PeerState.NEW
        self.counters = PeerCounters()
        self._burst = burst
        self._port = burst.port
        self._shared = burst.buffer
        self._fingerprints = fingerprints
        self._handler = handler
        self._opened_at = opened_at
        self._is_frugal = is_frugal
        self._closed = closed
        self._reachable = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._srtp: SrtpSession | None = None
        self.wire: Wire | None = None
        self._dtls = DtlsServer(certificate, self._send_dtls)

    @property
    def buffer(self) -> bytearray:
        """Where to lay out packets for :meth:`send_packets`; shared, valid until the next send."""
        return self._shared.memory

    @property
    def overhead_bytes(self) -> int:
        """What SRTP adds behind each packet; 0 before the transport is connected."""
        return self._srtp.overhead_bytes if self._srtp else 0

    @property
    def route(self) -> int:
        """Peers behind one of our sockets share a route."""
        return self.wire.path.socket_id if self.wire is not None else -1

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin to wait for the peer, in a task of ``group``."""
        self._task = group.create_task(self._run(), name="peer transport")

    def close(self, reason: str) -> None:
        """End the transport; calling it again does nothing."""
        if self.is_closed:
            return
        self._finish(reason)
        self._dtls.abandon()
        if self._task is not None:
            self._task.cancel()

    @property
    def is_closed(self) -> bool:
        """Has the transport ended?"""
        return self.state is PeerState.CLOSED

    def _finish(self, reason: str) -> None:
        if self.is_closed:
            return
        self.state = PeerState.CLOSED
        self._srtp = None
        self._rewire(None)
        self._closed(self)
        try:
            self._handler.closed(reason)
        except Exception:
            # Peers end in their tasks, in the timer, in a loop over all of them: the fault of one
            # must not spoil it for the others.
            logger.exception("the end of a peer's transport was not handled")

    async def _run(self) -> None:
        try:
            await self._connect()
            await self._dtls.wait_closed()
            self._finish("closed by the peer")
        except MediaError as exc:
            self._finish(str(exc))
        except Exception:
            # One peer's fault must not end the group that all peers live in.
            logger.exception("a peer's transport failed")
            self._finish("internal error")
        finally:
            await self._dtls.close()
            # A cancelled task refers to its frames and they to this: no circle is left behind.
            self._task = None

    async def _connect(self) -> None:
        await self._reachable.wait()
        self.state = PeerState.CONNECTING
        srtp = await self._dtls.handshake(self._fingerprints)
        if self.is_closed:
            # The cancellation got lost in the handshake, see DtlsServer.abandon.
            raise TransportClosed("closed during the handshake")
        self._srtp = srtp
        self._wire_up()
        self.state = PeerState.CONNECTED
        self._handler.connected()

    def _wire_up(self) -> None:
        """Let bursts know where packets go, when that has changed."""
        path, srtp = self.ice.selected, self._srtp
        if srtp is not None and path is not None and (self.wire is None or self.wire.path != path):
            self._rewire(Wire(srtp, path))

    def _rewire(self, wire: Wire | None) -> None:
        self.wire = wire
        self._burst.rewired()

    def overdue(self, now: float) -> str | None:
        """Say why the peer has to be given up by now; None while there is hope."""
        if self.state is not PeerState.CONNECTED and now - self._opened_at >= CONNECT_TIMEOUT_S:
            return "not connected in time"
        if self.ice.consent_expired(now):
            return "no sign of life from the peer"
        return None

    def receive_check(self, request: stun.BindingRequest, path: Path, now: float) -> CheckOutcome:
        """Answer a connectivity check that was addressed to this peer and signed for it."""
        outcome = self.ice.receive_check(request, path, now)
        self._port.send(outcome.response, path)
        self._wire_up()
        if outcome.proven is not None:
            self._reachable.set()
        return outcome

    def receive_dtls(self, datagram: bytes) -> None:
        """Take a DTLS datagram from a proven path."""
        if self._dtls.is_retired:
            if datagram[0] == ALERT:
                self.ice.doubt()
        elif not self._dtls.feed(datagram):
            self.counters.dtls_dropped += 1

    def receive_rtp(self, datagram: bytes, now: float) -> None:
        """Take an SRTP datagram from a proven path."""
        packet = self._srtp.unprotect(datagram) if self._srtp else None
        if packet is None:
            self.counters.unprotect_failed += 1
            return
        self.counters.packets_received += 1
        self._handler.received_rtp(packet, now)

    def receive_rtcp(self, datagram: bytes, now: float) -> None:
        """Take an SRTCP datagram from a proven path."""
        packet = self._srtp.unprotect_rtcp(datagram) if self._srtp else None
        if packet is None:
            self.counters.unprotect_failed += 1
            return
        if self._is_frugal and not self._dtls.is_retired:
            # Who sends with the keys of the handshake has completed it.
            self._dtls.retire()
        self._handler.received_rtcp(packet, now)

    def send_packets(
        self, spans: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int]]
    ) -> bool:
        """Protect the packets that lie in :attr:`buffer` and send them.

        Args:
            spans: Offset and plaintext length of each packet; ``overhead_bytes`` of room follow it.
            runs: Start, end and segment size of each stretch of protected packets of equal size
                (the last may be shorter); a run leaves in one system call where the kernel can.

        Returns:
            False when something was lost: not connected, or no room in the socket. Never blocks.
        """
        path = self.ice.selected
        if self._srtp is None or path is None:
            return False
        complete = self._srtp.protect_in_place(self._shared, spans)
        if not complete:
            self.counters.sends_failed += 1
            return False
        view, port = self._shared.view, self._port
        for start, end, segment_bytes in runs:
            if not port.send_run(view[start:end], segment_bytes, path):
                # Dropping the rest keeps the loss in one place; a keyframe request heals it.
                self.counters.sends_failed += 1
                return False
        self.counters.packets_sent += len(spans)
        return True

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send one compound RTCP packet; lost when not connected. Never raises."""
        path = self.ice.selected
        if self._srtp is None or path is None:
            return
        protected = self._srtp.protect_rtcp(packet)
        if protected is None or not self._port.send(protected, path):
            self.counters.sends_failed += 1

    def _send_dtls(self, datagram: bytes) -> None:
        if self.ice.selected is not None:
            self._port.send(datagram, self.ice.selected)
