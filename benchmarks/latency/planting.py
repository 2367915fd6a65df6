"""Delays put into one stage on purpose, to see whether the benchmark finds them there.

None of this is in the server: a server for tests is started with some of its functions wrapped,
and a beauty worker gets an extension that sleeps.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.latency.planted_stage import sleep_in_turn
from mediasrv.relay.broadcast import Broadcast
from mediasrv.relay.track import TrackRelay
from mediasrv.transport.aiortc_seam import SrtpSession

# Video's last packet of a frame, told before it is decrypted: the marker, and more than a sound.
SOUND_MAX_BYTES = 300
MARKER = 0x80


def plant(stage: str) -> None:
    """Slow one stage of this process's server down, once per frame, in every other turn."""
    _PLANTS[stage]()


def _in_unprotect() -> None:
    def sleeps(session: SrtpSession, packet: bytes) -> bool:
        return bool(packet[1] & MARKER) and len(packet) > SOUND_MAX_BYTES

    _sleep_before(SrtpSession, "unprotect", sleeps)


def _in_first_send() -> None:
    def sleeps(track: TrackRelay, batch: Any) -> bool:
        return track.observer is not None and batch.packets[-1].marker

    _sleep_before(TrackRelay, "_send", sleeps)


def _in_frame_complete() -> None:
    def sleeps(broadcast: Broadcast, datagram: bytes, now: float) -> bool:
        return bool(datagram[1] & MARKER) and len(datagram) > SOUND_MAX_BYTES

    _sleep_before(Broadcast, "receive_rtp", sleeps)


def _sleep_before(owner: type, name: str, sleeps: Callable[..., bool]) -> None:
    original = getattr(owner, name)

    def slowed(*arguments: Any) -> Any:
        if sleeps(*arguments):
            sleep_in_turn()
        return original(*arguments)

    setattr(owner, name, slowed)


_PLANTS: dict[str, Callable[[], None]] = {
    "unprotect": _in_unprotect,
    "frame complete": _in_frame_complete,
    "first send": _in_first_send,
}
IN_SERVER = tuple(_PLANTS)
IN_WORKER = "front"
WORKER_STAGE = "benchmarks.latency.planted_stage:open_stage"
