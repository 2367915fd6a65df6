"""Viewers by the hundred in one process: one read takes a whole frame, nothing is decoded.

Per read the loop notes header, kernel time and sequence numbers, and looks at them only after the
measurement. One viewer decrypts everything, to prove that what comes is what was negotiated.
"""

import asyncio
import gc
import struct
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import pylibsrtp
import uvloop

from benchmarks.load.dtls import Identity
from benchmarks.load.peer import SO_TIMESTAMPNS, UDP_GRO, LightPeer, NotConnected
from benchmarks.load.polling import Sockets
from benchmarks.load.recording import Recording
from benchmarks.load.signalling import Signalling
from benchmarks.load.subject import settle
from mediasrv.client.errors import ClientError
from mediasrv.relay import rtcp
from signaling.errors import SignalingError

JOINING_AT_ONCE = 24
CONSENT_S = 5.0
REPORT_S = 1.0
SLOTS = 20  # of a second: reports and checks are spread over them
FIRST_MEDIA_TIMEOUT_S = 20.0
PROGRESS_S = 3.0
BUFFER_BYTES = 65_536
ANCILLARY_BYTES = 128

_TRAIN = struct.Struct("<III")


@dataclass(frozen=True, slots=True)
class Way:
    """What viewers say of their way; the packets themselves go over the one they have.

    Attributes:
        estimate_bps: In REMB.
        loss: In receiver reports, 0 to below 1.
    """

    estimate_bps: int = 20_000_000
    loss: float = 0.0


@dataclass(slots=True)
class CrowdResult:
    """What a crowd hands over after it has recorded.

    Attributes:
        recording: What arrived.
        drops: Datagrams that found a viewer's own queue full.
        decrypted: Packets of the sample viewer that could be decrypted.
        forged: Packets of the sample viewer that could not.
        profiles: SRTP profiles in use.
    """

    recording: Recording
    drops: int
    decrypted: int
    forged: int
    profiles: list[str]


