"""``mediasrv filter``: run the beauty pipeline on a file, with a progress bar."""

from pathlib import Path


def run_filter(source: Path, target: Path, params: str | None, *, compare: bool) -> None:
    """Filter ``source`` into ``target``.

    Args:
        source: A picture or a clip.
        target: The result; its suffix names the format.
        params: Filter strengths as JSON; None takes the filter's starting strengths.
        compare: Show before and after side by side.
    """
