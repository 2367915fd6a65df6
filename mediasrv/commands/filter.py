"""``mediasrv filter``: run the beauty pipeline on a file, with a progress bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from filters.cube import Cube, parse_cube
from filters.parameters import MAXIMUM, Parameters
from filters.presets import PRESETS, preset
from mediasrv.commands.options import parse_params
from mediasrv.config import STARTING_PARAMETERS
from mediasrv.errors import MediaError
from mediasrv.offline import OnProgress, contact_sheet, filter_file


def run_filter(
    source: Path,
    target: Path,
    params: str | None,
    preset_name: str | None,
    *,
    compare: bool,
    look: Path | None = None,
) -> None:
    """Filter ``source`` into ``target``.

    Args:
        source: A picture or a clip.
        target: The result; its suffix names the format.
        params: Filter strengths as JSON, on top of the preset.
        preset_name: Where to start from; without it and ``params``, what a new room starts with.
        compare: Put the original on the left of the result.
        look: A ``.cube`` file; laid on fully unless ``params`` say how much of it.

    Raises:
        MediaError: A file cannot be read or written.
        FilterError: The preset or the look is none, or the face model is missing or failed.
    """
    parameters = _chosen(params, preset_name)
    cube = None if look is None else _read_look(look)
    if cube is not None and not parameters.look_amount:
        parameters = replace(parameters, look_amount=MAXIMUM)
    with _progress(source, target) as show:
        filter_file(source, target, parameters, compare=compare, look=cube, on_progress=show)


def run_sheet(source: Path, target: Path) -> None:
    """Filter the picture ``source`` with every preset into one sheet.

    Raises:
        MediaError: A file cannot be read or written, or is a clip.
        FilterError: The face model is missing or failed.
    """
    with _progress(source, target) as show:
        contact_sheet(source, target, PRESETS, on_progress=show)


def _read_look(path: Path) -> Cube:
    try:
        return parse_cube(path.read_text("utf-8", errors="replace"))
    except OSError as exc:
        raise MediaError(f"cannot read {path}: {exc.strerror}") from exc


def _chosen(params: str | None, preset_name: str | None) -> Parameters:
    named = parse_params(params)
    if preset_name is not None:
        return Parameters.parse({**preset(preset_name).as_dict(), **(named or {})})
    return Parameters.parse(STARTING_PARAMETERS if named is None else named)


@contextmanager
def _progress(source: Path, target: Path) -> Iterator[OnProgress]:
    """Show a bar on standard error, and at the end what was written."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(source.name, total=None)

        def show(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        yield show
    console.print(f"Wrote {target}", highlight=False, soft_wrap=True)
