"""``mediasrv filter``: run the beauty pipeline on a file, with a progress bar."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from filters.parameters import Parameters
from mediasrv.commands.options import parse_params
from mediasrv.config import STARTING_PARAMETERS
from mediasrv.offline import filter_file


def run_filter(source: Path, target: Path, params: str | None, *, compare: bool) -> None:
    """Filter ``source`` into ``target``.

    Args:
        source: A picture or a clip.
        target: The result; its suffix names the format.
        params: Filter strengths as JSON; None takes what a new room starts with.
        compare: Put the original on the left of the result.

    Raises:
        MediaError: A file cannot be read or written.
        FilterError: The face model is missing or failed.
    """
    named = parse_params(params)
    parameters = Parameters.parse(STARTING_PARAMETERS if named is None else named)
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

        filter_file(source, target, parameters, compare=compare, on_progress=show)
    console.print(f"Wrote {target}", highlight=False, soft_wrap=True)
