"""What a worker may say on its standard error, and what the server makes of it.

The worker writes lines of one closed form: an event of a fixed list, then words and whole
numbers. The server logs these, and only these, at INFO. Whatever else comes out of a worker
(libraries, the interpreter's last words) goes to DEBUG, cut short and with every digit hidden:
numbers are what facial data would look like.
"""

import re
from enum import StrEnum

PREFIX = "mediasrv-worker:"
MAX_LINE_BYTES = 1024
# Unknown lines kept per worker; libraries that complain about every frame must not fill a disk.
MAX_FOREIGN_LINES = 100
_SHOWN_FOREIGN_CHARS = 200
_LONGEST_WORD_CHARS = 40  # longer ones may be something encoded

_WORD = r"[A-Za-z_][A-Za-z_.]{0,63}"
_NUMBER = r"\d{1,9}"
_DIGIT = re.compile(r"[0-9]")
_LONG_WORD = re.compile(rf"\S{{{_LONGEST_WORD_CHARS},}}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class WorkerEvent(StrEnum):
    """All that a worker ever reports in words."""

    READY = "ready"
    STOPPED = "stopped"
    SERVER_GONE = "server_gone"
    CHANNEL_BROKEN = "channel_broken"
    START_FAILED = "start_failed"
    CRASHED = "crashed"


_OWN_LINE = re.compile(
    rf"{PREFIX} (?:{'|'.join(WorkerEvent)})(?: [a-z_]{{1,32}}=(?:{_WORD}|{_NUMBER}))*"
)


def format_event(event: WorkerEvent, **details: int | str) -> str:
    """Write one line of the closed form, without its line end."""
    words = "".join(f" {name}={value}" for name, value in details.items())
    return f"{PREFIX} {event}{words}"


def is_own_line(line: str) -> bool:
    """Whether the line has the closed form."""
    return _OWN_LINE.fullmatch(line) is not None


def redact(line: str) -> str:
    """Make a foreign line safe to keep: short, printable, no digits, no long words."""
    printable = _UNPRINTABLE.sub("?", line)
    shortened = _LONG_WORD.sub("<...>", printable)[:_SHOWN_FOREIGN_CHARS]
    return _DIGIT.sub("#", shortened)


class LineCutter:
    """Cuts a byte stream into lines; the rest of an overlong one is dropped."""

    def __init__(self) -> None:
        self._line = bytearray()

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes, give the lines they complete, without line ends."""
        lines = []
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._extend(part)
            lines.append(self._line.decode("ascii", "replace").rstrip("\r"))
            self._line.clear()
        self._extend(rest)
        return lines

    def _extend(self, part: bytes) -> None:
        self._line += part[: MAX_LINE_BYTES - len(self._line)]
