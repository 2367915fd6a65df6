"""A real UDP proxy that puts a bad network between browsers and the server.

Each client address gets a socket of its own towards the server, so that the server sees distinct
paths, and two links of ``impairment``. A thread with its own loop carries the datagrams: what a
test or a browser does meanwhile does not make the network worse.
"""

import contextlib
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

from benchmarks.rig.impairment import Conditions, Link, LinkCounters
from benchmarks.rig.live_server import RunningServer, running_server
from mediasrv.transport import stun
from mediasrv.transport.addresses import usable_local_addresses

Address = tuple[str, int]

# Two browsers on a machine with several interfaces stay below; more is a fault.
FLOWS_MAX = 256
DATAGRAM_MAX_BYTES = 65_535
# A keyframe for each of several viewers at once must fit, or the proxy itself would lose packets.
SOCKET_BUFFER_BYTES = 4 * 1024 * 1024
# Read from one socket before the others have their turn.
READS_MAX = 64
# The loop looks at least this often whether it must end.
WAIT_MAX_S = 0.05
JOIN_TIMEOUT_S = 5.0
ANNOUNCE_TIMEOUT_S = 5.0

PERFECT = Conditions()


@dataclass
class Lane:
    """The network of some clients: conditions that may change while datagrams are under way.

    Made by :meth:`ImpairmentProxy.next_lane`; its methods may be called from any thread.
    """

    name: str
    _lock: threading.Lock
    _up: Conditions
    _down: Conditions
    _flows: list["_Flow"] = field(default_factory=list)
    _blackout: tuple[float, float] = (0.0, 0.0)

    def set(self, *, up: Conditions | None = None, down: Conditions | None = None) -> None:
        """Change what happens to datagrams to the server (``up``) and from it (``down``)."""
        with self._lock:
            self._up = up or self._up
            self._down = down or self._down
            for flow in self._flows:
                flow.up.conditions, flow.down.conditions = self._up, self._down

    def black_out(self, seconds: float) -> None:
        """Lose everything both ways from now on, for some time."""
        with self._lock:
            now = time.monotonic()
            self._blackout = (now, now + seconds)
            for flow in self._flows:
                flow.up.black_out(*self._blackout)
                flow.down.black_out(*self._blackout)

    def counters(self) -> dict[str, dict[str, int]]:
        """Fates of datagrams, ``"up"`` and ``"down"``, summed over the lane's clients."""
        with self._lock:
            return {
                "up": _sum([flow.up.counters for flow in self._flows]),
                "down": _sum([flow.down.counters for flow in self._flows]),
            }

    def add(self, flow: "_Flow") -> None:
        """Let a client's address begin under the present conditions; the lock is held."""
        flow.up.conditions, flow.down.conditions = self._up, self._down
        flow.up.black_out(*self._blackout)
        flow.down.black_out(*self._blackout)
        self._flows.append(flow)


def _sum(counters: list[LinkCounters]) -> dict[str, int]:
    return {f.name: sum(getattr(c, f.name) for c in counters) for f in fields(LinkCounters)}


@dataclass
class _Flow:
    """One client address: its links, and the socket that stands for it at the server."""

    client: Address
    upstream: socket.socket
    up: Link
    down: Link


