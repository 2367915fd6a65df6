"""Which pages may open a websocket here."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.datastructures import Headers

DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})


def is_allowed_origin(headers: Headers, allowed_origins: Collection[str]) -> bool:
    """May a page of the request's origin connect?

    Browsers name the page's origin in every websocket handshake and let any page open one, so
    this is what keeps other sites' pages out (RFC 6455, 10.2).

    Args:
        headers: Of the handshake.
        allowed_origins: Origins that may connect beside the one that the request is sent to.
    """
    origins = headers.getlist("origin")
    if not origins:
        return True
    origin = _parsed_origin(origins[0]) if len(origins) == 1 else None
    if origin is None:
        return False
    hosts = headers.getlist("host")
    own = [_parsed_origin(f"{origin[0]}://{host}") for host in hosts] if len(hosts) == 1 else []
    return origin in own or origin in map(_parsed_origin, allowed_origins)


def _parsed_origin(text: str) -> tuple[str, str, int] | None:
    """Split an origin into scheme, host and port; None when it is not one (``null`` is not)."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, DEFAULT_PORTS[parts.scheme] if port is None else port
