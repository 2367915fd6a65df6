"""Memory that a crowd's handshakes leave behind goes back to the system."""

import ctypes
from collections.abc import Callable

# What OpenSSL held during the handshakes lies in pieces between others that stay; the C library
# gives none of it back by itself, which came to 30 KiB for each of 200 viewers.
CROWD_PEERS = 50
# Handshakes take a second at most; trimming takes two milliseconds, which nobody should wait for.
CROWD_GONE_BY_S = 3.0


class CrowdHeap:
    """Notices that a crowd has come in, and tidies up once nobody follows.

    Args:
        trim: Gives free memory back to the system.
    """

    def __init__(self, trim: Callable[[], None]) -> None:
        self._trim = trim
        self._newcomers = 0
        self._newest_at = 0.0

    def entered(self, now: float) -> None:
        """Count a peer who is about to shake hands."""
        self._newcomers += 1
        self._newest_at = now

    def tick(self, now: float) -> None:
        """Tidy up when it is time."""
        if self._newcomers >= CROWD_PEERS and now - self._newest_at >= CROWD_GONE_BY_S:
            self._newcomers = 0
            self._trim()


def trim_heap() -> None:
    """Give the C library's free memory back; nothing happens where it has no such call."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        # musl, macOS and Windows: their allocators return what is free, or cannot be asked to.
        return
    malloc_trim(0)
