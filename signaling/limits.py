"""The limits of the protocol: how much, how deep, how fast and how late."""

from dataclasses import dataclass

PROTOCOL_VERSION = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost.

    Attributes:
        message_bytes: Largest text message, in bytes of UTF-8. 64 KiB carries any session
            description that browsers write, and is what OWASP advises for websockets.
        nesting: Most objects and arrays around one value. The deepest message needs 3.
        join_timeout_s: A connection that has not sent ``join`` by then is closed.
        burst: Messages that may come at once (capacity of the token bucket).
        rate_hz: Messages per second that may come for ever (refill of the bucket).
        strikes: Protocol errors within ``strike_window_s`` that end the connection.
        floods: Messages refused as ``rate_limited`` within ``strike_window_s`` that end the
            connection. A slider that sends on every screen refresh stays below it.
        strike_window_s: The window of ``strikes`` and ``floods``.
        pending: Requests that a client may have under way without an answer.
    """

    message_bytes: int = 65536
    nesting: int = 8
    join_timeout_s: float = 10.0
    burst: int = 100
    rate_hz: float = 30.0
    strikes: int = 8
    floods: int = 500
    strike_window_s: float = 10.0
    pending: int = 64
