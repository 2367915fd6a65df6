"""One WebRTC connection to the server, from our offer to its close."""

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable
from time import monotonic
from urllib.parse import urlsplit

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcdtlstransport import RTCDtlsTransport

from mediasrv.client.errors import MediaNotConnected
from mediasrv.media import Codec
from mediasrv.transport.aiortc_seam import gather_loopback

# The server frees a session that has not connected by then, so waiting longer is in vain.
CONNECT_TIMEOUT_S = 15.0

_MIME_TYPES = {Codec.VP8: "video/vp8", Codec.H264: "video/h264"}
_CANDIDATES = re.compile(r"(?m)^a=(?:candidate:.*|end-of-candidates)\r?\n")
_RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([^/\s]+)/")
_FMTP_APT = re.compile(r"^a=fmtp:(\d+) .*\bapt=(\d+)")


class MediaPath:
    """A peer connection that offers once.

    Attributes:
        connection: aiortc's connection; add transceivers before ``negotiate``.
        offered_s: When the offer was begun, on the monotonic clock; None before.
        connected_s: When media could flow; None before.
    """

    def __init__(self, url: str, changed: Callable[[], None]) -> None:
        self.connection = RTCPeerConnection(
            # No servers: ours has addresses of its own, and nobody else is to be contacted.
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self.offered_s: float | None = None
        self.connected_s: float | None = None
        self._loopback = is_loopback(url)
        self._changed = changed
        self._gathering: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self.connection.on("connectionstatechange", self._state_changed)

    @property
    def lost(self) -> bool:
        """True when the connection failed or the server closed it."""
        return self._closing is None and self.connection.connectionState in ("failed", "closed")

    @property
    def connect_ms(self) -> float | None:
        """From beginning the offer to a connected transport, once that is."""
        if self.offered_s is None or self.connected_s is None:
            return None
        return round(1000 * (self.connected_s - self.offered_s), 1)

    @property
    def transport(self) -> RTCDtlsTransport:
        """The one transport that carries everything; exists once a transceiver was added."""
        return self.connection.getTransceivers()[0].sender.transport

    def add_sending(self, track: MediaStreamTrack, codec: Codec | None = None) -> RTCRtpTransceiver:
        """Offer to send a track, in one codec if that is given."""
        transceiver = self.connection.addTransceiver(track, direction="sendonly")
        if codec is not None:
            capabilities = RTCRtpSender.getCapabilities(track.kind).codecs
            chosen = [c for c in capabilities if c.mimeType.lower() == _MIME_TYPES[codec]]
            rtx = [c for c in capabilities if c.mimeType.lower() == "video/rtx"]
            transceiver.setCodecPreferences(chosen + rtx)
        return transceiver

    def add_receiving(self, kind: str) -> RTCRtpTransceiver:
        """Offer to receive ``audio`` or ``video``."""
        return self.connection.addTransceiver(kind, direction="recvonly")

    async def negotiate(self, exchange: Callable[[str], Awaitable[str]]) -> str:
        """Create the offer, exchange it for the answer, and apply both.

        Args:
            exchange: Takes the offer to the server and returns its answer.

        Returns:
            The answer.

        Raises:
            MediaNotConnected: The answer cannot be used.
        """
        self.offered_s = monotonic()
        if self._loopback:
            gather_loopback(self.transport)
        self._gathering = asyncio.create_task(self._gather())
        await asyncio.shield(self._gathering)
        answer = await exchange(self.connection.localDescription.sdp)
        try:
            await self.connection.setRemoteDescription(
                RTCSessionDescription(sdp=with_candidates_everywhere(answer), type="answer")
            )
        except (InvalidAccessError, InvalidStateError, OperationError, ValueError) as exc:
            raise MediaNotConnected(f"the server's answer cannot be used: {exc}") from exc
        return answer

    async def connect(self) -> None:
        """Wait until media can flow.

        Raises:
            MediaNotConnected: The path failed or took too long.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                while self.connected_s is None and not self.lost:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError as exc:
            raise MediaNotConnected(
                f"no media path to the server within {CONNECT_TIMEOUT_S:g} s; is its UDP port open?"
            ) from exc
        if self.connected_s is None:
            raise MediaNotConnected("the media path to the server failed")

    async def close(self) -> None:
        """Close the connection; doing it again, after a cancelled attempt say, is fine."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        # aiortc breaks when somebody who waits for its close is cancelled.
        await asyncio.shield(self._closing)

    async def _gather(self) -> None:
        await self.connection.setLocalDescription(await self.connection.createOffer())

    async def _close(self) -> None:
        if self._gathering is not None:
            # aioice forgets the sockets of a gathering that was cancelled, so it always ends.
            await asyncio.wait([self._gathering])
        await self.connection.close()

    def _state_changed(self) -> None:
        if self.connection.connectionState == "connected" and self.connected_s is None:
            self.connected_s = monotonic()
        self._moved.set()
        self._changed()


def is_loopback(url: str) -> bool:
    """Say whether a server's address names this machine."""
    host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def with_candidates_everywhere(answer: str) -> str:
    """Repeat the candidates of the first media section in those that have none.

    One section of a bundle is enough (RFC 9143 section 7.3), but aiortc takes them from the last.
    """
    session, *sections = re.split(r"(?m)^(?=m=)", answer)
    candidates = "".join(_CANDIDATES.findall(sections[0])) if sections else ""
    return session + "".join(
        section if _CANDIDATES.search(section) else section + candidates for section in sections
    )


def negotiated_codecs(answer: str) -> tuple[dict[int, tuple[str, str]], dict[int, int]]:
    """Read from an answer which payload type is what.

    Returns:
        Kind and lower-case codec name by payload type, and for the payload types of
        retransmissions (RFC 4588) the one that each repeats.
    """
    kinds: dict[int, tuple[str, str]] = {}
    repeats: dict[int, int] = {}
    kind = ""
    for line in answer.splitlines():
        if line.startswith("m="):
            kind = line[2:].split(" ", 1)[0]
        elif (match := _RTPMAP.match(line)) and match[2].lower() != "rtx":
            kinds[int(match[1])] = (kind, match[2].lower())
        elif match := _FMTP_APT.match(line):
            repeats[int(match[1])] = int(match[2])
    return kinds, repeats
