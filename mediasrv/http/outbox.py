"""The bounded outbox of one websocket connection."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from signaling.errors import (
    ERROR_RULES,
    INTERNAL_ERROR,
    TRY_AGAIN_LATER,
    Close,
    ErrorCode,
    SignalingError,
)
from signaling.messages import ClientMessage, ServerMessage
from signaling.server import ServerProtocol

# A client that reads at all empties this in milliseconds; in a busy room it is seconds of events.
OUTBOX_MESSAGES = 256

logger = logging.getLogger(__name__)

Clock = Callable[[], float]


class SocketOutbox:
    """The bounded outbox of one websocket, and the only one who touches its protocol.

    When it is full, the connection ends with 1013 ("overloaded") and what was queued is lost:
    a client that does not read would never have seen it.
    """

    def __init__(self, protocol: ServerProtocol, clock: Clock, capacity: int) -> None:
        self._protocol = protocol
        self._clock = clock
        self._capacity = capacity
        self._frames: deque[str] = deque()
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def close(self) -> Close | None:
        """How the connection ends; None while it goes on, and when the client ended it."""
        return self._protocol.close

    def send(self, message: ServerMessage) -> None:
        """Queue a message; never blocks and never raises, so a broadcast reaches the others."""
        try:
            self._protocol.send(message)
        except RuntimeError:
            logger.exception("a message was sent out of order")
            self.end(Close(INTERNAL_ERROR, ErrorCode.INTERNAL))
        self._collect()

    def receive(self, frame: str | bytes) -> ClientMessage | None:
        """Give a frame to the protocol and queue what it answers by itself."""
        message = self._protocol.receive(frame, self._clock())
        self._collect()
        return message

    def refuse(self, error: SignalingError, reply_to: str | None = None) -> None:
        """Answer a message with an error."""
        self._protocol.refuse(error.code, error.text, reply_to, retry_after_s=error.retry_after_s)
        self._collect()

    def end(self, close: Close | None = None) -> None:
        """End the connection; without ``close`` the client has done so itself."""
        if close is not None:
            self._protocol.end(close)
        self._ended.set()
        self._changed.set()

    async def next_frame(self) -> str | None:
        """Wait for the next frame to write; None when there will be no more.

        Watches the protocol's deadline meanwhile.
        """
        while not self._frames:
            if self._ended.is_set():
                return None
            self._changed.clear()
            deadline = self._protocol.deadline()
            wait_s = None if deadline is None else max(0.0, deadline - self._clock())
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                self._protocol.expire(self._clock())
                self._collect()
        return self._frames.popleft()

    async def ended(self) -> None:
        """Wait until the connection has to end."""
        await self._ended.wait()

    def _collect(self) -> None:
        for error in self._protocol.errors():
            _say(error)
        frames = self._protocol.frames()
        if not self._ended.is_set():
            self._frames.extend(frames)
        if self._protocol.close is not None:
            self.end()
        elif len(self._frames) > self._capacity:
            logger.warning("a client does not read its messages: closing its connection")
            self._frames.clear()
            self.end(Close(TRY_AGAIN_LATER, ErrorCode.OVERLOADED))
        self._changed.set()


def _say(error: SignalingError) -> None:
    level = logging.getLevelNamesMapping()[ERROR_RULES[error.code].log_level.upper()]
    logger.log(level, "answered %s", error)
