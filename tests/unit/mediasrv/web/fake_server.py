"""A small signalling server for the pages: says what it is told to, fails when it is told to.

It keeps one room, answers offers with aiortc, and shows viewers a pattern (or, with ``relay``, the
host's own picture). It is not the product's server: it lets a test drop sockets, refuse joins and
tell states at will, which a working server does not do.
"""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.contrib.media import MediaBlackhole, MediaRelay
from aiortc.mediastreams import AudioStreamTrack
from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect

from mediasrv.http.pages import install_pages

SCHEMA = {
    "properties": {
        "smooth": {
            "title": "Smooth",
            "description": "Evens out the skin; eyes, brows and lips stay sharp.",
            "minimum": 0,
            "maximum": 100,
            "default": 0,
        },
        "brighten": {
            "title": "Brighten",
            "description": "Lifts the light on the face.",
            "minimum": 0,
            "maximum": 100,
            "default": 0,
        },
    }
}

# Something for the answerer to check until the browser's own checks arrive: our offers carry no
# candidates, and aioice gives up at once when it has none at all. Port 9 is "discard".
STRAW = "candidate:1 1 udp 1 127.0.0.1 9 typ host"


def told_statistics(
    elapsed_s: float, *, sent_bytes: int = 0, packets: int = 0, lost: int = 0, loss: float = 0.0
) -> dict[str, Any]:
    """A ``statistics`` message with one track and one viewer; its type is left out."""
    track = {
        "kind": "video",
        "received": {"packets": packets, "bytes": 0, "lost": lost, "nacks": 0, "given_up": 0},
        "sent": {"packets": 0, "bytes": sent_bytes, "repaired": packets // 100},
    }
    return {
        "elapsed_s": elapsed_s,
        "viewers": 1,
        "forward_ms": {"p50": 0.2, "p95": 1.25, "p99": 3.0},
        "tracks": [track],
        "peers": [{"peer": "p", "rtt_ms": 41.6, "loss": loss}],
    }


@dataclass
class Peer:
    """One joined websocket."""

    socket: WebSocket
    role: str
    pc: RTCPeerConnection | None = None


@dataclass
class FakeServer:
    """Knobs to turn from the test's thread; everything else runs in the server's loop."""

    relay: bool = False
    schema: dict[str, Any] | None = field(default_factory=lambda: SCHEMA)
    rooms: list[dict[str, Any]] | None = field(default_factory=list)
    refuse: dict[str, dict[str, Any]] = field(default_factory=dict)
    received: list[dict[str, Any]] = field(default_factory=list)
    filter: dict[str, Any] = field(
        default_factory=lambda: {
            "state": "off",
            "enabled": False,
            "params": {"smooth": 0, "brighten": 0},
            "reason": None,
        }
    )
    statistics: dict[str, Any] = field(default_factory=lambda: told_statistics(0))
    state: str = "waiting"
    token: str = "token-1"
    publishing: bool | None = None
    url: str = ""

    def __post_init__(self) -> None:
        self._peers: list[Peer] = []
        self._relay = MediaRelay()
        self._tracks: dict[str, Any] = {}
        self._host_pc: RTCPeerConnection | None = None
        self._sinks: list[MediaBlackhole] = []
        self._viewer_pcs: list[RTCPeerConnection] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    # From the test's thread

    def messages(self, kind: str) -> list[dict[str, Any]]:
        """Everything received of one type."""
        return [message for message in list(self.received) if message["type"] == kind]

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run in the server's loop and wait."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def say(self, role: str, kind: str, **fields: Any) -> None:
        """Send one message to every peer of a role."""
        self.do(self._broadcast(role, {"type": kind, **fields}))

    def drop_sockets(self, role: str) -> None:
        """Close the websockets of a role as a dying network does: without a word."""
        self.do(self._drop(role))

    def mute_media(self) -> None:
        """Stop sending pictures and sound while the connections stay up."""
        self.do(self._mute_media())

    def forget_media(self) -> None:
        """Close every media connection."""
        self.do(self._close_media())

    # In the server's loop

    async def _drop(self, role: str) -> None:
        for peer in [peer for peer in self._peers if peer.role == role]:
            await peer.socket.close(1012)

    async def _broadcast(self, role: str, message: dict[str, Any]) -> None:
        for peer in list(self._peers):
            if role in (peer.role, "all"):
                with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                    await peer.socket.send_json(message)

    async def _mute_media(self) -> None:
        for pc in self._viewer_pcs:
            for sender in pc.getSenders():
                await sender.stop()

    async def _close_media(self) -> None:
        for sink in self._sinks:
            await sink.stop()
        pcs = [pc for pc in (self._host_pc, *self._viewer_pcs) if pc]
        self._sinks, self._viewer_pcs, self._host_pc, self._tracks = [], [], None, {}
        await asyncio.gather(*(pc.close() for pc in pcs))

    def _is_publishing(self) -> bool:
        if self.publishing is not None:
            return self.publishing
        return self._host_pc is not None or self.state == "live"

    async def _count_viewers(self) -> None:
        viewers = sum(peer.role == "viewer" for peer in self._peers)
        await self._broadcast("all", {"type": "viewers_changed", "viewers": viewers})

    async def serve_socket(self, socket: WebSocket) -> None:
        """Speak with one peer until it is gone."""
        await socket.accept()
        peer: Peer | None = None
        try:
            while True:
                message = json.loads(await socket.receive_text())
                self.received.append(message)
                if refusal := self.refuse.get(message["type"]):
                    await _reply(socket, message, {"type": "error", **refusal})
                elif message["type"] == "join":
                    peer = Peer(socket, message["role"])
                    self._peers.append(peer)
                    await self._join(peer, message)
                elif peer:
                    await self._handle(peer, message)
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            if peer in self._peers:
                self._peers.remove(peer)
                await self._count_viewers()

    async def _join(self, peer: Peer, message: dict[str, Any]) -> None:
        joined = {
            "type": "joined",
            "version": 1,
            "room": message["room"],
            "peer": "p1",
            "role": peer.role,
            "resume": self.token if peer.role == "host" else None,
            "grace_s": 10,
            "state": self.state,
            "publishing": self._is_publishing(),
            "viewers": sum(one.role == "viewer" for one in self._peers),
            "filter": self.filter,
        }
        await _reply(peer.socket, message, joined)
        await self._count_viewers()

    async def _handle(self, peer: Peer, message: dict[str, Any]) -> None:
        handlers: dict[str, Callable[[Peer, dict[str, Any]], Awaitable[None]]] = {
            "publish": self._publish,
            "unpublish": self._unpublish,
            "subscribe": self._subscribe,
            "set_filter": self._set_filter,
            "watch_statistics": self._watch_statistics,
            "leave": self._leave,
        }
        await handlers[message["type"]](peer, message)

    async def _publish(self, peer: Peer, message: dict[str, Any]) -> None:
        if self._host_pc:
            await self._host_pc.close()
        pc = self._host_pc = RTCPeerConnection()
        sink = MediaBlackhole()
        self._sinks.append(sink)

        @pc.on("track")
        def taken(track: Any) -> None:
            self._tracks[track.kind] = track
            sink.addTrack(self._relay.subscribe(track, buffered=False))

        sdp = await _answer(pc, message["sdp"])
        await _reply(peer.socket, message, {"type": "published", "sdp": sdp})
        await sink.start()
        self.state = "live"
        await self._broadcast("viewer", {"type": "host_live"})

    async def _unpublish(self, peer: Peer, message: dict[str, Any]) -> None:
        await self._close_media()
        self.state = "waiting"
        await _reply(peer.socket, message, {"type": "unpublished"})
        await self._broadcast("viewer", {"type": "host_left", "reason": "stopped"})

    async def _subscribe(self, peer: Peer, message: dict[str, Any]) -> None:
        pc = peer.pc = RTCPeerConnection()
        self._viewer_pcs.append(pc)
        for kind, pattern in (("video", VideoStreamTrack), ("audio", AudioStreamTrack)):
            shown = self._tracks.get(kind) if self.relay else None
            pc.addTrack(self._relay.subscribe(shown, buffered=False) if shown else pattern())
        sdp = await _answer(pc, message["sdp"])
        await _reply(peer.socket, message, {"type": "subscribed", "sdp": sdp})

    async def _watch_statistics(self, peer: Peer, message: dict[str, Any]) -> None:
        await _reply(peer.socket, message, {"type": "statistics", **self.statistics})

    async def _set_filter(self, peer: Peer, message: dict[str, Any]) -> None:
        if message.get("consent") is not None:
            self.filter["consent"] = message["consent"]
        if message.get("enabled") and not self.filter.get("consent"):
            refusal = {"type": "error", "code": "consent_required", "message": "agree first"}
            await _reply(peer.socket, message, refusal)
            return
        self.filter["params"] |= message.get("params") or {}
        if message.get("enabled") is not None:
            self.filter["enabled"] = message["enabled"]
            self.filter["state"] = "on" if message["enabled"] else "off"
        await _reply(peer.socket, message, {"type": "filter_changed", "filter": self.filter})

    async def _leave(self, peer: Peer, message: dict[str, Any]) -> None:
        await _reply(peer.socket, message, {"type": "left", "reason": "left"})
        await peer.socket.close(1000)

    def app(self) -> FastAPI:
        """The pages, the two API answers they need, and the websocket."""
        app = FastAPI()

        @app.get("/api/rooms")
        async def rooms() -> Any:
            return {"rooms": self.rooms} if self.rooms is not None else Response(status_code=503)

        @app.get("/api/filters")
        async def filters() -> Any:
            return self.schema or Response(status_code=503)

        app.add_api_websocket_route("/ws", self.serve_socket)
        install_pages(app)
        return app

    async def serve(self, listening: socket.socket, stop: threading.Event) -> None:
        """Serve until ``stop`` is set."""
        config = uvicorn.Config(
            self.app(), log_level="error", ws="websockets-sansio", lifespan="off"
        )
        server = uvicorn.Server(config)
        self._loop = asyncio.get_running_loop()
        serving = asyncio.create_task(server.serve([listening]))
        await asyncio.to_thread(stop.wait)
        await self._close_media()
        await self._drop("host")
        await self._drop("viewer")
        server.should_exit = True
        await serving


async def _reply(socket: WebSocket, asked: dict[str, Any], answer: dict[str, Any]) -> None:
    reply_to = {"reply_to": asked["id"]} if "id" in asked else {}
    await socket.send_json({**answer, **reply_to})


async def _answer(pc: RTCPeerConnection, offer: str) -> str:
    lines = []
    for line in offer.splitlines():
        lines.append(line)
        if line.startswith("a=mid:"):
            lines.append(f"a={STRAW}")
    await pc.setRemoteDescription(RTCSessionDescription("\r\n".join(lines) + "\r\n", "offer"))
    await pc.setLocalDescription(await pc.createAnswer())
    return str(pc.localDescription.sdp)


@contextlib.contextmanager
def running(server: FakeServer) -> Iterator[FakeServer]:
    """Run the server in a thread of its own, on a free port of this machine."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(listening, stop)))
        thread.start()
        try:
            yield server
        finally:
            stop.set()
            thread.join(10)
