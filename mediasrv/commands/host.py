"""``mediasrv host``: publish until the time is up, saying how it goes."""

import asyncio

from rich.console import Console
from rich.status import Status

from mediasrv.client import Encoding, HostClient, parse_source
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
) -> None:
    """Publish a source into a room until ``seconds`` are over or somebody says stop.

    Raises:
        ClientError: The server cannot be reached, the source not be read, or the session ended.
        SignalingError: The server refused.
    """
    client = HostClient(
        url,
        check_room(room),
        parse_source(source),
        encoding=Encoding(Codec(codec), bitrate_bps),
        parameters=parse_params(params),
    )
    asyncio.run(_publish(client, seconds))


async def _publish(client: HostClient, seconds: float | None) -> None:
    console = Console(stderr=True)
    with console.status(f"Joining {client.room} ...") as status:
        async with client:
            console.print(f"Live: {client.url.rstrip('/')}/watch/{client.room}  (Ctrl-C to stop)")
            await until_stopped(client.stay(seconds), _show(client, status))


async def _show(client: HostClient, status: Status) -> None:
    while True:
        status.update(_state(client))
        await asyncio.sleep(UPDATE_EVERY_S)


def _state(client: HostClient) -> str:
    packets = 0
    if client.publication is not None and "video" in client.publication.sent.streams:
        packets = client.publication.sent.streams["video"].packets
    filter_state = client.filter.state if client.filter is not None else "off"
    return f"{client.viewers} viewers, {packets} video packets sent, filter {filter_state}"
