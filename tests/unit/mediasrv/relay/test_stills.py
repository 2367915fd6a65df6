"""Keyframes for a viewer whose way carries nothing else."""

import pytest

from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.history import PacketHistory
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.stills import EVERY_S, STEP_S, Stills
from tests.layered_video import LayeredCamera, seen
from tests.relay_fakes import WatchingOutlet


class Stage:
    def __init__(self, *, pace_bps=80_000.0):
        self.now = 10.0
        self.history = PacketHistory(1.0)
        self.camera = LayeredCamera()
        self.outlet = WatchingOutlet()
        self.forwarder = Forwarder(self.outlet, 7, {"vp8": 96}, ExtensionIds(), 100)
        self.stills = Stills(self.forwarder, self.now)
        self.stills.pace_bps = pace_bps

    def shoot(self, *, keyframe=False, count=10, left_out=()):
        packets = self.camera.shoot(keyframe=keyframe, count=count)
        for packet in packets:
            packet.payload = packet.payload.ljust(1000, b".")
            if packet.sequence - packets[0].sequence not in left_out:
                self.history.add(packet, self.now)
        if keyframe:
            self.history.mark_keyframe(packets[0].sequence, self.now)
        return packets

    def run(self, seconds):
        """Let time pass; returns whether a keyframe was asked for at its end."""
        asked = False
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            asked = self.stills.advance(self.history, self.now)
        return asked

    @property
    def frames(self):
        return [s.frame for s in seen(self.outlet.packets)]


def test_without_a_keyframe_one_is_asked_for_at_once():
    stage = Stage()
    assert stage.run(STEP_S)
    assert stage.frames == []


def test_a_keyframe_leaves_at_the_pace_of_the_way_even_if_the_history_forgets_it():
    stage = Stage(pace_bps=40_000)
    stage.shoot(keyframe=True)
    stage.run(1.0)
    stage.history.clear()
    assert 4 <= len(stage.frames) <= 6
    assert stage.stills.is_torn
    stage.run(1.1)
    assert stage.frames == [0] * 10
    assert not stage.stills.is_torn


def test_a_keyframe_that_the_viewer_has_gone_past_is_not_sent():
    stage = Stage()
    stage.shoot(keyframe=True)
    stage.shoot()
    stage.stills = Stills(stage.forwarder, stage.now, after=stage.history.newest)
    stage.stills.pace_bps = 80_000.0
    assert stage.run(STEP_S)
    assert stage.frames == []
    stage.shoot(keyframe=True)
    stage.run(1.5)
    assert stage.frames == [2] * 10


def test_what_follows_a_keyframe_is_left_out():
    stage = Stage()
    stage.shoot(keyframe=True)
    stage.shoot()
    stage.run(1.5)
    assert stage.frames == [0] * 10


@pytest.mark.parametrize("missing", [0, 4, 9])
def test_a_keyframe_with_a_hole_is_left_out(missing):
    stage = Stage()
    stage.shoot(keyframe=True, left_out=(missing,))
    stage.run(1.5)
    assert stage.frames == []


def test_the_next_keyframe_is_asked_for_when_there_is_time_for_it():
    stage = Stage(pace_bps=800_000)
    stage.shoot(keyframe=True)
    assert not stage.run(EVERY_S - 2 * STEP_S)
    assert stage.run(4 * STEP_S)
    stage.shoot(keyframe=True)
    stage.run(EVERY_S / 2)
    assert stage.frames == [0] * 10 + [1] * 10


def test_time_that_nothing_was_sent_in_is_not_made_up_for():
    stage = Stage(pace_bps=8_000)
    stage.run(5.0)
    stage.shoot(keyframe=True)
    stage.run(1.0)
    assert len(stage.frames) <= 2


def test_a_picture_that_is_cut_off_leaves_a_hole():
    stage = Stage(pace_bps=40_000)
    stage.shoot(keyframe=True)
    stage.run(1.0)
    stage.stills.stop()
    assert not stage.stills.is_torn
    numbers = [p.sequence for p in stage.outlet.packets]
    stage.shoot(keyframe=True)
    stage.stills.pace_bps = 8_000_000
    stage.run(1.0)
    assert stage.outlet.packets[len(numbers)].sequence == numbers[-1] + 2
