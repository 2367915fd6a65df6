"""The benchmark channel: a Unix socket over which one local user asks for the frames of a room.

A client writes one line, ``{"room": NAME}``, and gets a line per frame until it goes; with it goes
the tracing. ``{"count": "tasks"}`` is answered with the number of the event loop's tasks. A client
that reads too slowly loses rows, which are counted in the next one.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from mediasrv.errors import MediaError
from mediasrv.tracing.frames import FrameTracer, Row

logger = logging.getLogger(__name__)

LINE_MAX_BYTES = 1024
WAITING_MAX_BYTES = 1024 * 1024
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


class TraceRefused(MediaError):
    """The room is not there, or somebody traces it already."""


class Traced(Protocol):
    """Whose rooms can be traced."""

    def trace(self, room: str, tracer: FrameTracer | None) -> None:
        """Begin or, with None, end to trace a room.

        Raises:
            TraceRefused: There is no such room, or it is traced already.
        """


class _Client:
    """One connection, and the rows that go to it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._lost = 0

    def send(self, row: Row) -> None:
        """Write a row; never blocks."""
        if self._writer.transport.get_write_buffer_size() > WAITING_MAX_BYTES:
            self._lost += 1
            return
        if self._lost:
            row, self._lost = {**row, "rows_lost": self._lost}, 0
        self._writer.write(json.dumps(row).encode() + b"\n")


@asynccontextmanager
async def trace_channel(
    path: Path, node: Traced, clock: Callable[[], float]
) -> AsyncIterator[None]:
    """Listen at ``path`` for as long as the context is open.

    Only its owner can connect: the socket has mode 0600, and the other side's user is checked.

    Raises:
        OSError: The path is taken or cannot be made.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _is_allowed(writer.get_extra_info("socket")):
                await _serve(reader, _Client(writer), node, clock)
        except (OSError, ValueError, asyncio.LimitOverrunError):
            logger.info("a trace client broke off")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, sock=_bind(path), limit=LINE_MAX_BYTES)
    try:
        async with server:
            yield
    finally:
        _remove(path)


def _bind(path: Path) -> socket.socket:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
        path.unlink()  # left behind by a server that was killed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _is_allowed(peer: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the mode of the socket has to do
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1] in (os.getuid(), 0)


async def _serve(
    reader: asyncio.StreamReader, client: _Client, node: Traced, clock: Callable[[], float]
) -> None:
    rooms: list[str] = []
    try:
        while line := await reader.readline():
            wish = json.loads(line)
            if wish == {"count": "tasks"}:
                client.send({"tasks": len(asyncio.all_tasks())})
            elif isinstance(wish, dict) and isinstance(wish.get("room"), str) and not rooms:
                node.trace(wish["room"], FrameTracer(clock, client.send))
                rooms.append(wish["room"])
                client.send({"tracing": wish["room"]})
            else:
                client.send({"error": "not understood"})
    except TraceRefused as exc:
        client.send({"error": str(exc)})
    finally:
        for room in rooms:
            node.trace(room, None)
