"""A node with a clock of its own, transports that only remember, and clients that speak JSON."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from mediasrv.media import Codec, EncodedFrame
from mediasrv.node import Connection, Node, new_peer_id, new_resume_token
from mediasrv.processing import FilterState
from mediasrv.relay.lanes import PlainGroup
from mediasrv.relay.rtp import RtpPacket, parse_rtp
from mediasrv.rooms import Directory
from mediasrv.transport.addresses import Candidate, candidates
from mediasrv.transport.endpoint import TransportEndpoint
from mediasrv.transport.ice import IceCredentials
from mediasrv.transport.offer import Offer
from mediasrv.transport.peer import PeerHandler
from signaling.errors import Close, SignalingError
from signaling.messages import FilterView, ServerMessage
from signaling.server import ServerProtocol
from tests.sdp_offers import offer_text

OFF = FilterView(state="off", enabled=False, params={"smooth": 40, "brighten": 10})
HOST_OFFER = offer_text("chromium-host")
VIEWER_OFFER = offer_text("chromium-viewer")


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeTransport:
    """Stands where the node expects a PeerTransport; keeps what is sent."""

    def __init__(self, offer: Offer, handler: PeerHandler, closed: Callable[[], None]) -> None:
        self.offer = offer
        self.handler = handler
        self.ice = SimpleNamespace(credentials=IceCredentials.generate())
        self.buffer = bytearray(256 * 1024)
        self.overhead_bytes = 16
        self.route = 0
        self.sent: list[RtpPacket] = []
        self.reports: list[bytes] = []
        self.reason: str | None = None
        self._closed = closed

    def send_packets(
        self, spans: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int]]
    ) -> bool:
        """Keep the packets."""
        del runs
        self.sent += [parse_rtp(bytes(self.buffer[start : start + size])) for start, size in spans]
        return True

    def send_rtcp(self, packet: bytes) -> None:
        """Keep the report."""
        self.reports.append(packet)

    def close(self, reason: str) -> None:
        """End, once."""
        if self.reason is None:
            self.reason = reason
            self._closed()
            self.handler.closed(reason)


class FakeEndpoint:
    """Stands where the node expects a TransportEndpoint.

    Attributes:
        transports: All that were ever opened, in order.
        open_transports: Those that are not closed.
    """

    fingerprint = ("sha-256", "AB:CD")
    port = 4000

    def __init__(self) -> None:
        self.burst = SimpleNamespace(group=PlainGroup)
        self.transports: list[FakeTransport] = []
        self.open_transports: list[FakeTransport] = []

    def candidates(self) -> list[Candidate]:
        """Announce one address."""
        return candidates(["192.0.2.1"], self.port)

    def open_peer(
        self, offer: Offer, handler: PeerHandler, *, is_frugal: bool = False
    ) -> FakeTransport:
        """Open a transport that is connected when the test says so."""
        del is_frugal
        made = FakeTransport(offer, handler, lambda: self.open_transports.remove(made))
        self.transports.append(made)
        self.open_transports.append(made)
        return made


class FakeStream:
    """Stands where the room expects a worker's stream."""

    def __init__(
        self,
        codec: Codec,
        parameters: Mapping[str, int],
        *,
        on_frame: Callable[[EncodedFrame], None],
        on_state: Callable[[FilterState, str | None], None],
        on_keyframe_needed: Callable[[], None],
    ) -> None:
        self.codec = codec
        self.parameters = dict(parameters)
        self.on_frame = on_frame
        self.on_state = on_state
        self.on_keyframe_needed = on_keyframe_needed
        self.frames: list[EncodedFrame] = []
        self.keyframe_requests = 0
        self.reason: str | None = None

    async def open(self) -> None:
        """Be ready at once."""
        self.on_state(FilterState.ON, None)
        self.on_keyframe_needed()

    def feed(self, frame: EncodedFrame) -> bool:
        """Keep the frame."""
        self.frames.append(frame)
        return True

    def configure(self, parameters: Mapping[str, int]) -> None:
        """Keep the strengths."""
        self.parameters = dict(parameters)

    def aim_at(self, target_bitrate_bps: int) -> None:
        """Encodes nothing, so any rate will do."""

    def trace(self, on_times: object) -> None:
        del on_times

    def request_keyframe(self) -> None:
        """Count."""
        self.keyframe_requests += 1

    async def close(self, reason: str) -> None:
        """Keep the reason."""
        await asyncio.sleep(0)
        self.reason = reason


class FakeStreams:
    """Makes streams and keeps them."""

    def __init__(self) -> None:
        self.made: list[FakeStream] = []

    def __call__(self, codec: Codec, parameters: Mapping[str, int], **calls: Any) -> FakeStream:
        """Make one."""
        self.made.append(FakeStream(codec, parameters, **calls))
        return self.made[-1]


