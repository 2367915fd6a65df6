"""A stand-in for the server: real websocket and protocol, aiortc for media, rules set by a test."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from mediasrv.client.sources.encoded import EncodedTrack, encode_frames
from mediasrv.client.sources.pattern import PatternImages, Tone
from mediasrv.client.tracks import AudioTrack, MediaClock
from mediasrv.media import Codec
from mediasrv.transport.aiortc_seam import gather_loopback
from signaling import Limits
from signaling.codec import encode, parse_object, validate
from signaling.messages import (
    CLIENT_MESSAGES,
    ClientMessage,
    Error,
    FilterChanged,
    FilterView,
    Join,
    Joined,
    Leave,
    Left,
    Publish,
    Published,
    ServerMessage,
    SetFilter,
    Subscribe,
    Subscribed,
)

# How long tests wait for real media; only a loaded machine ever needs it.
PATIENCE_S = 30.0

OFF = FilterView(state="off", enabled=False, params={"smooth": 0, "brighten": 0})

Rule = Callable[[ClientMessage], Awaitable[ServerMessage | None]]


class FakeServer:
    """Answers like the server would, unless a rule for that message type says otherwise.

    Attributes:
        url: Where it listens.
        seen: Every client message, in order.
        rules: By message type: what to answer; None answers nothing.
        live: Whether ``joined`` says that the room is live and publishing.
        codec: Of what viewers get.
        media: Peer connections of clients, in the order of their offers.
        images: Images received from hosts.
        keeps_images: Whether their luma is kept, in ``lumas``.
        sounds: Audio frames received from hosts.
    """

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[ClientMessage] = []
        self.rules: dict[str, Rule] = {}
        self.live = True
        self.codec = Codec.VP8
        self.media: list[RTCPeerConnection] = []
        self.images = 0
        self.keeps_images = False
        self.lumas: list = []
        self.sounds = 0
        self._sockets: set = set()
        self._tasks: list[asyncio.Task] = []

    async def say(self, *messages: ServerMessage) -> None:
        """Send events to every client."""
        for message in messages:
            for socket in tuple(self._sockets):
                await socket.send(encode(message))

    async def say_text(self, text: str | bytes) -> None:
        """Send a raw frame to every client."""
        for socket in tuple(self._sockets):
            await socket.send(text)

    async def hang_up(self) -> None:
        """Close every socket, as a restarting server does."""
        for socket in tuple(self._sockets):
            await socket.close(1001)

    def kinds(self) -> list[str]:
        """The types of the messages seen."""
        return [message.type for message in self.seen]

    async def close(self) -> None:
        for connection in self.media:
            await connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve_socket(self, socket) -> None:
        self._sockets.add(socket)
        try:
            async for frame in socket:
                message = validate(parse_object(frame, Limits()), CLIENT_MESSAGES)
                self.seen.append(message)
                rule = self.rules.get(message.type, self._answer)
                reply = await rule(message)
                if reply is not None:
                    reply = reply.model_copy(update={"reply_to": message.id})
                    await socket.send(encode(reply))
        except ConnectionClosed:
            pass
        finally:
            self._sockets.discard(socket)

    async def _answer(self, message: ClientMessage) -> ServerMessage | None:
        match message:
            case Join():
                return self.joined(message)
            case Publish():
                return Published(sdp=await self._answer_media(message.sdp, self._drain))
            case Subscribe():
                return Subscribed(sdp=await self._answer_media(message.sdp, self._supply))
            case SetFilter():
                view = OFF.model_copy(
                    update={"enabled": bool(message.enabled), "params": message.params or {}}
                )
                return FilterChanged(filter=view)
            case Leave():
                return Left(reason="left")
        return Error(code="internal", message=f"no rule for {message.type}")

    def joined(self, message: Join) -> Joined:
        return Joined(
            room=message.room,
            peer="p1",
            role=message.role,
            resume="secret" if message.role == "host" else None,
            grace_s=10.0,
            state="live" if self.live else "waiting",
            publishing=self.live,
            viewers=1,
            filter=OFF,
        )

    async def _answer_media(self, offer: str, prepare) -> str:
        connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self.media.append(connection)
        connection.on(
            "track", lambda track: self._tasks.append(asyncio.create_task(self._drain_track(track)))
        )
        if self.codec is Codec.H264:
            # aiortc answers with the first codec that both know, so leave it no other.
            offer = re.sub(r"(?m)^(m=video \d+ \S+) 97 98", r"\1", offer)
            offer = re.sub(r"(?m)^a=(rtpmap|rtcp-fb|fmtp):(97|98) .*\r\n", "", offer)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        prepare(connection)
        gather_loopback(connection.getTransceivers()[0].sender.transport)
        await connection.setLocalDescription(await connection.createAnswer())
        return connection.localDescription.sdp

    def _drain(self, connection) -> None:
        """Host media is read by the track handler."""

    def _supply(self, connection) -> None:
        clock = MediaClock()
        frames = encode_frames(
            PatternImages(160, 96), self.codec, count=30, keyframe_every=10, bitrate_bps=200_000
        )
        tracks = {"video": EncodedTrack(frames, 30.0, clock), "audio": AudioTrack(Tone(), clock)}
        for transceiver in connection.getTransceivers():
            transceiver.sender.replaceTrack(tracks[transceiver.kind])
            transceiver.direction = "sendonly"

    def _start_draining(self, track) -> None:
        self._tasks.append(asyncio.create_task(self._drain_track(track)))

    async def _drain_track(self, track) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                received = await track.recv()
                if track.kind == "video":
                    self.images += 1
                    if self.keeps_images:
                        self.lumas.append(received.to_ndarray(format="gray"))
                else:
                    self.sounds += 1


@asynccontextmanager
async def fake_server():
    """A running fake server on a port of its own."""
    server = FakeServer()
    try:
        async with serve(server.serve_socket, "127.0.0.1", 0, close_timeout=0.5) as listener:
            port = listener.sockets[0].getsockname()[1]
            server.url = f"http://127.0.0.1:{port}"
            yield server
    finally:
        # After the last handler: a connection must not be closed while it still gathers.
        await server.close()
