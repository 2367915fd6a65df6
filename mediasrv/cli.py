"""The ``mediasrv`` command: options and help here, the work in ``mediasrv.commands``.

Errors are one line on standard error and exit status 1; wrong usage exits with 2. ``--debug`` is
understood anywhere on the line and adds the traceback and the libraries' logs.
"""

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

import mediasrv

DEFAULT_URL = "http://127.0.0.1:8080"

INTERRUPTED = 130  # 128 + SIGINT, what shells expect


class _Command(click.Command):
    """A command that also takes ``--debug``, which ``run`` has looked for already."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.params.append(_debug_option())


class _Group(click.Group):
    """The top level, with commands in the order in which people meet them."""

    command_class = _Command

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.params.append(_debug_option())

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.commands)


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, help="Show tracebacks and detailed logs."
    )


_url = click.option("--url", default=DEFAULT_URL, show_default=True, help="Address of the server.")
_room = click.option("--room", required=True, help="Name of the room: a-z, 0-9 and dashes.")
_params = click.option(
    "--params", metavar="JSON", help="Filter strengths, like '{\"smooth\": 60}'."
)
_agreed_params = click.option(
    "--params",
    metavar="JSON",
    help="Switch the filter on, like '{\"smooth\": 60}' (0 to 100). This is your consent: the "
    "server looks for your face in memory, while you are live; never written, never shared.",
)


@click.group(cls=_Group)
@click.version_option(mediasrv.__version__, prog_name="mediasrv", message="%(prog)s %(version)s")
def cli() -> None:
    """A real-time media server: one host, many viewers, a beauty filter on the way."""


@cli.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address of pages, API and websocket."
)
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Its TCP port."
)
@click.option(
    "--udp-port",
    type=click.IntRange(0, 65535),
    help="UDP port of all media.  [default: the same number as --port]",
)
@click.option(
    "--public-ip",
    "public_ips",
    multiple=True,
    metavar="ADDRESS",
    help="Announce this address instead of the local ones; may be given more than once.",
)
@click.option(
    "--public-udp-port",
    type=click.IntRange(1, 65535),
    help="Announce this port instead of --udp-port, behind NAT or a container's port mapping.",
)
@click.option(
    "--sandbox",
    type=click.Choice(["strict", "best-effort", "off"]),
    help="How far beauty workers must be locked in before they may filter.  "
    "[default: strict on Linux, best-effort elsewhere]",
)
@click.option(
    "--trace",
    metavar="PATH",
    help="For benchmarks: a Unix socket, made here, that gives its owner the times of single "
    "frames of a room on request. No pictures, no faces.",
)
@click.option(
    "--spans",
    metavar="FILE",
    help="Write what the control plane does as OpenTelemetry spans, one JSON object a line; needs "
    "the package opentelemetry-sdk.",
)
def serve(
    host: str,
    port: int,
    udp_port: int | None,
    public_ips: tuple[str, ...],
    public_udp_port: int | None,
    sandbox: str | None,
    trace: str | None,
    spans: str | None,
) -> None:
    """Run the server."""
    from mediasrv.commands.serve import run_server  # noqa: PLC0415 - only what a command needs

    run_server(
        host,
        port,
        udp_port,
        public_ips,
        public_udp_port,
        sandbox,
        debug=_debugging(),
        trace=trace,
        spans=spans,
    )


@cli.command()
@_url
@_room
@click.option("--source", default="pattern", show_default=True, help="A FILE, camera or pattern.")
@click.option(
    "--codec", default="vp8", show_default=True, type=click.Choice(["vp8", "h264"]), help="Video."
)
@click.option(
    "--bitrate",
    "bitrate_bps",
    default=1_500_000,
    show_default=True,
    type=click.IntRange(50_000, 50_000_000),
    help="Video bits per second.",
)
@_agreed_params
@click.option(
    "--edge",
    is_flag=True,
    help="Run the filter of --params here, in a locked process: your face is processed only on "
    "your device, and the server gets the filtered picture.",
)
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after this time.")
def host(
    url: str,
    room: str,
    source: str,
    codec: str,
    bitrate_bps: int,
    params: str | None,
    seconds: float | None,
    edge: bool,
) -> None:
    """Publish a file, a camera or a test pattern into a room."""
    from mediasrv.commands.host import run_host  # noqa: PLC0415

    run_host(url, room, source, codec, bitrate_bps, params, seconds, edge=edge)


@cli.command()
@_url
@_room
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after this time.")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write what arrives to an .mp4, .webm or .mkv file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def view(url: str, room: str, seconds: float | None, save: Path | None, as_json: bool) -> None:
    """Watch a room and report first frame, frame rate, freezes, bitrate and loss."""
    from mediasrv.commands.view import run_view  # noqa: PLC0415

    run_view(url, room, seconds, save, as_json=as_json)


@cli.command("filter")
@click.argument("source", metavar="IN", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path))
@_params
@click.option(
    "--preset",
    metavar="NAME",
    help="Start from a preset: none, natural, fresh, soft, studio, glam; --params go on top.",
)
@click.option(
    "--look",
    metavar="FILE.cube",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Lay a colour look over the picture; look_amount in --params says how much.",
)
@click.option("--compare", is_flag=True, help="Show before and after side by side.")
@click.option("--all-presets", is_flag=True, help="One sheet with a picture under every preset.")
def filter_command(
    source: Path,
    target: Path,
    params: str | None,
    preset: str | None,
    look: Path | None,
    compare: bool,
    all_presets: bool,
) -> None:
    """Run the beauty pipeline on a picture or a clip."""
    from mediasrv.commands.filter import run_filter, run_sheet  # noqa: PLC0415

    if not all_presets:
        run_filter(source, target, params, preset, compare=compare, look=look)
    elif params is None and preset is None and look is None and not compare:
        run_sheet(source, target)
    else:
        raise click.UsageError("--all-presets goes with no other option")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
@click.option(
    "--udp-port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The UDP port to try.",
)
def doctor(as_json: bool, udp_port: int) -> None:
    """Say what this machine can and cannot do, and what to do about it."""
    from mediasrv.commands.doctor import run_doctor  # noqa: PLC0415

    run_doctor(udp_port, as_json=as_json)


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Returns:
        The exit status: 0 for success, 1 for an error, 2 for wrong usage.
    """
    debug = "--debug" in arguments
    if debug:
        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s %(message)s")
    try:
        outcome = cli.main(list(arguments), "mediasrv", standalone_mode=False, obj=debug)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as exc:  # noqa: BLE001 - the last edge: a person reads what comes out here
        if debug:
            traceback.print_exc()
        click.echo(f"mediasrv: {describe(exc)}", err=True)
        return 1
    return outcome if isinstance(outcome, int) else 0


def describe(exc: BaseException) -> str:
    """Say in one line what went wrong; a foreign exception without words gets its class name."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    text = " ".join(str(exc).split())
    if type(exc).__module__.split(".")[0] in ("mediasrv", "signaling", "filters"):
        return text or type(exc).__name__
    if isinstance(exc, OSError) and exc.strerror:
        return f"{exc.strerror}: {exc.filename}" if exc.filename else exc.strerror
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def main() -> None:
    """Entry point of the ``mediasrv`` command."""
    sys.exit(run(sys.argv[1:]))


def _debugging() -> bool:
    return bool(click.get_current_context().find_root().obj)


if __name__ == "__main__":
    main()