class ImpairmentProxy:
    """The proxy; :func:`running_proxy` starts and stops it.

    Clients belong to the lane that is newest when their first connectivity check arrives, and stay
    in it with all their addresses: the check's username tells them apart. A clean host beside bad
    viewers is: open the host, call :meth:`next_lane`, open the viewers.

    Args:
        address: Where clients send to, and where the server listens.
        seed: Of all links.

    Attributes:
        port: Where clients send to.
        lane: The first lane; perfect unless set otherwise.
        refused: Datagrams of addresses that never sent a check.
    """

    def __init__(self, address: str = "127.0.0.1", *, seed: int = 1) -> None:
        self._address = address
        self._seed = seed
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._front = _udp_socket(address)
        self._front.bind((address, 0))
        self._selector.register(self._front, selectors.EVENT_READ, None)
        self._target: Address | None = None
        self._flows: dict[Address, _Flow] = {}
        self._lane_of: dict[str, Lane] = {}
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="impairment proxy", daemon=True)
        self.port: int = self._front.getsockname()[1]
        self.lane = self._newest = Lane("first", self._lock, PERFECT, PERFECT)
        self.refused = 0

    def start(self, target_port: int) -> None:
        """Begin to carry datagrams to the server's port."""
        self._target = (self._address, target_port)
        self._thread.start()

    def next_lane(self, name: str, *, up: Conditions = PERFECT, down: Conditions = PERFECT) -> Lane:
        """Make the network of those clients that first appear from now on."""
        with self._lock:
            self._newest = Lane(name, self._lock, up, down)
            return self._newest

    def close(self) -> None:
        """Stop and close every socket."""
        self._ending = True
        if self._thread.ident is not None:
            self._thread.join(JOIN_TIMEOUT_S)
        self._selector.close()
        for one in (self._front, *(flow.upstream for flow in self._flows.values())):
            one.close()

    def _run(self) -> None:
        while not self._ending:
            ready = self._selector.select(self._wait_s())
            with self._lock:
                for key, _ in ready:
                    if key.data is None:
                        self._read_front()
                    else:
                        self._read_upstream(key.data)
                self._deliver(time.monotonic())

    def _wait_s(self) -> float:
        times = [
            link.next_due
            for flow in self._flows.values()
            for link in (flow.up, flow.down)
            if link.next_due is not None
        ]
        return min(WAIT_MAX_S, max(0.0, min(times) - time.monotonic())) if times else WAIT_MAX_S

    def _read_front(self) -> None:
        for _ in range(READS_MAX):
            try:
                datagram, client = self._front.recvfrom(DATAGRAM_MAX_BYTES)
            except OSError:
                return
            flow = self._flows.get(client) or self._begin(client, datagram)
            if flow is None:
                self.refused += 1
            else:
                flow.up.send(datagram, time.monotonic())

    def _begin(self, client: Address, datagram: bytes) -> _Flow | None:
        """Take a new address in, by the check that it sent."""
        try:
            username = stun.parse_binding_request(datagram).username
        except stun.StunRefused:
            return None
        if len(self._flows) >= FLOWS_MAX:
            return None
        assert self._target is not None
        lane = self._lane_of.setdefault(username, self._newest)
        seed = f"{self._seed}/{lane.name}/{len(lane._flows)}"
        upstream = _udp_socket(self._address)
        upstream.connect(self._target)
        flow = _Flow(client, upstream, Link(seed + "/up"), Link(seed + "/down"))
        lane.add(flow)
        self._flows[client] = flow
        self._selector.register(upstream, selectors.EVENT_READ, flow)
        return flow

    @staticmethod
    def _read_upstream(flow: _Flow) -> None:
        for _ in range(READS_MAX):
            try:
                datagram = flow.upstream.recv(DATAGRAM_MAX_BYTES)
            except OSError:
                return  # nothing more, or the server has gone
            flow.down.send(datagram, time.monotonic())

    def _deliver(self, now: float) -> None:
        for flow in self._flows.values():
            for datagram in flow.up.due(now):
                with contextlib.suppress(OSError):
                    flow.upstream.send(datagram)
            for datagram in flow.down.due(now):
                with contextlib.suppress(OSError):
                    self._front.sendto(datagram, flow.client)


def _udp_socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = socket.socket(family, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        one.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
    one.setblocking(False)
    return one


@contextmanager
def running_proxy(
    target_port: int, address: str = "127.0.0.1", *, seed: int = 1
) -> Iterator[ImpairmentProxy]:
    """Run a proxy in front of a server's UDP port."""
    proxy = ImpairmentProxy(address, seed=seed)
    try:
        proxy.start(target_port)
        yield proxy
    finally:
        proxy.close()


@contextmanager
def impaired_server(
    *, seed: int = 1, **settings: object
) -> Iterator[tuple[RunningServer, ImpairmentProxy]]:
    """Run a server whose media all pass a proxy, because it announces the proxy's port as its own.

    Args:
        seed: Of all links.
        settings: Fields of ServerConfig.
    """
    address = usable_local_addresses()[0]
    proxy = ImpairmentProxy(address, seed=seed)
    try:
        with running_server(public_ips=[address], public_udp_port=proxy.port, **settings) as server:
            proxy.start(_media_port(server))
            yield server, proxy
    finally:
        proxy.close()


def _media_port(server: RunningServer) -> int:
    """Read which UDP port the system chose."""
    deadline = time.monotonic() + ANNOUNCE_TIMEOUT_S
    while time.monotonic() < deadline:
        for line in list(server.log):
            if found := re.search(r"Media:\s+UDP port (\d+)", line):
                return int(found.group(1))
        time.sleep(0.01)
    raise AssertionError("the server does not say its UDP port:\n" + "\n".join(server.log))
