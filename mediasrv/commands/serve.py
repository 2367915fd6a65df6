"""``mediasrv serve``: options to a configuration, and run it."""

from mediasrv.app import serve
from mediasrv.commands.ports import try_tcp_port, try_udp_port
from mediasrv.config import ServerConfig


def run_server(
    host: str,
    port: int,
    udp_port: int | None,
    public_ips: tuple[str, ...],
    public_udp_port: int | None,
    *,
    debug: bool,
) -> None:
    """Run a server until it is told to stop.

    Args:
        host: Address of pages, API and websocket.
        port: Its TCP port.
        udp_port: UDP port of all media; None takes the number of ``port``.
        public_ips: Announced instead of the local addresses.
        public_udp_port: Announced instead of the UDP port.
        debug: Log everything.

    Raises:
        PortTaken: A port cannot be bound.
    """
    config = ServerConfig(
        host=host,
        port=port,
        udp_port=port if udp_port is None else udp_port,
        public_ips=public_ips,
        public_udp_port=public_udp_port,
    )
    try_tcp_port(config.host, config.port)
    try_udp_port(config.udp_port)
    serve(config, log_level="debug" if debug else "warning")
