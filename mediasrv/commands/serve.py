"""``mediasrv serve``: options to a configuration, and run it."""

import click

from mediasrv.app import serve
from mediasrv.commands.ports import try_tcp_port, try_udp_port
from mediasrv.config import ServerConfig
from mediasrv.processing.confinement import SandboxLevel, usual_level

NOT_LOCKED_IN = (
    "WARNING: --sandbox off. Beauty workers are not locked in: nothing but their own code keeps\n"
    "facial data in them. For tests only; do not promise hosts anything."
)


def run_server(
    host: str,
    port: int,
    udp_port: int | None,
    public_ips: tuple[str, ...],
    public_udp_port: int | None,
    sandbox: str | None,
    *,
    debug: bool,
    trace: str | None = None,
    spans: str | None = None,
) -> None:
    """Run a server until it is told to stop.

    Args:
        host: Address of pages, API and websocket.
        port: Its TCP port.
        udp_port: UDP port of all media; None takes the number of ``port``.
        public_ips: Announced instead of the local addresses.
        public_udp_port: Announced instead of the UDP port.
        sandbox: A :class:`SandboxLevel`; None takes the usual one of this system.
        debug: Log everything.
        trace: Where to make the benchmark channel; None makes none.
        spans: Where to write spans of the control plane; None writes none.

    Raises:
        PortTaken: A port cannot be bound.
    """
    config = ServerConfig(
        host=host,
        port=port,
        udp_port=port if udp_port is None else udp_port,
        public_ips=public_ips,
        public_udp_port=public_udp_port,
        filter_sandbox=usual_level() if sandbox is None else SandboxLevel(sandbox),
        trace=trace,
        spans=spans,
    )
    if config.filter_sandbox is SandboxLevel.OFF:
        click.echo(NOT_LOCKED_IN, err=True)
    try_tcp_port(config.host, config.port)
    try_udp_port(config.udp_port)
    serve(config, log_level="debug" if debug else "warning")
