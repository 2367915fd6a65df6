"""The one websocket adaptor: a Starlette websocket on one side, ``ServerProtocol`` on the other.

Each connection has a reader, a writer and a bounded outbox, and fails alone: a client that sends
rubbish, stops reading or meets a bug of ours ends its own connection and nobody else's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Protocol, TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from mediasrv.http.origin import is_allowed_origin
from mediasrv.http.outbox import OUTBOX_MESSAGES, Clock, SocketOutbox
from signaling.errors import (
    INTERNAL_ERROR,
    TRY_AGAIN_LATER,
    Close,
    ErrorCode,
    SignalingError,
    error_of,
)
from signaling.messages import ClientMessage
from signaling.server import Outbox, ServerProtocol

# For the last frames and the close frame to leave, when the client reads slowly or not at all.
FLUSH_TIMEOUT_S = 5.0

logger = logging.getLogger(__name__)

Handle = TypeVar("Handle")


class SignalingNode(Protocol[Handle]):
    """What stands behind the websockets. The handle is the node's own name for a connection."""

    async def connect(self, outbox: Outbox) -> Handle:
        """Note a new connection, which may be sent messages by its outbox from now on.

        Raises:
            SignalingError: The connection is not wanted; it is told why and closed.
        """

    async def handle(self, handle: Handle, message: ClientMessage) -> None:
        """Act on a message that is valid and in order, and answer by the outbox.

        Calls of one connection never overlap. A call is cancelled when its connection ends.

        Raises:
            SignalingError: The request fails; the client is told why.
        """

    async def disconnect(self, handle: Handle) -> None:
        """Note that a connection is gone, however it went. Called exactly once."""


async def serve_websocket(
    websocket: WebSocket,
    node: SignalingNode[Handle],
    *,
    clock: Clock,
    allowed_origins: Collection[str] = (),
) -> None:
    """Serve one client from handshake to close.

    Args:
        websocket: Not yet accepted.
        node: Who acts on messages.
        clock: Monotonic seconds.
        allowed_origins: Origins beside our own, as ``scheme://host[:port]``, whose pages may
            connect. Any other page gets 403; what is not a browser sends no Origin.
    """
    if not is_allowed_origin(websocket.headers, allowed_origins):
        logger.info("refused a websocket from a foreign origin")
        await websocket.close()  # before accept() this is a 403
        return
    await websocket.accept()
    outbox = SocketOutbox(ServerProtocol(clock()), clock, OUTBOX_MESSAGES)
    async with asyncio.TaskGroup() as group:
        writer = group.create_task(_guarded(outbox, lambda: _write(websocket, outbox)))
        await _attend(websocket, outbox, node)
        # A client that does not read may keep both of these waiting for ever.
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await asyncio.wait([writer])
                await _close(websocket, outbox.close)
        writer.cancel()


async def _attend(websocket: WebSocket, outbox: SocketOutbox, node: SignalingNode[Handle]) -> None:
    """Keep the node informed of this connection until the connection has to end."""
    try:
        handle = await node.connect(outbox)
    except SignalingError as error:
        outbox.refuse(error)
        outbox.end(Close(TRY_AGAIN_LATER, error.code))
        return
    except Exception:
        logger.exception("a connection could not be admitted")
        outbox.end(Close(INTERNAL_ERROR, ErrorCode.INTERNAL))
        return
    try:
        await _read_until_ended(websocket, outbox, node, handle)
    finally:
        await _guarded(outbox, lambda: node.disconnect(handle))


async def _read_until_ended(
    websocket: WebSocket, outbox: SocketOutbox, node: SignalingNode[Handle], handle: Handle
) -> None:
    handling = asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(
            _guarded(outbox, lambda: _read(websocket, outbox, node, handle, handling))
        )
        await outbox.ended()
        # The message at hand may be what ends the connection: "leave" has more to do than to
        # send "left". So it is given its time before the reader is cancelled.
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_TIMEOUT_S), handling:
                pass
        reader.cancel()


async def _read(
    websocket: WebSocket,
    outbox: SocketOutbox,
    node: SignalingNode[Handle],
    handle: Handle,
    handling: asyncio.Lock,
) -> None:
    while True:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            outbox.end()
            return
        text = event.get("text")
        message = outbox.receive(event["bytes"] if text is None else text)
        if message is not None:
            async with handling:
                await _handle(outbox, node, handle, message)
        # The next may be hours away, and an offer is thrice in these: 20 KiB by viewer.
        del event, text, message


async def _handle(
    outbox: SocketOutbox, node: SignalingNode[Handle], handle: Handle, message: ClientMessage
) -> None:
    try:
        await node.handle(handle, message)
    except SignalingError as error:
        outbox.refuse(error, message.id)
    except Exception:
        logger.exception("%s failed", message.type)
        outbox.refuse(error_of(ErrorCode.INTERNAL, "the server made a mistake"), message.id)


async def _write(websocket: WebSocket, outbox: SocketOutbox) -> None:
    while (frame := await outbox.next_frame()) is not None:
        try:
            await websocket.send_text(frame)
        except RuntimeError as error:
            # The server has closed underneath us: a missed pong, or text that is not UTF-8.
            raise WebSocketDisconnect(code=1006) from error


async def _guarded(outbox: SocketOutbox, work: Callable[[], Awaitable[None]]) -> None:
    """Let no failure past this one connection."""
    try:
        await work()
    except WebSocketDisconnect:
        outbox.end()
    except Exception:
        logger.exception("a connection failed")
        outbox.end(Close(INTERNAL_ERROR, ErrorCode.INTERNAL))


async def _close(websocket: WebSocket, close: Close | None) -> None:
    if close is not None and websocket.application_state is WebSocketState.CONNECTED:
        await websocket.close(close.code, close.reason)
