"""One websocket to the server, speaking the signalling protocol: requests, answers, events."""

import asyncio
import os
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from mediasrv.client.errors import LinkLost, ServerUnreachable
from signaling import Answer, ClientProtocol, SignalingError, error_from
from signaling.messages import ClientMessage, Error, ServerMessage

OPEN_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
EVENTS_MAX = 256

_Reply = TypeVar("_Reply", bound=ServerMessage)


class Link:
    """An open signalling connection. ``close()`` ends it; so does the server.

    Requests may be under way at the same time. Events are read one by one with ``event()``; a
    client that leaves ``EVENTS_MAX`` of them unread loses the connection.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._protocol = ClientProtocol()
        self._answers: dict[str, asyncio.Future[ServerMessage]] = {}
        self._events: asyncio.Queue[ServerMessage | None] = asyncio.Queue(EVENTS_MAX)
        self._lost: str | None = None
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the server at ``url`` (http, https, ws or wss).

        Raises:
            ServerUnreachable: Nobody answers, or not as this server would.
        """
        try:
            socket = await connect(
                websocket_url(url),
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=2**20,
            )
        except OSError as exc:
            raise ServerUnreachable(f"cannot reach {url}: {_reason(exc)}") from exc
        except (InvalidHandshake, InvalidURI, ValueError) as exc:
            raise ServerUnreachable(f"{url} is no mediasrv: {exc}") from exc
        return cls(socket)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def request(self, message: ClientMessage, kind: type[_Reply]) -> _Reply:
        """Send a request and wait for its answer, which must be a ``kind``.

        Raises:
            SignalingError: The server refused.
            LinkLost: The connection ended, or no answer came in time.
        """
        if self._lost is not None:
            raise LinkLost(self._lost)
        number = self._protocol.send(message)
        answer: asyncio.Future[ServerMessage] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                for frame in self._protocol.frames():
                    await self._socket.send(frame)
                reply = await answer
        except ConnectionClosed as exc:
            raise LinkLost("the server closed the connection") from exc
        except TimeoutError as exc:
            raise LinkLost(f"no answer to {message.type} within {ANSWER_TIMEOUT_S:g} s") from exc
        finally:
            self._answers.pop(number, None)
        if not isinstance(reply, kind):
            raise LinkLost(f"{reply.type} is no answer to {message.type}")
        return reply

    async def ended(self) -> None:
        """Wait until the connection has ended, whoever ended it."""
        await asyncio.wait([self._reader])

    async def event(self) -> ServerMessage:
        """Wait for the next message that answers no request.

        Raises:
            LinkLost: The connection ended.
        """
        message = await self._events.get()
        if message is None:
            self._events.put_nowait(None)  # for the next one who asks
            raise LinkLost(self._lost or "the connection is closed")
        return message

    async def close(self) -> None:
        """Close the connection and wait until it is."""
        self._lost = self._lost or "the connection is closed"
        await self._socket.close()
        await asyncio.wait([self._reader])

    def drop(self) -> None:
        """Cut the connection without a goodbye, as a failing network does."""
        self._socket.transport.abort()

    async def _read(self) -> None:
        try:
            async for frame in self._socket:
                self._take(frame)
            self._end("the server closed the connection")
        except ConnectionClosed as exc:
            self._end(f"the connection broke: {exc.rcvd.reason if exc.rcvd else 'no goodbye'}")
        except SignalingError as exc:
            self._end(f"the server broke the protocol: {exc.text}")
        except asyncio.QueueFull:
            self._end("events were not read in time")
        finally:
            await self._socket.close()

    def _take(self, frame: str | bytes) -> None:
        received = self._protocol.receive(frame)
        if isinstance(received, Answer):
            answer = self._answers.get(received.request.id or "")
            if answer is None or answer.done():
                return
            if isinstance(received.message, Error):
                answer.set_exception(error_from(received.message))
            else:
                answer.set_result(received.message)
        elif received is not None:
            self._events.put_nowait(received)

    def _end(self, reason: str) -> None:
        self._lost = self._lost or reason
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(LinkLost(reason))
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(None)


def _reason(exc: OSError) -> str:
    if exc.errno is not None and exc.errno > 0:
        return os.strerror(exc.errno)  # asyncio's own text repeats the address instead
    return exc.strerror or str(exc) or "no answer in time"


def websocket_url(url: str) -> str:
    """Turn the server's address into that of its signalling websocket.

    Raises:
        ValueError: It is no http, https, ws or wss address.
    """
    parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.netloc:
        raise ValueError(f"{url} is no address of a server")
    path = parts.path.rstrip("/")
    if not path.endswith("/ws"):
        path += "/ws"
    return urlunsplit((schemes[parts.scheme], parts.netloc, path, "", ""))
