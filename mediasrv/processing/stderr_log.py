"""Carries a worker's standard error into the server's log: line by line, bounded, redacted."""

import asyncio
import logging
import os
import subprocess

from mediasrv.processing.diagnostics import MAX_FOREIGN_LINES, LineCutter, is_own_line, redact

logger = logging.getLogger(__name__)

READ_BYTES = 16 * 1024


class StderrLog:
    """Reads the pipe for as long as the worker lives, so that the worker never waits for us."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Take over ``process.stderr``, which must be an unbuffered pipe."""
        if process.stderr is None:
            raise ValueError("the process has no pipe for its standard error")
        self._pid = process.pid
        self._pipe = process.stderr
        self._loop = asyncio.get_running_loop()
        self._lines = LineCutter()
        self._foreign_lines = 0
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read)

    def close(self) -> None:
        """Read what is left and close the pipe; calling it again does nothing."""
        if not self._pipe.closed:
            self._read()
        self._end()

    def _read(self) -> None:
        try:
            chunk = os.read(self._pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        for line in self._lines.feed(chunk):
            self._log(line)
        if not chunk:
            self._end()

    def _log(self, line: str) -> None:
        if is_own_line(line):
            logger.info("worker %d: %s", self._pid, line)
            return
        self._foreign_lines += 1
        if self._foreign_lines <= MAX_FOREIGN_LINES:
            logger.debug("worker %d says: %s", self._pid, redact(line))
        elif self._foreign_lines == MAX_FOREIGN_LINES + 1:
            logger.debug("worker %d says too much; the rest is dropped", self._pid)

    def _end(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
