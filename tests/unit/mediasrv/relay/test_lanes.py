"""Viewers in step: what one is sent and told must not depend on whether it shares a lane."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.lanes import Lane, PlainGroup
from mediasrv.relay.outlet import Retransmission
from mediasrv.relay.packets import ExtensionIds, TrackPacket
from mediasrv.relay.track import TrackRelay
from tests.layered_video import LayeredCamera
from tests.relay_fakes import WatchingOutlet

IDS = (ExtensionIds(), ExtensionIds(abs_send_time=3, playout_delay=4))


class AloneTrack(TrackRelay):
    """The oracle: every viewer goes its own way all the time."""

    def _let_in_step(self, viewer, forwarder, codec):
        pass


class WatchedFanout:
    """Counts groups, and can lose what is sent to some targets."""

    def __init__(self):
        self.groups = []

    def __call__(self, targets):
        self.groups.append([target.ssrc for target in targets])
        return PlainGroup(targets)


class Stage:
    def __init__(self, kind=TrackRelay):
        self.fanout = WatchedFanout()
        self.track = kind(90_000, seekable=True, fanout=self.fanout)
        self.outlets = {}
        self.forwarders = {}
        self.now = 10.0

    def join(self, name, *, ids=IDS[0], rtx=False, **outlet):
        number = 100 * (len(self.forwarders) + 1)
        made = self.outlets[name] = WatchingOutlet(**outlet)
        again = Retransmission(number + 1, {"vp8": 97}, 5) if rtx else None
        forwarder = Forwarder(made, number, {"vp8": 96}, ids, number, again)
        self.forwarders[name] = forwarder
        self.track.add(name, forwarder, self.now)
        self.settle()
        return made

    def write(self, packets):
        for packet in packets:
            self.track.write_packet(replace(packet), self.now)
        self.settle()

    def settle(self):
        while (due := self.track.due_at) is not None:
            self.now = max(self.now, due)
            self.track.advance(self.now)

    def shoot(self, frames=1, *, keyframe=False, camera):
        for i in range(frames):
            self.write(camera.shoot(keyframe=keyframe and i == 0))
            self.now += 1 / 30

    @property
    def lanes(self):
        return [len(lane.members) for lane in self.track._lanes.values()]


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
def camera():
    return LayeredCamera()


def numbers(outlet, ssrc):
    return [p.sequence for p in outlet.of(ssrc)]


class TestLane:
    def test_viewers_who_negotiated_the_same_share_a_lane(self, stage, camera):
        for name in "abc":
            stage.join(name)
        stage.join("other ids", ids=IDS[1])
        stage.join("other protection", overhead_bytes=10)
        stage.join("other route", route=7)
        stage.shoot(3, keyframe=True, camera=camera)
        assert sorted(stage.lanes) == [1, 1, 1, 3]
        assert [100, 200, 300] in stage.fanout.groups

    def test_a_group_is_made_once_for_as_long_as_its_members_stay(self, stage, camera):
        stage.join("a")
        stage.join("b")
        stage.shoot(20, keyframe=True, camera=camera)
        assert stage.fanout.groups == [[100, 200]]
        stage.track.remove("a")
        stage.shoot(5, camera=camera)
        assert stage.fanout.groups == [[100, 200], [200]]

    def test_a_lane_without_members_is_gone(self, stage, camera):
        stage.join("a")
        stage.shoot(2, keyframe=True, camera=camera)
        assert stage.lanes == [1]
        stage.track.remove("a")
        assert stage.lanes == []
        stage.shoot(2, camera=camera)

    def test_an_empty_lane_sends_nothing(self, stage, camera):
        stage.join("a")
        stage.shoot(1, keyframe=True, camera=camera)
        kind = stage.forwarders["a"].lane_kind("vp8")
        assert kind is not None
        lane = Lane(kind, stage.fanout)
        assert lane.write(None) == []
        assert lane.packets == 0

    def test_counters_are_settled_whenever_somebody_asks(self, stage, camera):
        stage.join("early")
        stage.shoot(4, keyframe=True, camera=camera)
        stage.join("late")
        early, late = stage.forwarders["early"], stage.forwarders["late"]
        assert (early.counters.packets_sent, late.counters.packets_sent) == (8, 8)
        stage.shoot(3, camera=camera)
        for name, forwarder in stage.forwarders.items():
            counters, sent = forwarder.counters, stage.outlets[name].packets
            assert counters.packets_sent == len(sent) == 14
            assert counters.octets_sent == sum(len(p.payload) for p in sent)
        # Asking again adds nothing.
        assert early.counters.packets_sent == 14

    def test_who_enters_a_lane_late_is_not_told_of_what_the_others_got(self, stage, camera):
        stage.join("early")
        stage.shoot(3, keyframe=True, camera=camera)
        stage.now += 2
        stage.join("late")
        stage.shoot(3, camera=camera)
        assert stage.forwarders["late"].counters.packets_sent == 0
        stage.shoot(2, keyframe=True, camera=camera)
        assert stage.lanes == [2]
        assert stage.forwarders["late"].counters.packets_sent == 4

    def test_numbers_go_on_without_a_hole_when_a_viewer_leaves_a_lane(self, stage, camera):
        outlet = stage.join("a")
        stage.join("b")
        stage.shoot(5, keyframe=True, camera=camera)
        stage.track.want_layer("a", 0)
        assert stage.lanes == [1]
        stage.shoot(4, camera=camera)
        stage.track.want_layer("a", 3)
        stage.shoot(8, camera=camera)
        assert stage.lanes == [2]
        assert numbers(outlet, 100) == list(range(100, 100 + len(outlet.packets)))
        assert stage.forwarders["a"].counters.packets_sent == len(outlet.packets)


class TestLatePackets:
    def test_one_that_everybody_began_before_goes_to_everybody(self, stage, camera):
        outlets = [stage.join(name) for name in "abc"]
        stage.shoot(1, keyframe=True, camera=camera)
        first, second = camera.shoot()
        stage.write([first])
        stage.shoot(2, camera=camera)
        stage.write([second])
        for i, outlet in enumerate(outlets):
            begin = 100 * (i + 1)
            assert sorted(numbers(outlet, begin)) == list(range(begin, begin + 8))
        assert stage.lanes == [3]
        assert {f.counters.packets_sent for f in stage.forwarders.values()} == {8}

    def test_one_from_before_a_viewers_beginning_leaves_that_viewer_out(self, stage, camera):
        early = stage.join("early")
        stage.shoot(1, keyframe=True, camera=camera)
        first, second = camera.shoot()
        stage.write([first])
        stage.now += 2
        late = stage.join("late")
        stage.shoot(2, keyframe=True, camera=camera)
        assert stage.lanes == [2]
        stage.write([second])
        assert len(early.packets) == 8
        assert numbers(late, 200) == [200, 201, 202, 203]
        stage.shoot(1, camera=camera)
        assert stage.lanes == [2]
        assert numbers(late, 200)[-2:] == [204, 205]
        assert stage.forwarders["late"].counters.packets_sent == 6


class TestLosses:
    def test_a_member_that_fails_waits_for_a_keyframe_and_disturbs_nobody(self, stage, camera):
        broken, well = stage.join("broken"), stage.join("well")
        stage.shoot(2, keyframe=True, camera=camera)
        broken.is_broken = True
        stage.shoot(1, camera=camera)
        assert stage.lanes == [1]
        assert stage.track.keyframes.wanted
        sends = broken.sends
        broken.is_broken = False
        stage.shoot(3, camera=camera)
        assert broken.sends == sends
        stage.shoot(2, keyframe=True, camera=camera)
        assert stage.lanes == [2]
        assert numbers(well, 200) == list(range(200, 216))
        assert numbers(broken, 100) == [100, 101, 102, 103, 106, 107, 108, 109]
        assert stage.forwarders["broken"].counters.sends_failed == 1

    def test_a_member_that_loses_a_keyframe_is_not_sent_it_twice_over(self, stage, camera):
        broken = stage.join("broken")
        stage.join("well")
        stage.shoot(2, keyframe=True, camera=camera)
        broken.is_broken = True
        sends = broken.sends
        stage.shoot(1, keyframe=True, camera=camera)
        # What was full a moment ago is full still, and the others wait behind it.
        assert broken.sends == sends + 1
        assert stage.forwarders["broken"].waiting
        assert stage.track.keyframes.wanted

    def test_a_whole_lane_can_be_lost(self, stage, camera):
        outlets = [stage.join(name) for name in "abc"]
        stage.shoot(1, keyframe=True, camera=camera)
        for outlet in outlets:
            outlet.is_broken = True
        stage.shoot(1, camera=camera)
        assert stage.lanes == []
        for outlet in outlets:
            outlet.is_broken = False
        stage.shoot(2, keyframe=True, camera=camera)
        assert stage.lanes == [3]
        assert [len(outlet.packets) for outlet in outlets] == [6] * 3


NAMES = tuple("abcd")
STEPS = st.one_of(
    st.tuples(st.just("shoot"), st.integers(1, 5), st.booleans()),
    st.tuples(st.just("late"), st.integers(1, 4), st.just(None)),
    st.tuples(st.just("lose"), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("want"), st.sampled_from(NAMES), st.integers(0, 3)),
    st.tuples(st.just("join"), st.sampled_from(NAMES), st.integers(0, 3)),
    st.tuples(st.just("leave"), st.sampled_from(NAMES), st.just(None)),
    st.tuples(st.just("count"), st.sampled_from(NAMES), st.just(None)),
    st.tuples(st.just("nack"), st.sampled_from(NAMES), st.integers(1, 20)),
    st.tuples(st.just("splice"), st.booleans(), st.just(None)),
    st.tuples(st.just("wait"), st.floats(0.0, 1.5), st.just(None)),
)


class Script:
    """Plays the same steps on one stage as on any other."""

    def __init__(self, stage):
        self.stage = stage
        self.camera = LayeredCamera(sequence=65_000)
        self.gone = []

    def play(self, step):
        name, *arguments = step
        getattr(self, name)(*arguments)

    def shoot(self, frames, keyframe):
        self.stage.shoot(frames, keyframe=keyframe, camera=self.camera)

    def late(self, frames, _):
        packets = self.camera.shoot(count=4)
        self.stage.write([packets[0], packets[3]])
        self.stage.shoot(frames, camera=self.camera)
        self.stage.write([packets[2]])

    def lose(self, name, keyframe):
        if name not in self.stage.outlets:
            return
        self.stage.outlets[name].is_broken = True
        self.shoot(1, keyframe)
        self.stage.outlets[name].is_broken = False

    def want(self, name, layer):
        self.stage.track.want_layer(name, layer)

    def join(self, name, kind):
        self.leave(name, None)
        self.stage.join(name, ids=IDS[kind & 1], rtx=bool(kind & 2))

    def leave(self, name, _):
        self.stage.track.remove(name)
        if name in self.stage.outlets:
            self.gone.append((self.stage.forwarders.pop(name), self.stage.outlets.pop(name)))

    def count(self, name, _):
        if name in self.stage.forwarders:
            self.stage.forwarders[name].counters  # noqa: B018 - reading settles them

    def nack(self, name, back):
        if name in self.stage.outlets:
            sent = self.stage.outlets[name].of(self.stage.forwarders[name].ssrc)
            asked = [p.sequence for p in sent[-back:]] + [0]
            self.stage.track.resend(name, asked, self.stage.now, 0.05)

    def splice(self, new_clock, _):
        self.stage.track.splice(self.stage.now, new_clock=new_clock)

    def wait(self, seconds, _):
        self.stage.now += seconds

    def outcome(self):
        present = [(self.stage.forwarders[n], self.stage.outlets[n]) for n in self.stage.outlets]
        return [(o.packets, f.counters, f.waiting) for f, o in self.gone + present]


@given(st.lists(STEPS, max_size=30))
def test_lanes_send_what_each_viewer_alone_would_be_sent(steps):
    scripts = Script(Stage()), Script(Stage(AloneTrack))
    for script in scripts:
        for name in NAMES[:3]:
            script.stage.join(name)
        for step in [("shoot", 2, True), *steps, ("shoot", 2, True)]:
            script.play(step)
    ours, alone = (script.outcome() for script in scripts)
    assert ours == alone
    for packets, counters, _ in ours:
        assert counters.packets_sent + counters.repaired >= len(packets)


def test_audio_is_in_step_from_its_first_packet():
    track = TrackRelay(48_000, seekable=False)
    outlets = []
    for i in range(3):
        outlets.append(WatchingOutlet())
        forwarder = Forwarder(outlets[i], 10 + i, {"opus": 111}, ExtensionIds(), 50)
        track.add(str(i), forwarder, 0.0)
    for i in (0, 1, 3, 2, 4):
        track.write_packet(
            TrackPacket(70 + i, 960 * i, False, "opus", bytes([i]), b"", starts_keyframe=True), 0.0
        )
    assert [len(lane.members) for lane in track._lanes.values()] == [3]
    for outlet in outlets:
        assert [(p.sequence, p.payload) for p in outlet.packets] == [
            (50 + i, bytes([i])) for i in (0, 1, 3, 2, 4)
        ]