@dataclass(slots=True)
class _Shared:
    """What all viewers of the process write to."""

    recording: Recording = field(default_factory=Recording)
    is_recording: bool = False
    buffer: bytearray = field(default_factory=lambda: bytearray(BUFFER_BYTES))
    buffers: list[bytearray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.buffers = [self.buffer]


class _Viewer:
    __slots__ = (
        "_first",
        "_index",
        "_receive",
        "_seen",
        "_shared",
        "_tails",
        "_way",
        "decrypted",
        "first_media",
        "forged",
        "is_sample",
        "peer",
        "ssrc",
    )

    def __init__(self, index: int, peer: LightPeer, shared: _Shared, way: Way) -> None:
        self.peer = peer
        self.first_media = asyncio.Event()
        self.is_sample = False
        self.decrypted = self.forged = 0
        self.ssrc = index + 1
        self._index = index
        self._shared = shared
        self._way = way
        self._receive = peer.socket.recvmsg_into
        self._tails: dict[int, bytes] = {}
        self._seen: dict[int, int] = {}
        self._first: dict[int, int] = {}

    def readable(self) -> None:
        """Take what one read gives: a train of media, or one control datagram."""
        shared = self._shared
        buffer = shared.buffer
        try:
            size, ancillary, _, _ = self._receive(shared.buffers, ANCILLARY_BYTES)
        except OSError:
            return
        second = buffer[1]
        if buffer[0] < 64:
            self.peer.control(bytes(buffer[:size]))
            return
        if 192 <= second <= 223:
            return  # reports of the server
        segment, stamp = size, b""
        for _, kind, value in ancillary:
            if kind == SO_TIMESTAMPNS:
                stamp = value
            elif kind == UDP_GRO:
                segment = int.from_bytes(value, "little")
        last = (size - 1) // segment * segment
        self._tails[second & 0x7F] = bytes(buffer[last + 2 : last + 12])
        if shared.is_recording:
            recording = shared.recording
            recording.trains += _TRAIN.pack(self._index, size, segment) + stamp + buffer[:12]
            recording.high += buffer[2:size:segment]
            recording.low += buffer[3:size:segment]
            if self.is_sample:
                self._decrypt(size, segment)
        elif not self.first_media.is_set():
            self.first_media.set()

    def _decrypt(self, size: int, segment: int) -> None:
        inbound = self.peer.inbound
        for start in range(0, size if inbound else 0, segment):
            packet = bytes(self._shared.buffer[start : min(start + segment, size)])
            try:
                inbound.unprotect(packet)  # type: ignore[union-attr]
                self.decrypted += 1
            except pylibsrtp.Error:
                self.forged += 1

    def report(self) -> None:
        """Send what a browser sends every second: a receiver report and an estimate."""
        blocks, loss = [], self._way.loss
        for tail in self._tails.values():
            sequence, ssrc = int.from_bytes(tail[:2], "big"), int.from_bytes(tail[6:], "big")
            known = self._seen.get(ssrc, sequence)
            highest = known + ((sequence - known + 0x8000) & 0xFFFF) - 0x8000
            self._seen[ssrc] = highest
            lost = int(loss * (highest - self._first.setdefault(ssrc, highest)))
            blocks.append(rtcp.ReportBlock(ssrc, int(256 * loss), lost, highest, 0, 0, 0))
        compound = rtcp.write_receiver_report(self.ssrc, blocks)
        compound += rtcp.write_cname(self.ssrc, "load")
        if blocks:
            compound += rtcp.write_remb(self.ssrc, self._way.estimate_bps, [b.ssrc for b in blocks])
        self.peer.send_rtcp(compound)


class Crowd:
    """All viewers of one process."""

    def __init__(self, signalling: Signalling, local_ip: str, way: Way, *, gro: bool) -> None:
        self._signalling = signalling
        self._identity = Identity()
        self._local_ip = local_ip
        self._gro = gro
        self._way = way
        self._shared = _Shared()
        self._viewers: list[_Viewer] = []
        self.sockets = Sockets()
        self._slot = 0

    @property
    def connected(self) -> int:
        """Viewers who have got media."""
        return sum(viewer.first_media.is_set() for viewer in self._viewers)

    async def join(self, count: int) -> None:
        """Let ``count`` viewers join, some at a time.

        Raises:
            NotConnected: One of them found no way, or gets no media.
        """
        turns = asyncio.Semaphore(JOINING_AT_ONCE)

        async def one(index: int) -> None:
            async with turns:
                await self._join_one(index)

        async with asyncio.TaskGroup() as group:
            for index in range(count):
                group.create_task(one(index))
        self._viewers[0].is_sample = True

    async def _join_one(self, index: int) -> None:
        peer = LightPeer(self._identity, self._local_ip, gro=self._gro)
        viewer = _Viewer(index, peer, self._shared, self._way)
        self._viewers.append(viewer)
        remote = await self._signalling.subscribe(peer)
        self.sockets.add(peer.socket.fileno(), viewer.readable)
        await peer.connect(remote)
        try:
            async with asyncio.timeout(FIRST_MEDIA_TIMEOUT_S):
                await viewer.first_media.wait()
        except TimeoutError as exc:
            raise NotConnected(f"viewer {index} gets no media") from exc

    async def keep_alive(self) -> None:
        """Send reports and checks until cancelled."""
        slots_per_check = round(CONSENT_S * SLOTS)
        while True:
            await asyncio.sleep(REPORT_S / SLOTS)
            self._slot += 1
            for viewer in list(self._viewers):
                if viewer.peer.outbound is None:
                    continue
                if viewer.ssrc % SLOTS == self._slot % SLOTS:
                    viewer.report()
                if viewer.ssrc % slots_per_check == self._slot % slots_per_check:
                    viewer.peer.check()

    async def record(self, stop: "asyncio.Future[object]") -> CrowdResult:
        """Note everything until ``stop`` is done."""
        drops = self._drops()
        self._shared.is_recording = True
        await stop
        self._shared.is_recording = False
        sample = self._viewers[0]
        return CrowdResult(
            self._shared.recording,
            self._drops() - drops,
            sample.decrypted,
            sample.forged,
            sorted({viewer.peer.profile for viewer in self._viewers}),
        )

    def _drops(self) -> int:
        return sum(viewer.peer.drops() for viewer in self._viewers)

    def close(self) -> None:
        """Say goodbye for everybody."""
        self.sockets.close()
        for viewer in self._viewers:
            viewer.peer.close()


def run_crowd(
    pipe: Connection,
    signalling: Signalling,
    count: int,
    core: int,
    local_ip: str,
    gro: bool,
    way: Way,
) -> None:
    """Be ``count`` viewers.

    Sends ``("joined", n)`` while joining and ``("ready", n)``; then starts and ends the window at
    the next two messages, and sends a CrowdResult. A failure is sent as ``("failed", text)``.
    """
    settle(0, core)
    uvloop.run(_run(pipe, signalling, count, local_ip, way, gro=gro))


async def _run(
    pipe: Connection, signalling: Signalling, count: int, local_ip: str, way: Way, *, gro: bool
) -> None:
    async with signalling:
        crowd = Crowd(signalling, local_ip, way, gro=gro)
        background = [
            asyncio.create_task(crowd.sockets.read()),
            asyncio.create_task(crowd.keep_alive()),
            asyncio.create_task(_tell_progress(pipe, crowd)),
        ]
        try:
            await crowd.join(count)
            background.pop().cancel()
            pipe.send(("ready", count))
            gc.collect()
            gc.freeze()  # a collection over a thousand viewers would look like a slow server
            await asyncio.to_thread(pipe.recv)
            waiting = asyncio.create_task(asyncio.to_thread(pipe.recv))
            pipe.send(await crowd.record(waiting))
        except* (NotConnected, ClientError, SignalingError, OSError, RuntimeError) as group:
            pipe.send(("failed", f"after {crowd.connected} had joined: {_first(group)}"))
        finally:
            for task in background:
                task.cancel()
            await asyncio.wait(background)
            crowd.close()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error that is no group itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _tell_progress(pipe: Connection, crowd: Crowd) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        pipe.send(("joined", crowd.connected))
