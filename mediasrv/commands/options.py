"""What several commands read from their options in the same way."""

import json
import re

import click

from filters.errors import ParameterError
from filters.parameters import Parameters
from signaling.messages import ROOM_PATTERN


def check_room(room: str) -> str:
    """Return the room's name as it is.

    Raises:
        click.UsageError: It cannot be the name of a room.
    """
    if re.fullmatch(ROOM_PATTERN, room) is None:
        raise click.UsageError(
            f"--room {room!r}: use 1 to 64 of a-z, 0-9 and dashes, not beginning with a dash"
        )
    return room


def parse_params(text: str | None) -> dict[str, int] | None:
    """Read ``--params``.

    Returns:
        Only the parameters that were named; None when the option was not given.

    Raises:
        click.UsageError: It is no JSON object of valid filter parameters.
    """
    if text is None:
        return None
    try:
        named = json.loads(text)
    except ValueError as exc:
        raise click.UsageError(f"--params is no JSON: {exc}") from exc
    if not isinstance(named, dict):
        raise click.UsageError('--params must be a JSON object like {"smooth": 60}')
    try:
        known = Parameters.parse(named).as_dict()
    except ParameterError as exc:
        raise click.UsageError(f"--params: {exc}") from exc
    return {name: known[name] for name in named}
