"""Viewers who all come within a moment: each goes its whole way, and notes when it got how far."""

import asyncio
import socket
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import pylibsrtp
import uvloop

from benchmarks.load.dtls import Identity
from benchmarks.load.first_frame import FirstFrame
from benchmarks.load.pacing import VIDEO_TYPE
from benchmarks.load.peer import SO_TIMESTAMPNS, LightPeer, NotConnected
from benchmarks.load.polling import Sockets
from benchmarks.load.signalling import OurSignalling, join, subscribe
from benchmarks.load.subject import settle
from mediasrv.client.errors import ClientError
from signaling.errors import SignalingError

# Who has seen nothing by then has failed.
PATIENCE_S = 10.0
# What the server still asks of the host because of them.
AFTERWARDS_S = 1.0
DATAGRAM_BYTES = 2048
ANCILLARY_BYTES = 64


@dataclass(slots=True)
class Arrival:
    """How far one viewer came, and when: nanoseconds on the realtime clock, 0 for never.

    Attributes:
        due_ns: When it was to begin, by the plan.
        began_ns: When it began: the next thing it does is open its websocket.
        connected_ns: The websocket was open.
        joined_ns: ``joined`` was there.
        answered_ns: The answer to its offer was there.
        reached_ns: The answer to the first ICE check arrived, here and below by the kernel's stamp.
        secured_ns: The end of the DTLS handshake arrived.
        first_ns: The first packet of the video arrived.
        whole_ns: The last missing packet of the first keyframe arrived.
        failure: Why it got no further; empty when it saw a frame.
    """

    due_ns: int
    began_ns: int = 0
    connected_ns: int = 0
    joined_ns: int = 0
    answered_ns: int = 0
    reached_ns: int = 0
    secured_ns: int = 0
    first_ns: int = 0
    whole_ns: int = 0
    failure: str = ""


@dataclass(slots=True)
class RushResult:
    """All arrivals of a rush, and when it began and ended (realtime, ns)."""

    began_ns: int
    ended_ns: int
    arrivals: list[Arrival] = field(default_factory=list)


class _Newcomer:
    """One viewer on its way to the first frame."""

    def __init__(self, signalling: OurSignalling, peer: LightPeer, arrival: Arrival) -> None:
        self.arrival = arrival
        self._signalling = signalling
        self._peer = peer
        self._frame = FirstFrame()
        self._seen = asyncio.Event()

    async def come(self, sockets: Sockets) -> None:
        """Go all the way; a failure is noted, not raised."""
        arrival = self.arrival
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._come(sockets)
        except (TimeoutError, NotConnected, ClientError, SignalingError, OSError) as exc:
            arrival.failure = repr(exc)
        arrival.reached_ns, arrival.secured_ns = self._peer.reached_ns, self._peer.secured_ns
        arrival.first_ns, arrival.whole_ns = self._frame.first_ns, self._frame.whole_ns

    async def _come(self, sockets: Sockets) -> None:
        arrival = self.arrival
        arrival.began_ns = time.time_ns()
        link = await self._signalling.connect()
        arrival.connected_ns = time.time_ns()
        await join(link, "viewer")
        arrival.joined_ns = time.time_ns()
        remote = await subscribe(link, self._peer)
        arrival.answered_ns = time.time_ns()
        sockets.add(self._peer.socket.fileno(), self.readable)
        await self._peer.connect(remote)
        await self._seen.wait()

    def readable(self) -> None:
        """Take one datagram."""
        try:
            datagram, ancillary, _, _ = self._peer.socket.recvmsg(DATAGRAM_BYTES, ANCILLARY_BYTES)
        except OSError:
            return
        if datagram[0] < 64:
            self._peer.control(datagram, _stamp_ns(ancillary))
        elif not self._seen.is_set() and datagram[1] & 0x7F == VIDEO_TYPE:
            self._take_video(datagram, _stamp_ns(ancillary))

    def _take_video(self, datagram: bytes, at_ns: int) -> None:
        # The server sends behind its end of the handshake; what overtakes that is lost on browsers
        # too.
        if self._peer.inbound is None:
            return
        try:
            self._frame.take(self._peer.inbound.unprotect(datagram), at_ns)
        except pylibsrtp.Error:
            return
        if self._frame.whole_ns:
            self._seen.set()


def _stamp_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = value[:8], value[8:16]
            return 1_000_000_000 * int.from_bytes(seconds, "little") + int.from_bytes(
                nanoseconds, "little"
            )
    return time.time_ns()


def run_rush(
    pipe: Connection,
    signalling: OurSignalling,
    viewers: int,
    within_s: float,
    core: int,
    local_ip: str,
) -> None:
    """Be ``viewers`` who come at equal distances within ``within_s``.

    Sends ``"prepared"``, begins at the next message, sends a RushResult.
    """
    settle(0, core)
    uvloop.run(_run(pipe, signalling, viewers, within_s, local_ip))


async def _run(
    pipe: Connection, signalling: OurSignalling, viewers: int, within_s: float, local_ip: str
) -> None:
    identity = Identity()
    peers = [LightPeer(identity, local_ip, gro=False) for _ in range(viewers)]
    sockets = Sockets()
    async with signalling:
        reading = asyncio.create_task(sockets.read())
        try:
            pipe.send("prepared")
            await asyncio.to_thread(pipe.recv)
            pipe.send(await _rush(signalling, peers, within_s, sockets))
            await asyncio.to_thread(pipe.recv)
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            sockets.close()
            for peer in peers:
                peer.close()


async def _rush(
    signalling: OurSignalling, peers: list[LightPeer], within_s: float, sockets: Sockets
) -> RushResult:
    began_ns, began = time.time_ns(), time.monotonic()
    result = RushResult(began_ns, 0)

    async def one(peer: LightPeer, after_s: float) -> None:
        arrival = Arrival(began_ns + int(1e9 * after_s))
        result.arrivals.append(arrival)
        await asyncio.sleep(began + after_s - time.monotonic())
        await _Newcomer(signalling, peer, arrival).come(sockets)

    async with asyncio.TaskGroup() as group:
        for i, peer in enumerate(peers):
            group.create_task(one(peer, i * within_s / len(peers)))
    await asyncio.sleep(AFTERWARDS_S)
    result.ended_ns = time.time_ns()
    return result
