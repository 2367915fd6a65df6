"""Viewers who stop reading for a minute: the room keeps nothing for them, and the others go on."""

import gc
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType

import pytest

from mediasrv.relay import rtcp
from tests.relay_fakes import WatchingOutlet, viewer_tracks
from tests.studio import Studio

FPS = 30
MINUTE_S = 60
# Ring buffers of a second are full by then, dictionaries have grown to their size.
WARM_UP_S = 5
# Numbers grow from one machine word to two, dictionaries are packed now and then.
FLAT = 1.02
KEYFRAME_EVERY = 5 * FPS


class ForgetfulOutlet(WatchingOutlet):
    """Checks what is sent and counts it, and keeps nothing but what it needs to check."""

    total = 0

    def send_packets(self, spans, runs):
        self.total += len(spans)
        sent = super().send_packets(spans, runs)
        self.packets.clear()
        self.runs.clear()
        self._used.clear()
        return sent

    def send_rtcp(self, packet):
        del packet


def weight_bytes(room: object) -> int:
    """Add up everything that is reachable from ``room``, outlets and code left out."""
    seen: set[int] = set()
    waiting, total = [room], 0
    while waiting:
        found = waiting.pop()
        is_foreign = isinstance(
            found, type | ModuleType | FunctionType | BuiltinFunctionType | WatchingOutlet | Studio
        )
        if is_foreign or id(found) in seen:
            continue
        seen.add(id(found))
        total += sys.getsizeof(found)
        waiting += gc.get_referents(found)
    return total


class Room(Studio):
    """A room with one viewer who goes on, and one who may not."""

    def __init__(self) -> None:
        super().__init__()
        self.publish()
        for name in ("well", "stalled"):
            self.viewers[name] = ForgetfulOutlet()
            self.broadcast.subscribe(name, viewer_tracks(), self.viewers[name], name, self.now)
        self.nacks = 0

    def go_on(self, seconds: float, each_frame=lambda: None) -> None:
        """Let the host send, and the viewer who is well report, for ``seconds``."""
        for number in range(round(seconds * FPS)):
            wanted = bool(self.host.requests()) or number % KEYFRAME_EVERY == 0
            self.host.messages.clear()
            self.shoot(keyframe=wanted, count=3)
            self.receive(self.microphone.packet())
            self.host.packets.clear()
            if number % FPS == 0:
                self.report("well")
            each_frame()

    def report(self, name: str) -> None:
        block = rtcp.ReportBlock(1001, 0, 0, 0, 0, 0, 0)
        compound = rtcp.write_receiver_report(9, [block])
        self.broadcast.receive_viewer_rtcp(name, compound, self.now)

    def beg(self) -> None:
        """Ask for what was never sent, for what was, and for keyframes."""
        self.nacks = (self.nacks + 17) & 0xFFFF
        compound = rtcp.write_receiver_report(9, [])
        numbers = [(self.nacks + i) & 0xFFFF for i in range(200)]
        compound += rtcp.write_nack(9, 1001, numbers) + rtcp.write_pli(9, 1001)
        self.broadcast.receive_viewer_rtcp("stalled", compound, self.now)


def says_nothing(room: Room) -> None:
    del room


def takes_nothing(room: Room) -> None:
    room.viewers["stalled"].is_broken = True


@pytest.mark.parametrize("stall", [says_nothing, takes_nothing])
def test_a_viewer_who_stops_reading_for_a_minute_leaves_memory_flat(stall):
    room = Room()
    room.go_on(WARM_UP_S)
    stall(room)
    room.go_on(WARM_UP_S)
    before, got = weight_bytes(room.broadcast), room.viewers["well"].total
    room.go_on(MINUTE_S)
    assert weight_bytes(room.broadcast) < FLAT * before
    assert room.viewers["well"].total - got == MINUTE_S * FPS * 4


def test_a_viewer_who_cannot_be_sent_to_does_not_wear_out_the_host():
    room = Room()
    room.go_on(WARM_UP_S)
    takes_nothing(room)
    before = room.broadcast.keyframe_requests_sent
    room.go_on(MINUTE_S)
    assert 2 <= room.broadcast.keyframe_requests_sent - before <= 8
    room.viewers["stalled"].is_broken = False
    got = room.viewers["stalled"].total
    room.go_on(1 + KEYFRAME_EVERY / FPS)
    assert room.viewers["stalled"].total > got


def test_a_viewer_who_only_begs_leaves_memory_flat():
    room = Room()
    room.go_on(2 * WARM_UP_S, room.beg)
    before = weight_bytes(room.broadcast)
    room.go_on(MINUTE_S, room.beg)
    assert weight_bytes(room.broadcast) < FLAT * before


def test_a_room_that_did_keep_packets_would_be_noticed():
    room = Room()
    room.go_on(WARM_UP_S)
    before = weight_bytes(room.broadcast)
    kept = []
    room.broadcast.tracks["video"].kept = kept
    room.go_on(MINUTE_S, lambda: kept.append(bytes(200)))
    assert weight_bytes(room.broadcast) > FLAT * before
