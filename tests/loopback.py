"""A WebRTC client on this machine: aiortc's connection, without codecs, that deals in packets."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpSendParameters

from mediasrv.relay.rtp import RtpPacket, parse_rtp, write_rtp
from mediasrv.transport.aiortc_seam import gather_loopback, tap_received, without_decoder

TIMEOUT_S = 10.0
SSRCS = {"audio": 0xA0A0A0A0, "video": 0xB0B0B0B0}


class LoopbackClient:
    """A peer that offers to send or to receive.

    Attributes:
        connection: aiortc's.
        received: Packets by payload type, in the order of their arrival.
        reports: Decrypted compound RTCP packets.
        payload_types: By kind, from the answer.
    """

    def __init__(self, *kinds: str, sends: bool) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.received: dict[int, list[RtpPacket]] = defaultdict(list)
        self.reports: list[bytes] = []
        self.payload_types: dict[str, int] = {}
        self._changed = asyncio.Event()
        for kind in kinds:
            direction = "sendonly" if sends else "recvonly"
            transceiver = self.connection.addTransceiver(kind, direction=direction)
            without_decoder(transceiver.receiver)
            transceiver.sender.send = _send_nothing  # type: ignore[method-assign]
        gather_loopback(self.transport)
        tap_received(self.transport, self._receive, forward=False)
        self.transport._handle_rtcp_data = self._receive_rtcp  # type: ignore[method-assign, assignment]
        self.connection.on("connectionstatechange", self._changed.set)
        self.connection.on("iceconnectionstatechange", self._changed.set)

    @property
    def transport(self) -> RTCDtlsTransport:
        """DTLS of all sections."""
        return self.connection.getTransceivers()[0].sender.transport

    async def offer(self) -> str:
        """Gather addresses and return the offer."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def accept(self, answer: str) -> None:
        """Take the answer; aiortc connects in the background."""
        kind = ""
        for line in answer.splitlines():
            if line.startswith("m="):
                kind = line[2:].partition(" ")[0]
                self.payload_types[kind] = int(line.split(" ")[3])
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def found(self) -> None:
        """Wait until ICE has found a way; aiortc does not like to be closed before."""
        await self.until(lambda: self.connection.iceConnectionState == "completed")

    async def connected(self) -> None:
        """Wait until packets can flow."""
        await self.until(lambda: self.connection.connectionState == "connected")

    async def ended(self) -> None:
        """Wait until the server has said goodbye."""
        await self.until(lambda: self.connection.connectionState in ("closed", "failed"))

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait for something that packets or the connection's state bring."""
        async with asyncio.timeout(TIMEOUT_S):
            while not is_true():
                self._changed.clear()
                await self._changed.wait()

    async def receive(self, kind: str, count: int) -> list[RtpPacket]:
        """Wait for so many packets of a kind since the beginning and return them."""
        packets = self.received[self.payload_types[kind]]
        await self.until(lambda: len(packets) >= count)
        return packets

    def packet(
        self, kind: str, sequence: int, payload: bytes, *, timestamp: int = 0, marker: bool = True
    ) -> bytes:
        """Write a packet of one of our tracks."""
        number = self.payload_types[kind]
        return write_rtp(RtpPacket(number, marker, sequence, timestamp, SSRCS[kind], {}, payload))

    async def send(self, packet: bytes) -> None:
        """Encrypt and send an RTP or RTCP packet."""
        await self.transport._send_rtp(packet)

    def send_raw(self, datagram: bytes) -> None:
        """Send bytes as they are, from the address that the server knows."""
        pair = self.transport.transport.iceGatherer._connection._nominated[1]
        inner = pair.protocol.transport.get_extra_info("socket")
        # Past asyncio, which does not send empty datagrams.
        with socket.fromfd(inner.fileno(), inner.family, inner.type) as udp:
            udp.sendto(datagram, pair.remote_addr)

    async def close(self) -> None:
        """Say goodbye to the server."""
        await self.connection.close()

    def _receive(self, packet: bytes) -> None:
        parsed = parse_rtp(packet)
        self.received[parsed.payload_type].append(parsed)
        self._changed.set()

    async def _receive_rtcp(self, compound: bytes) -> None:
        self.reports.append(compound)
        self._changed.set()


async def _send_nothing(parameters: RTCRtpSendParameters) -> None:
    """Stand in for a sender that would look for a track fifty times a second."""
    del parameters
