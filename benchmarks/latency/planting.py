"""Delays put into one stage on purpose, to see whether the benchmark finds them there.

None of this is in the server: a server for tests is started with some of its functions wrapped.
What comes to the stage is handed on later, in its order, while the server goes on with everything
else, as it does when a network or another process is slow; to sleep would make whatever else waits
for the server late as well. A beauty worker has one thread, so there an extension sleeps.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.latency.planted_stage import planted_delay_s
from mediasrv.media import EncodedFrame
from mediasrv.processing.stream import BeautyStream
from mediasrv.relay.track import TrackRelay
from mediasrv.transport.peer import PeerTransport

CallLater = Callable[[float, Callable[[], None]], object]


class DelayLine:
    """What is put in comes out later, one after the other.

    Args:
        delay_s: Says by how much what is put in now; it may come and go.
        clock: Seconds.
        call_later: Calls something after so many seconds.
    """

    def __init__(
        self, delay_s: Callable[[], float], clock: Callable[[], float], call_later: CallLater
    ) -> None:
        self._delay_s = delay_s
        self._clock = clock
        self._call_later = call_later
        self._line: deque[tuple[float, Callable[[], object]]] = deque()

    def put(self, action: Callable[[], object]) -> None:
        """Do ``action`` later; at once when there is no delay and nobody waits."""
        delay_s, now = self._delay_s(), self._clock()
        if not self._line and delay_s <= 0:
            action()
            return
        self._line.append((now + delay_s, action))
        if len(self._line) == 1:
            self._call_later(delay_s, self._let_out)

    def _let_out(self) -> None:
        now = self._clock()
        while self._line and self._line[0][0] <= now:
            self._line.popleft()[1]()
        if self._line:
            self._call_later(max(0.0, self._line[0][0] - now), self._let_out)


def plant(stage: str) -> None:
    """Slow one stage of this process's server down, in every other turn."""
    _PLANTS[stage](DelayLine(planted_delay_s, time.monotonic, _call_later))


def _call_later(delay_s: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay_s, callback)


def _in_unprotect(line: DelayLine) -> None:
    receive = PeerTransport.receive_rtp

    def later(peer: PeerTransport, datagram: bytes, now: float) -> None:
        line.put(partial(receive, peer, datagram, now))

    _replace(PeerTransport, "receive_rtp", later)


def _in_frame_complete(line: DelayLine) -> None:
    flush = TrackRelay.flush

    def later(track: TrackRelay, now: float) -> None:
        if track.observer is None:  # only the video is traced
            flush(track, now)
            return
        packets, track._pending = track._pending, []
        line.put(partial(send, track, packets, now))

    def send(track: TrackRelay, packets: list[Any], now: float) -> None:
        waiting, track._pending = track._pending, packets
        flush(track, now)
        track._pending = waiting

    _replace(TrackRelay, "flush", later)


def _on_the_way_to_the_worker(line: DelayLine) -> None:
    feed = BeautyStream.feed

    def later(stream: BeautyStream, frame: EncodedFrame) -> bool:
        line.put(partial(feed, stream, frame))
        return True

    _replace(BeautyStream, "feed", later)


def _on_the_way_back(line: DelayLine) -> None:
    take = BeautyStream._take_message

    def later(stream: BeautyStream, message: Any) -> None:
        line.put(partial(take, stream, message))

    _replace(BeautyStream, "_take_message", later)


def _replace(owner: type, name: str, by: Callable[..., Any]) -> None:
    setattr(owner, name, by)


_PLANTS: dict[str, Callable[[DelayLine], None]] = {
    "unprotect": _in_unprotect,
    "frame complete": _in_frame_complete,
    "to worker": _on_the_way_to_the_worker,
    "back": _on_the_way_back,
}
IN_SERVER = tuple(_PLANTS)
# What a server is to call first, see benchmarks.rig.live_server.
PLANT = f"{__name__}:{plant.__name__}"
IN_WORKER = "front"
IN_FILTER = ("to worker", "back", IN_WORKER)
WORKER_STAGE = "benchmarks.latency.planted_stage:open_stage"
