"""Many sockets read in turns, so that nobody is woken for each datagram."""

import asyncio
import select
from collections.abc import Callable

# On loopback it is the sender who pays for a wake-up, several microseconds in a virtual machine,
# and no network would charge it that. The kernel's stamps keep arrival times exact.
POLL_S = 0.002
READY_MAX = 4096


class Sockets:
    """Calls back for whoever has something to read, every POLL_S."""

    def __init__(self) -> None:
        self._ready = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}

    def add(self, descriptor: int, readable: Callable[[], None]) -> None:
        """Call ``readable``, which takes what one read gives, until the socket is empty."""
        self._readers[descriptor] = readable
        self._ready.register(descriptor, select.EPOLLIN)

    async def read(self) -> None:
        """Take what has arrived until cancelled."""
        readers, poll = self._readers, self._ready.poll
        while True:
            await asyncio.sleep(POLL_S)
            events = poll(0, READY_MAX)
            while events:
                for descriptor, _ in events:
                    readers[descriptor]()
                events = poll(0, READY_MAX)

    def close(self) -> None:
        """Read nothing any more; the sockets are the owners' to close."""
        self._ready.close()
