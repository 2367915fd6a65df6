"""A TCP proxy that a test can cut, like pulling the cable between a page and its server."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

JOIN_TIMEOUT_S = 5.0


class TcpProxy:
    """Forwards connections to one server until :meth:`cut`; :meth:`mend` lets new ones through.

    Attributes:
        url: Where clients connect.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._passing = True
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        """Begin to accept."""
        self._spawn(self._accept)

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        with self._lock:
            self._passing = False
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _shut(*pair)

    def mend(self) -> None:
        """Accept again."""
        self._passing = True

    def close(self) -> None:
        """Break everything and stop."""
        self.cut()
        _shut(self._listener)
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_S)

    def _spawn(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if not self._passing:
                    _shut(client)
                    continue
                server = socket.create_connection(self._target)
                self._pairs.append((client, server))
            self._spawn(_pump, client, server)
            self._spawn(_pump, server, client)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            sink.sendall(block)
    _shut(source, sink)


def _shut(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextmanager
def running_proxy(target: str) -> Iterator[TcpProxy]:
    """Run a proxy in front of ``target``."""
    proxy = TcpProxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
