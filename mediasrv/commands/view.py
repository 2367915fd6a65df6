"""``mediasrv view``: watch until the time is up, and say what was seen."""

import asyncio
import json
from pathlib import Path

import click
from rich.console import Console
from rich.status import Status
from rich.table import Table

from mediasrv.client import ClientError, ViewerClient, ViewerReport
from mediasrv.client.recorder import Recorder
from mediasrv.commands.options import check_room
from mediasrv.commands.stopping import until_stopped

UPDATE_EVERY_S = 0.5


def run_view(
    url: str, room: str, seconds: float | None, save: Path | None, *, as_json: bool
) -> None:
    """Watch a room until ``seconds`` are over or somebody says stop, then print the figures.

    Raises:
        ClientError: The server cannot be reached, the session ended, or no picture came.
        SignalingError: The server refused.
    """
    check_room(room)
    recorder = Recorder(save) if save is not None else None
    client = ViewerClient(url, room, sinks=(recorder,) if recorder is not None else ())
    report = asyncio.run(_watch(client, recorder, seconds))
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        Console().print(_table(report))
    if report.frames == 0:
        raise ClientError(f"no picture came from room {room}; was its host live?")


async def _watch(
    client: ViewerClient, recorder: Recorder | None, seconds: float | None
) -> ViewerReport:
    console = Console(stderr=True)
    try:
        with console.status(f"Joining {client.room} ...") as status:
            async with client:
                await until_stopped(client.stay(seconds), _show(client, status))
                report = client.report()
    finally:
        if recorder is not None:
            await recorder.close()
    if recorder is not None:
        lost = f" ({recorder.dropped} pieces dropped)" if recorder.dropped else ""
        console.print(f"Saved {recorder.path}{lost}")
    return report


async def _show(client: ViewerClient, status: Status) -> None:
    while True:
        report = client.report()
        if report.frames:
            status.update(f"{report.width}x{report.height}, {report.fps:.1f} fps")
        elif client.state == "live":
            status.update("The host is live, connecting ...")
        else:
            status.update("Waiting for the host ...")
        await asyncio.sleep(UPDATE_EVERY_S)


def _table(report: ViewerReport) -> Table:
    table = Table(title=f"Room {report.room}, {report.seconds:.1f} s", show_header=False)
    first = "none" if report.first_frame_ms is None else f"{report.first_frame_ms:.0f} ms"
    rows = {
        "first frame after": first,
        "size": f"{report.width}x{report.height}, {report.video.codec}",
        "frames": f"{report.frames}, {report.fps:.1f} per second",
        "freezes over 200 ms": f"{report.freezes}, longest gap {report.longest_gap_ms:.0f} ms",
        "video": f"{report.video.bitrate_bps / 1000:.0f} kb/s, {report.video.lost} packets lost",
        "audio": f"{report.audio.bitrate_bps / 1000:.0f} kb/s, {report.audio.lost} packets lost",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
