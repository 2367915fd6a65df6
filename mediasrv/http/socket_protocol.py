"""uvicorn's websocket protocol, kept from writing to a client that does not read."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class BoundedSocketProtocol(WebSocketsSansIOProtocol):
    """Answers no ping while what was written before still waits to leave.

    uvicorn itself writes every pong at once: a client that sends pings and reads nothing would
    fill our memory as fast as its network carries them. RFC 6455 section 5.5.3 asks for an answer
    to the most recent ping only, and this client reads none.
    """

    def handle_ping(self) -> None:
        """Write the pong that the parser has made, or drop it."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()
