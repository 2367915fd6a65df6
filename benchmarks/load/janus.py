"""Debian's Janus as a subject: one RTP mountpoint of its streaming plugin, watched by many."""

import asyncio
import itertools
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from benchmarks.load.peer import LightPeer
from benchmarks.load.sdp import RemoteSide, read_remote, write_answer
from benchmarks.load.signalling import Signalling
from benchmarks.load.subject import PlainTarget, Subject, settle

MOUNTPOINT = 1
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 20.0
KEEP_ALIVE_S = 20.0

MISSING = (
    "Janus is not installed; to compare with it: apt-get install --no-install-recommends janus"
)

_PLUGINS = "audiobridge duktape echotest lua nosip recordplay sip textroom videocall videoroom"
_TRANSPORTS = "http mqtt nanomsg pfunix rabbitmq"

# One event loop is the cheapest way to run Janus on one core; a thread per viewer is its default.
_CORE = """
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{libraries}/plugins"
    transports_folder = "{libraries}/transports"
    events_folder = "{folder}"
    loggers_folder = "{folder}"
    debug_level = 2
    event_loops = 1
}}
nat: {{
    ice_lite = true
    ice_enforce_list = "{address}"
}}
media: {{
    ipv6 = false
}}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
_WEBSOCKETS = """
general: {{
    json = "compact"
    ws = true
    ws_port = {port}
    ws_ip = "127.0.0.1"
    wss = false
}}
admin: {{
    admin_ws = false
    admin_wss = false
}}
"""
_STREAMING = """
fanout: {{
    type = "rtp"
    id = {mountpoint}
    media = (
        {{ type = "audio", mid = "a", port = {audio}, pt = 111, codec = "opus" }},
        {{ type = "video", mid = "v", port = {video}, pt = 96, codec = "vp8", bufferkf = true }}
    )
}}
"""


class JanusSignalling(Signalling):
    """One websocket and one session, a handle per viewer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._session = 0

    async def open(self) -> None:
        """Connect and begin the session that all handles belong to."""
        protocol = Subprotocol("janus-protocol")
        self._socket = await connect(self._url, subprotocols=[protocol], max_size=2**22)
        self._tasks = [asyncio.create_task(self._read(self._socket))]
        self._session = (await self._ask("create"))["data"]["id"]
        self._tasks.append(asyncio.create_task(self._keep_alive()))

    async def close(self) -> None:
        """End the session."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    async def subscribe(self, peer: LightPeer) -> RemoteSide:
        """Watch the mountpoint; Janus offers, the viewer answers."""
        attached = await self._ask("attach", plugin="janus.plugin.streaming")
        handle = attached["data"]["id"]
        watching = await self._tell(handle, {"request": "watch", "id": MOUNTPOINT})
        offer = watching["jsep"]["sdp"]
        answer = {"type": "answer", "sdp": write_answer(peer.local, offer)}
        await self._tell(handle, {"request": "start"}, jsep=answer)
        return read_remote(offer)

    async def _tell(self, handle: int, body: dict[str, Any], **more: object) -> dict[str, Any]:
        return await self._ask("message", handle_id=handle, body=body, **more)

    async def _ask(self, verb: str, **fields: object) -> dict[str, Any]:
        assert self._socket is not None
        number = str(next(self._numbers))
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        message = {"janus": verb, "transaction": number, **fields}
        if self._session:
            message["session_id"] = self._session
        await self._socket.send(json.dumps(message))
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            received: dict[str, Any] = await answer
        plugin = received.get("plugindata", {}).get("data", {})
        if received["janus"] == "error" or "error" in plugin:
            raise RuntimeError(f"Janus refused: {json.dumps(received)}")
        return received

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                message = json.loads(text)
                # An acknowledgement comes first where the answer takes a while.
                waiting = self._waiting.get(message.get("transaction", ""))
                if message["janus"] != "ack" and waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except ConnectionClosed:
            return

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            assert self._socket is not None
            message = {"janus": "keepalive", "session_id": self._session, "transaction": "alive"}
            await self._socket.send(json.dumps(message))


def find_janus() -> tuple[str, Path] | None:
    """Return the program and the folder of its plugins, None when it is not installed."""
    program = shutil.which("janus")
    libraries = next(Path("/usr/lib").glob("*/janus"), None)
    return (program, libraries) if program and libraries else None


@contextmanager
def janus_server(core: int, address: str) -> Iterator[Subject]:
    """Start Janus on ``core``, reached at ``address``.

    Raises:
        FileNotFoundError: It is not installed.
    """
    found = find_janus()
    if found is None:
        raise FileNotFoundError(MISSING)
    program, libraries = found
    websocket, audio, video = _free_port(socket.SOCK_STREAM), *_free_ports()
    with tempfile.TemporaryDirectory(prefix="janus-") as name:
        folder = Path(name)
        _configure(folder, libraries, address, websocket, audio, video)
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [program, "-F", name],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=partial(settle, 0, core),  # noqa: PLW1509
            )
            try:
                _wait_for(process, websocket, folder / "log")
                yield Subject(
                    "janus",
                    process.pid,
                    JanusSignalling(f"ws://127.0.0.1:{websocket}"),
                    PlainTarget("127.0.0.1", {"audio": audio, "video": video}),
                )
            finally:
                _end(process)


def _configure(
    folder: Path, libraries: Path, address: str, websocket: int, audio: int, video: int
) -> None:
    core = _CORE.format(
        folder=folder,
        libraries=libraries,
        address=address,
        plugins=",".join(f"libjanus_{name}.so" for name in _PLUGINS.split()),
        transports=",".join(f"libjanus_{name}.so" for name in _TRANSPORTS.split()),
    )
    streaming = _STREAMING.format(mountpoint=MOUNTPOINT, audio=audio, video=video)
    (folder / "janus.jcfg").write_text(core)
    (folder / "janus.transport.websockets.jcfg").write_text(_WEBSOCKETS.format(port=websocket))
    (folder / "janus.plugin.streaming.jcfg").write_text(streaming)


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free_ports() -> tuple[int, int]:
    audio = _free_port(socket.SOCK_DGRAM)
    video = audio
    while video == audio:
        video = _free_port(socket.SOCK_DGRAM)
    return audio, video


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and process.poll() is None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"Janus did not start:\n{log.read_text()[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
