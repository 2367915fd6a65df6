"""Stock aiortc as a subject: decode once, MediaRelay, one RTCPeerConnection and encoder a viewer.

Run as a program it is the server, written as aiortc's own examples are.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.load.peer import LightPeer
from benchmarks.load.sdp import RemoteSide, read_remote, write_offer
from benchmarks.load.signalling import Publishing
from benchmarks.load.subject import Subject, settle
from benchmarks.rig.live_server import REPOSITORY

# More saturate a core: each viewer has an encoder.
VIEWERS_MAX = 5
STOP_TIMEOUT_S = 10.0


class AiortcSignalling(Publishing):
    """One websocket per exchange: an offer goes, the answer comes."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def publish(self, peer: LightPeer, ssrcs: dict[str, int]) -> RemoteSide:
        """Become the host."""
        return await self._exchange("host", write_offer(peer.local, "sendonly", ssrcs, "active"))

    async def subscribe(self, peer: LightPeer) -> RemoteSide:
        """Become one more viewer."""
        return await self._exchange("viewer", write_offer(peer.local, "recvonly", None, "active"))

    async def _exchange(self, role: str, offer: str) -> RemoteSide:
        async with connect(self._url) as socket:
            await socket.send(json.dumps({"role": role, "sdp": offer}))
            return read_remote(str(await socket.recv()))


@contextmanager
def aiortc_server(core: int, address: str) -> Iterator[Subject]:
    """Start the stock server on ``core``."""
    del address
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "benchmarks.load.stock_aiortc"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=partial(settle, 0, core),  # noqa: PLW1509
    )
    try:
        assert process.stdout is not None
        signalling = AiortcSignalling(process.stdout.readline().strip())
        yield Subject("aiortc", process.pid, signalling, signalling, keeps_timestamps=False)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Relay:
    """The server: whoever comes as host is relayed to whoever comes as viewer."""

    def __init__(self) -> None:
        self._relay = MediaRelay()
        self._tracks: list[MediaStreamTrack] = []
        self._connections: list[RTCPeerConnection] = []

    async def answer(self, socket: ServerConnection) -> None:
        """Answer one offer."""
        request = json.loads(await socket.recv())
        connection = RTCPeerConnection()
        self._connections.append(connection)
        if request["role"] == "host":
            connection.on("track", self._tracks.append)
        else:
            for track in self._tracks:
                connection.addTrack(self._relay.subscribe(track))
        await connection.setRemoteDescription(RTCSessionDescription(request["sdp"], "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        await socket.send(connection.localDescription.sdp)


async def _serve() -> None:
    relay = _Relay()
    async with serve(relay.answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"ws://127.0.0.1:{port}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
