"""The one place that builds concrete classes: from a configuration to a running server."""

import gc
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import uvicorn
from fastapi import FastAPI
from starlette.websockets import WebSocket

import mediasrv
from filters.presets import schema_with_presets
from mediasrv.config import ServerConfig
from mediasrv.http.api import api_router
from mediasrv.http.door import WebsocketDoor
from mediasrv.http.metrics import metrics_router
from mediasrv.http.pages import install_pages
from mediasrv.http.socket_protocol import BoundedSocketProtocol
from mediasrv.http.websocket import serve_websocket
from mediasrv.node import Node, new_peer_id, new_resume_token
from mediasrv.processing import BeautyStream, ProcessingConfig, SandboxLevel, SpareWorkers
from mediasrv.rooms import Directory
from mediasrv.tracing.channel import trace_channel
from mediasrv.tracing.spans import open_spans
from mediasrv.transport.endpoint import TransportEndpoint
from signaling.messages import FilterView

# Between the 64 KiB that the protocol allows and this, a client still gets its typed error; beyond
# it the websocket library closes with 1009 before the text is in memory.
WEBSOCKET_MAX_BYTES = 256 * 1024
# Websocket pings find half-open connections; a dead one is gone after twice this.
WEBSOCKET_PING_S = 20.0
# How long a shutdown waits for pages that are still being sent.
SHUTDOWN_S = 3


def processing_config(config: ServerConfig) -> ProcessingConfig:
    """Take from the server's configuration what concerns the beauty workers."""
    processing = ProcessingConfig(
        spares=config.filter_spares,
        extra_stages=config.filter_extra_stages,
        python_path=config.filter_python_path,
        sandbox=SandboxLevel(config.filter_sandbox),
    )
    if config.filter_workers_max is None:
        return processing
    return replace(processing, max_workers=config.filter_workers_max)


def create_app(config: ServerConfig, *, clock: Callable[[], float] = time.monotonic) -> FastAPI:
    """Build the web application; the node lives for as long as its lifespan."""
    running: dict[str, Node] = {}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with run_node(config, clock) as node:
            running["node"] = app.state.node = node
            yield

    # FastAPI's own pages load their scripts from elsewhere; /docs is one of ours.
    app = FastAPI(
        title="mediasrv",
        version=mediasrv.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(api_router(lambda: running["node"], schema_with_presets(), clock=clock))
    app.include_router(metrics_router(lambda: running["node"]))

    async def websocket(websocket: WebSocket) -> None:
        await serve_websocket(
            websocket, running["node"], clock=clock, allowed_origins=config.allowed_origins
        )

    install_pages(app)
    app.add_middleware(WebsocketDoor, path="/ws", serve=websocket)
    return app


@asynccontextmanager
async def _closing(spares: SpareWorkers) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await spares.close()


@asynccontextmanager
async def run_node(config: ServerConfig, clock: Callable[[], float]) -> AsyncIterator[Node]:
    """Open the port, the workers' pool and the node; close them in the other order."""
    initial = FilterView(state="off", enabled=False, params=dict(config.starting_parameters))
    directory = Directory(new_id=new_peer_id, new_token=new_resume_token, initial_filter=initial)
    processing = processing_config(config)
    spares = SpareWorkers(processing)
    with open_spans(config.spans) as spans:
        async with (
            _closing(spares),
            TransportEndpoint(
                config.udp_port,
                clock,
                public_ips=config.public_ips,
                public_port=config.public_udp_port,
            ) as endpoint,
            Node(
                endpoint,
                partial(BeautyStream, processing, spares),
                clock=clock,
                initial_filter=initial,
                directory=directory,
                host_arrived=spares.warm,
                spans=spans,
            ) as node,
            _trace_channel(config, node, clock),
        ):
            yield node


def _trace_channel(
    config: ServerConfig, node: Node, clock: Callable[[], float]
) -> AbstractAsyncContextManager[None]:
    if config.trace is None:
        return nullcontext()
    return trace_channel(Path(config.trace), node, clock)


class _Server(uvicorn.Server):
    """Says where to click once the sockets listen."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.servers:
            port = self.servers[0].sockets[0].getsockname()[1]
            node: Node = self.config.app.state.node  # type: ignore[union-attr]
            click.echo(_welcome(self.config.host, port, node.udp_port))
            # What has been loaded by now stays: the collector need not look through it again, in
            # the middle of a frame.
            gc.collect()
            gc.freeze()


def _welcome(host: str, port: int, udp_port: int) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 (compared only)
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    return (
        f"mediasrv {mediasrv.__version__} is running.\n"
        f"  Go live:  {url}/host/studio\n"
        f"  Watch:    {url}/watch/studio\n"
        f"  Lobby:    {url}/\n"
        f"  Media:    UDP port {udp_port}\n"
        "Stop with Ctrl-C."
    )


def serve(config: ServerConfig, *, log_level: str = "warning") -> None:
    """Run a server until it is told to stop.

    Args:
        config: Settings of the node.
        log_level: Of all loggers, in Python's names, lower case.

    Raises:
        OSError: A port cannot be bound.
    """
    app = create_app(config)
    server = _Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            loop="uvloop",
            ws=BoundedSocketProtocol,
            ws_max_size=WEBSOCKET_MAX_BYTES,
            ws_ping_interval=WEBSOCKET_PING_S,
            ws_ping_timeout=WEBSOCKET_PING_S,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
            log_level=log_level,
            access_log=False,
        )
    )
    server.run()
    if not server.started:
        raise OSError(f"cannot listen on {config.host} port {config.port}")