class Caller:
    """A client's websocket without the socket: JSON in, JSON out, through the real protocol."""

    def __init__(self, node: Node, clock: Callable[[], float]) -> None:
        self.protocol = ServerProtocol(clock())
        self.connection: Connection | None = None
        self._node = node
        self._clock = clock
        self._unread: list[dict[str, Any]] = []

    async def open(self) -> "Caller":
        """Connect."""
        self.connection = await self._node.connect(self)
        return self

    def send(self, message: ServerMessage) -> None:
        """Take a message of the node, as its outbox."""
        self.protocol.send(message)

    async def say(self, frame: str | bytes) -> None:
        """Send one frame as the websocket adaptor would hand it on."""
        assert self.connection is not None
        message = self.protocol.receive(frame, self._clock())
        if message is None:
            return
        try:
            await self._node.handle(self.connection, message)
        except SignalingError as error:
            self.protocol.refuse(
                error.code, error.text, message.id, retry_after_s=error.retry_after_s
            )

    async def ask(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Send a message and return what was told since the last look, the answer included."""
        await self.say(json.dumps({"type": kind, "id": "q", **fields}))
        return self.told()

    def told(self) -> list[dict[str, Any]]:
        """Take what the node has told, but for the number of viewers."""
        found = [json.loads(frame) for frame in self.protocol.frames()]
        return [message for message in found if message["type"] != "viewers_changed"]

    def types(self) -> list[str]:
        """Take the types of what the node has told."""
        return [message["type"] for message in self.told()]

    @property
    def close(self) -> Close | None:
        """How the server ended the connection."""
        return self.protocol.close

    async def drop(self) -> None:
        """Lose the connection."""
        assert self.connection is not None
        await self._node.disconnect(self.connection)


class Stage:
    """A node, its fakes and its clients."""

    def __init__(self, node: Node, endpoint: FakeEndpoint, streams: FakeStreams, clock: Clock):
        self.node = node
        self.endpoint = endpoint
        self.streams = streams
        self.clock = clock
        self.warmed = 0

    async def caller(self) -> Caller:
        """Open a connection that has not joined."""
        return await Caller(self.node, self.clock).open()

    async def joined(
        self, role: str, room: str = "r", **fields: Any
    ) -> tuple[Caller, dict[str, Any]]:
        """Open a connection and join; returns what ``joined`` said as well."""
        caller = await self.caller()
        answer = await caller.ask("join", version=1, room=room, role=role, **fields)
        assert answer[0]["type"] == "joined", answer
        return caller, answer[0]

    async def live_host(self, room: str = "r") -> tuple[Caller, FakeTransport]:
        """Let a host join and publish, and its media connect."""
        caller, _ = await self.joined("host", room)
        return caller, await self.publish(caller)

    async def publish(self, caller: Caller) -> FakeTransport:
        """Publish and connect the media."""
        answer = await caller.ask("publish", sdp=HOST_OFFER)
        assert answer[-1]["type"] == "published", answer
        transport = self.endpoint.transports[-1]
        transport.handler.connected()
        return transport

    async def watching(self, room: str = "r") -> tuple[Caller, FakeTransport]:
        """Let a viewer join a live room and subscribe, and its media connect."""
        caller, _ = await self.joined("viewer", room)
        return caller, await self.subscribe(caller)

    async def subscribe(self, caller: Caller) -> FakeTransport:
        """Subscribe and connect the media."""
        answer = await caller.ask("subscribe", sdp=VIEWER_OFFER)
        assert answer[-1]["type"] == "subscribed", answer
        transport = self.endpoint.transports[-1]
        transport.handler.connected()
        return transport

    def wait(self, seconds: float) -> None:
        """Let time pass, and the node's timer run once."""
        self.clock.now += seconds
        self.node.tick(self.clock.now)


@asynccontextmanager
async def node_stage():
    """Open a node on a stage; at the end nothing of it may be left."""
    clock, endpoint, streams = Clock(), FakeEndpoint(), FakeStreams()
    stage: Stage

    def host_arrived() -> None:
        stage.warmed += 1

    node = Node(
        cast("TransportEndpoint", endpoint),
        streams,
        clock=clock,
        initial_filter=OFF,
        directory=Directory(new_id=new_peer_id, new_token=new_resume_token, initial_filter=OFF),
        host_arrived=host_arrived,
    )
    stage = Stage(node, endpoint, streams, clock)
    async with node:
        yield stage
    assert endpoint.open_transports == []
    assert all(stream.reason is not None for stream in streams.made)


def types(messages: list[dict[str, Any]]) -> list[str]:
    """What was said, without the contents."""
    return [message["type"] for message in messages]


def error_code(messages: list[dict[str, Any]]) -> str:
    """The code of the one error among the answers to a request."""
    (error,) = [message for message in messages if message["type"] == "error"]
    assert error["reply_to"] == "q"
    code: str = error["code"]
    return code
