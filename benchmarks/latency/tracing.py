"""The server's benchmark channel, read by a thread: one row per frame (mediasrv.tracing)."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]

ANSWER_TIMEOUT_S = 5.0


class FrameRows:
    """The rows that have come so far."""

    def __init__(self, connection: socket.socket) -> None:
        self._lines = connection.makefile("rb")
        self._rows: list[Row] = []
        self._lock = threading.Lock()
        self.lost = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def take(self) -> list[Row]:
        """Take the rows since the last call."""
        with self._lock:
            rows, self._rows = self._rows, []
        return rows

    def _read(self) -> None:
        try:
            for line in self._lines:
                row = json.loads(line)
                with self._lock:
                    self.lost += row.get("rows_lost", 0)
                    self._rows.append(row)
        except (OSError, ValueError):
            return  # closed


@contextmanager
def frame_rows(path: Path, room: str) -> Iterator[FrameRows]:
    """Trace a room for as long as the context is open.

    Raises:
        AssertionError: The server refuses.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        connection.connect(str(path))
        connection.sendall(json.dumps({"room": room}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += connection.recv(1)
        assert json.loads(answer) == {"tracing": room}, answer
        connection.settimeout(None)
        rows = FrameRows(connection)
        yield rows
        connection.shutdown(socket.SHUT_RDWR)


def count_tasks(path: Path) -> int:
    """Ask how many tasks the server's event loop has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        connection.connect(str(path))
        connection.sendall(b'{"count": "tasks"}\n')
        with connection.makefile("rb") as lines:
            return int(json.loads(lines.readline())["tasks"])
