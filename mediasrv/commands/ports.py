"""Tries ports before a server does, so that a taken one is one clear line and not a traceback."""

import asyncio
import os
import socket

from mediasrv.errors import MediaError
from mediasrv.transport.addresses import usable_local_addresses
from mediasrv.transport.udp_port import UdpPort


class PortTaken(MediaError):
    """A port cannot be bound; the text says which and why."""


def try_tcp_port(host: str, port: int) -> None:
    """Bind a TCP port for a moment.

    Raises:
        PortTaken: It cannot be bound, or ``host`` is no address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as exc:
        raise PortTaken(f"cannot listen on {host} port {port}: {_reason(exc)}") from exc


def try_udp_port(port: int) -> None:
    """Bind the media port for a moment, as the server would. Not inside an event loop.

    Raises:
        PortTaken: It cannot be bound on any address.
    """

    async def bind() -> None:
        udp = UdpPort(port, lambda datagram, path: None)
        try:
            udp.open(usable_local_addresses())
        finally:
            udp.close()

    try:
        asyncio.run(bind())
    except OSError as exc:
        raise PortTaken(f"cannot use UDP port {port}: {_reason(exc)}") from exc


def _reason(exc: OSError) -> str:
    # What create_server says repeats the address; name resolution has numbers of its own.
    if exc.errno is not None and exc.errno > 0:
        return os.strerror(exc.errno)
    return exc.strerror or str(exc)
