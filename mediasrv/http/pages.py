"""Browser pages: a few documents, their static files and the headers that fence them.

Every file is read once, at start, into memory: what is served is exactly what was there when the
server started, a request touches no disk, and a path that is not in the table does not exist, so
there is nothing to traverse. ``Cache-Control: no-cache`` with a strong ETag makes a browser ask
again on every load and download only what a newer server changed.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signaling.messages import ROOM_PATTERN

WEB_ROOT = Path(__file__).resolve().parent.parent / "web"

DOCUMENTS = ("index.html", "host.html", "watch.html", "docs.html", "404.html")

# Checked here so that a mistyped link says so, and not the websocket behind it.
_ROOM = re.compile(ROOM_PATTERN)

_MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".webmanifest": "application/manifest+json",
    }
)

# No inline script or style, nothing from elsewhere, no frame around us. "blob:" is for a viewer's
# recorded or canvas media, "data:" for pictures that a page draws itself.
_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

_SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)

_NO_SENSORS = "display-capture=(), geolocation=(), usb=(), serial=()"
_CAPTURE_ALLOWED = f"camera=(self), microphone=(self), {_NO_SENSORS}"
_CAPTURE_REFUSED = f"camera=(), microphone=(), {_NO_SENSORS}"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served.

    Attributes:
        body: The file's bytes.
        media_type: Value of ``Content-Type``.
        etag: Strong entity tag, quotes included; it follows the content alone.
    """

    body: bytes
    media_type: str
    etag: str


def load_assets(root: Path = WEB_ROOT) -> Mapping[str, Asset]:
    """Read every servable file under ``root``.

    Args:
        root: Directory of the web client. Files of other kinds, and hidden ones, are left out.

    Returns:
        Assets by their path relative to ``root``, with forward slashes.

    Raises:
        FileNotFoundError: One of the documents is missing: the installation is not complete.
    """
    assets: dict[str, Asset] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        media_type = _MEDIA_TYPES.get(path.suffix)
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if media_type is None or hidden or not path.is_file():
            continue
        body = path.read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        assets[name] = Asset(body, media_type, etag)
    missing = [name for name in DOCUMENTS if name not in assets]
    if missing:
        raise FileNotFoundError(f"The web client at {root} lacks {', '.join(missing)}.")
    return MappingProxyType(assets)


def _still_fresh(if_none_match: str | None, etag: str) -> bool:
    """Answer whether the client's copy is this one (RFC 9110, 13.1.2: weak comparison)."""
    if if_none_match is None:
        return False
    known: Iterable[str] = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in (etag, "*") for tag in known)


def _serve(asset: Asset, request: Request, status: int = 200) -> Response:
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    if status == 200 and _still_fresh(request.headers.get("if-none-match"), asset.etag):
        return Response(status_code=304, headers=headers)
    return Response(asset.body, status, headers, asset.media_type)


def pages_router(assets: Mapping[str, Asset]) -> APIRouter:
    """Build the routes ``/``, ``/docs``, ``/host/{room}``, ``/watch/{room}``, ``/static/``.

    Args:
        assets: What :func:`load_assets` read. Not copied.

    Returns:
        A router without any dependency on the node; unknown names answer 404.
    """
    router = APIRouter(include_in_schema=False)
    methods = ["GET", "HEAD"]

    def document(name: str) -> Callable[[str, Request], Awaitable[Response]]:
        async def page(room: str, request: Request) -> Response:
            if not _ROOM.fullmatch(room):
                raise HTTPException(404, "There is no room of that name.")
            return _serve(assets[name], request)

        return page

    @router.api_route("/", methods=methods)
    async def lobby(request: Request) -> Response:
        return _serve(assets["index.html"], request)

    @router.api_route("/docs", methods=methods)
    async def docs(request: Request) -> Response:
        return _serve(assets["docs.html"], request)

    @router.api_route("/favicon.ico", methods=methods)
    async def favicon(request: Request) -> Response:
        # Browsers ask for it whatever the page says; the picture is an SVG, and they accept it.
        return _serve(assets["icons/favicon.svg"], request)

    @router.api_route("/static/{path:path}", methods=methods)
    async def static(path: str, request: Request) -> Response:
        asset = assets.get(path)
        if asset is None or path in DOCUMENTS:
            raise HTTPException(404, "There is no such file.")
        return _serve(asset, request)

    router.add_api_route("/host/{room}", document("host.html"), methods=methods)
    router.add_api_route("/watch/{room}", document("watch.html"), methods=methods)
    return router


class SecurityHeaders:
    """ASGI middleware: adds the security headers to every HTTP response that lacks them.

    Only ``/host/`` may ask for camera and microphone; a viewer is never asked for anything.
    A header that the application set itself is left as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its response back with the headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        captures = scope["path"].startswith("/host/")
        permissions = _CAPTURE_ALLOWED if captures else _CAPTURE_REFUSED

        async def send_fenced(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Permissions-Policy", permissions)
            await send(message)

        await self._app(scope, receive, send_fenced)


def _wants_page(request: Request) -> bool:
    path = request.url.path
    return not path.startswith(("/api/", "/static/")) and "text/html" in request.headers.get(
        "accept", ""
    )


def install_pages(app: FastAPI, root: Path = WEB_ROOT) -> None:
    """Add the pages, the security headers and the 404 page to an application.

    Args:
        app: The application; its own routes should be added before, so that they win.
        root: Directory of the web client.

    Raises:
        FileNotFoundError: The web client is not complete.
    """
    assets = load_assets(root)

    async def not_found(request: Request, error: Exception) -> Response:
        if _wants_page(request):
            return _serve(assets["404.html"], request, 404)
        assert isinstance(error, HTTPException)  # noqa: S101 (registered for a status: always one)
        return await http_exception_handler(request, error)

    app.include_router(pages_router(assets))
    app.add_exception_handler(404, not_found)
    app.add_middleware(SecurityHeaders)
