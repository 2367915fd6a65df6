"""What host and viewer share: joining a room, staying in it, and joining again after a drop."""

import asyncio
import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from time import monotonic
from types import TracebackType
from typing import Self

from mediasrv.client.errors import ClientError, LinkLost, ServerUnreachable
from mediasrv.client.link import Link
from signaling import PROTOCOL_VERSION, Overloaded, SignalingError
from signaling.messages import (
    FilterChanged,
    FilterView,
    HostAway,
    HostLeft,
    HostLive,
    HostReturned,
    Join,
    Joined,
    Leave,
    Left,
    Role,
    RoomState,
    ServerMessage,
    Statistics,
    ViewersChanged,
    WatchStatistics,
)

# The server keeps a host's room for 10 s, so the first tries come quickly.
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 3.0
RECONNECT_FOR_S = 30.0
LEAVE_TIMEOUT_S = 1.0
ASK_AGAIN_S = 0.05


class RoomClient(ABC):
    """A member of one room. ``async with`` opens and closes it.

    What the server says only changes what this object knows; a single task then does whatever
    makes the media fit that (``_reconcile``), again after every change.

    Attributes:
        url: The server's address, http or ws.
        room: The room's name.
        joined: The server's latest ``joined``, or None before the first.
        state: How the room stands.
        viewers: How many viewers the room has.
        filter: The beauty filter as the server last described it, or None before joining.
        joins: How often the room was joined.
        statistics: How the media fares, as the server last said; None before it was asked.
    """

    role: Role

    def __init__(self, url: str, room: str, *, name: str | None = None) -> None:
        self.url = url
        self.room = room
        self.joined: Joined | None = None
        self.state: RoomState = "waiting"
        self.viewers = 0
        self.filter: FilterView | None = None
        self.joins = 0
        self.statistics: Statistics | None = None
        self._statistics_every_s: float | None = None
        self._name = name
        self._resume: str | None = None
        self._link: Link | None = None
        self._pulse = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Join the room.

        Raises:
            ServerUnreachable: Nobody answers at the address.
            SignalingError: The server refused.
        """
        self._running = asyncio.create_task(self._run())
        await self.until(lambda: self.joined is not None)

    async def close(self) -> None:
        """Leave the room and release everything; doing it twice is fine."""
        if self._link is not None:
            with contextlib.suppress(LinkLost, SignalingError, RuntimeError, TimeoutError):
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    await self._link.request(Leave(), Left)
        if self._running is not None:
            self._running.cancel()
            # Whatever ended it has been raised where somebody waited.
            await asyncio.gather(self._running, return_exceptions=True)
        await self._release()

    async def until(self, reached: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Wait until ``reached`` says so.

        It is asked after every change, and often enough for what changes silently, like counters.

        Raises:
            TimeoutError: It did not within ``timeout_s``.
            ClientError: The session ended first.
            SignalingError: The server refused to go on.
        """
        async with asyncio.timeout(timeout_s):
            while not reached():
                await self._next_change()

    async def stay(self, seconds: float | None = None) -> None:
        """Go on for some time, or until the session ends.

        Raises:
            ClientError: The session ended first.
            SignalingError: The server refused to go on.
        """
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: False, seconds)

    async def watch_statistics(self, every_s: float | None) -> Statistics:
        """Let ``statistics`` be renewed every so many seconds, after a reconnect too.

        Args:
            every_s: 1 to 60; None only asks once, and ends an earlier watch.

        Raises:
            ValueError: The interval is out of range.
            SignalingError: The server refused.
            LinkLost: The signalling connection is down.
        """
        if self._link is None:
            raise LinkLost("the signalling connection is down")
        return await self._watch_statistics(self._link, every_s)

    async def _watch_statistics(self, link: Link, every_s: float | None) -> Statistics:
        statistics = await link.request(WatchStatistics(every_s=every_s), Statistics)
        self.statistics, self._statistics_every_s = statistics, every_s
        self._note_change()
        return statistics

    def drop_socket(self) -> None:
        """Cut the signalling connection without a goodbye, to see the client come back."""
        if self._link is not None:
            self._link.drop()

    @abstractmethod
    async def _reconcile(self, link: Link) -> None:
        """Make the media fit what is known; called again after every change."""

    @abstractmethod
    async def _release(self) -> None:
        """Close the media."""

    @abstractmethod
    async def _on_joined(self, link: Link, joined: Joined) -> None:
        """Do what must come first after joining."""

    def _on_event(self, message: ServerMessage) -> None:
        """Take note of what the server says; the base knows what concerns both roles."""
        match message:
            case HostLive() | HostReturned():
                self.state = "live"
            case HostAway():
                self.state = "away"
            case HostLeft():
                self.state = "waiting"
            case FilterChanged():
                self.filter = message.filter
            case ViewersChanged():
                self.viewers = message.viewers
            case Statistics():
                self.statistics = message
            case Left(reason="replaced"):
                raise ClientError("somebody else resumed this session")
            case Left(reason="shutdown"):
                raise LinkLost("the server shuts down")
        self._note_change()

    def _note_change(self) -> None:
        # A fresh event each time: whoever holds the old one wakes, nobody misses a change.
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()

    async def _next_change(self) -> None:
        if self._running is None:
            raise ClientError("the client is not open")
        waiting = asyncio.create_task(self._pulse.wait())
        try:
            await asyncio.wait(
                [waiting, self._running],
                timeout=ASK_AGAIN_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waiting.cancel()
        if self._running.done():
            self._running.result()
            raise ClientError("the session is over")

    async def _run(self) -> None:
        backoff_s = BACKOFF_FIRST_S
        alone_since_s = monotonic()
        while True:
            joins = self.joins
            try:
                await self._one_session()
            except (LinkLost, ServerUnreachable, Overloaded) as exc:
                if self.joins > joins:
                    alone_since_s, backoff_s = monotonic(), BACKOFF_FIRST_S
                if self.joins == 0 or monotonic() - alone_since_s > RECONNECT_FOR_S:
                    raise
                backoff_s = max(backoff_s, getattr(exc, "retry_after_s", None) or 0.0)
            # Jitter keeps a thousand viewers from coming back in one instant.
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)

    async def _one_session(self) -> None:
        async with await Link.open(self.url) as link:
            self._link = link
            try:
                await self._join(link)
                await _first_of(self._read(link), self._keep(link))
            finally:
                self._link = None

    async def _join(self, link: Link) -> None:
        joined = await link.request(
            Join(
                version=PROTOCOL_VERSION,
                room=self.room,
                role=self.role,
                name=self._name,
                resume=self._resume,
            ),
            Joined,
        )
        self._resume = joined.resume
        self.state, self.viewers, self.filter = joined.state, joined.viewers, joined.filter
        self.joins += 1
        if self._statistics_every_s is not None:
            await self._watch_statistics(link, self._statistics_every_s)
        await self._on_joined(link, joined)
        self.joined = joined
        self._note_change()

    async def _read(self, link: Link) -> None:
        while True:
            self._on_event(await link.event())

    async def _keep(self, link: Link) -> None:
        while True:
            pulse = self._pulse
            await self._reconcile(link)
            await pulse.wait()


async def _first_of(*work: Coroutine[None, None, None]) -> None:
    """Run until the first ends or fails, then cancel the others."""
    tasks = [asyncio.create_task(part) for part in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
