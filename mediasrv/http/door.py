"""Where websockets leave the way of pages."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket


class WebsocketDoor:
    """Serves websockets at one path itself and hands on everything else.

    A websocket lives for hours in whatever calls it. Each layer of pages, routes and dependencies
    on the way would keep coroutines and exit stacks for it that do nothing: a dozen by viewer.

    Args:
        app: The layers behind.
        path: Of the websockets.
        serve: Serves one, from handshake to close.
    """

    def __init__(
        self, app: ASGIApp, path: str, serve: Callable[[WebSocket], Awaitable[None]]
    ) -> None:
        self._app = app
        self._path = path
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] == "websocket" and scope["path"] == self._path:
            await self._serve(WebSocket(scope, receive, send))
        else:
            await self._app(scope, receive, send)
