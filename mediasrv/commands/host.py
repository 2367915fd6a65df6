"""``mediasrv host``: publish until the time is up, saying how it goes."""

import asyncio

import click
from rich.console import Console
from rich.status import Status

from mediasrv.client import EDGE_TEXT, EdgeFilter, Encoding, HostClient, parse_source
from mediasrv.commands.options import check_room, parse_params
from mediasrv.commands.stopping import until_stopped
from mediasrv.media import Codec

UPDATE_EVERY_S = 1.0


def run_host(
    url: str,
    room: str,
    source: str,
    codec: str,
    bitrate_bps: int,
    params: str | None,
    seconds: float | None,
    *,
    edge: bool,
) -> None:
    """Publish a source into a room until ``seconds`` are over or somebody says stop.

    With ``edge`` the filter runs here, and the server gets the filtered picture alone.

    Raises:
        ClientError: The server cannot be reached, the source not be read, or the session ended.
        SignalingError: The server refused.
    """
    strengths = parse_params(params)
    if edge and strengths is None:
        raise click.UsageError("--edge needs --params: which filter is to run here?")
    filter_here = EdgeFilter(strengths) if edge and strengths is not None else None
    client = HostClient(
        url,
        check_room(room),
        parse_source(source),
        encoding=Encoding(Codec(codec), bitrate_bps),
        parameters=None if edge else strengths,
        edge=filter_here,
    )
    asyncio.run(_publish(client, seconds, filter_here))


async def _publish(
    client: HostClient, seconds: float | None, filter_here: EdgeFilter | None
) -> None:
    console = Console(stderr=True)
    if filter_here is not None:
        console.print(EDGE_TEXT)
    with console.status(f"Joining {client.room} ...") as status:
        async with client:
            console.print(f"Live: {client.url.rstrip('/')}/watch/{client.room}  (Ctrl-C to stop)")
            await until_stopped(client.stay(seconds), _show(client, status, filter_here))


async def _show(client: HostClient, status: Status, filter_here: EdgeFilter | None) -> None:
    while True:
        status.update(_state(client, filter_here))
        await asyncio.sleep(UPDATE_EVERY_S)


def _state(client: HostClient, filter_here: EdgeFilter | None) -> str:
    packets = 0
    if client.publication is not None and "video" in client.publication.sent.streams:
        packets = client.publication.sent.streams["video"].packets
    filter_state: str = client.filter.state if client.filter is not None else "off"
    if filter_here is not None:
        filter_state = f"{filter_here.state} on this machine"
    return f"{client.viewers} viewers, {packets} video packets sent, filter {filter_state}"
