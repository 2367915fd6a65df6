"""Temporal layers: who gets fewer frames sees numbers, picture ids and references in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay.forwarder import ALL_LAYERS, Forwarder
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.track import HOLD_S, TrackRelay
from tests.layered_video import LayeredCamera, assert_playable, layers_of, seen
from tests.relay_fakes import WatchingOutlet


class Stage:
    """A video track in three layers, with one viewer."""

    def __init__(self, **camera):
        self.track = TrackRelay(90_000, seekable=True)
        self.outlet = WatchingOutlet()
        self.camera = LayeredCamera(**camera)
        self.now = 10.0
        self.forwarder = Forwarder(self.outlet, 5, {"vp8": 96}, ExtensionIds(), 0)
        self.track.add("v", self.forwarder, self.now)

    def write(self, packets):
        for packet in packets:
            self.track.write_packet(packet, self.now)
        self.now += HOLD_S
        self.track.advance(self.now)

    def shoot(self, frames=1, *, keyframe=False, count=2):
        for i in range(frames):
            self.write(self.camera.shoot(keyframe=keyframe and i == 0, count=count))
            self.now += 1 / 30

    def want(self, layer):
        self.track.want_layer("v", layer)

    @property
    def seen(self):
        return seen(self.outlet.packets)


@pytest.fixture
def stage():
    return Stage()


@pytest.mark.parametrize(
    ("layer", "layers"),
    [(0, [0, 0, 0]), (1, [0, 1, 0, 1, 0, 1]), (2, [0, 2, 1, 2] * 3), (3, [0, 2, 1, 2] * 3)],
)
def test_a_viewer_gets_the_layers_it_wants_without_a_hole(stage, layer, layers):
    stage.want(layer)
    stage.shoot(12, keyframe=True)
    assert layers_of(stage.seen) == layers
    assert_playable(stage.seen)
    assert stage.forwarder.counters.layered_out == 2 * (12 - len(layers))
    assert stage.forwarder.counters.packets_sent == 2 * len(layers)


def test_dropping_a_layer_holds_at_once(stage):
    stage.shoot(6, keyframe=True)
    stage.want(0)
    stage.shoot(6)
    assert layers_of(stage.seen) == [0, 2, 1, 2, 0, 2, 0]
    assert_playable(stage.seen)


def test_climbing_waits_for_a_frame_that_builds_on_the_base_layer_alone(stage):
    stage.want(0)
    stage.shoot(2, keyframe=True)
    stage.want(1)
    stage.shoot(6)
    # The first frame of layer 1 after the wish, and no frame of layer 2.
    assert layers_of(stage.seen) == [0, 1, 0, 1]
    assert_playable(stage.seen)


def test_climbing_goes_layer_by_layer_up_to_everything(stage):
    stage.want(0)
    stage.shoot(5, keyframe=True)
    stage.want(ALL_LAYERS)
    # The frame of layer 2 that builds on layer 0 alone comes first, but layer 1 is not there yet.
    stage.shoot(7)
    assert layers_of(stage.seen) == [0, 0, 1, 0, 2, 1, 2]
    assert_playable(stage.seen)
    stage.shoot(8)
    assert layers_of(stage.seen)[-8:] == [0, 2, 1, 2] * 2
    assert stage.forwarder.in_step


def test_who_has_climbed_to_everything_goes_on_with_the_others(stage):
    stage.want(0)
    stage.shoot(5, keyframe=True)
    assert not stage.forwarder.in_step
    stage.want(ALL_LAYERS)
    stage.shoot(20)
    assert stage.forwarder.in_step
    assert_playable(stage.seen)


@pytest.mark.parametrize("pattern", [((0, False),), ((0, False), (1, True))])
def test_a_keyframe_brings_everything_back_whatever_the_pattern(pattern):
    stage = Stage(pattern=pattern)
    stage.want(0)
    stage.shoot(6, keyframe=True)
    stage.want(ALL_LAYERS)
    stage.shoot(3)
    stage.shoot(4, keyframe=True)
    assert stage.forwarder.in_step
    assert layers_of(stage.seen)[-4:] == [layer for layer, _ in pattern] * (4 // len(pattern))


def test_a_keyframe_behind_the_end_of_a_dropped_frame_brings_only_itself_back(stage):
    stage.want(0)
    stage.shoot(3, keyframe=True)
    stage.want(ALL_LAYERS)
    last = stage.camera.shoot()  # layer 2, which builds on the layer 1 that was dropped
    key = stage.camera.shoot(keyframe=True)
    for packet in last:
        packet.marker = False  # they leave together
    stage.write(last + key)
    stage.shoot(3)
    assert layers_of(stage.seen) == [0, 0, 2, 1, 2]
    assert_playable(stage.seen)


def test_a_keyframe_brings_back_no_more_than_is_wanted(stage):
    stage.want(1)
    stage.shoot(4, keyframe=True)
    stage.shoot(4, keyframe=True)
    assert layers_of(stage.seen) == [0, 1, 0, 1]
    assert_playable(stage.seen)


def late_viewer(stage, layer):
    """Joins in the middle of a group of pictures, with a wish of its own."""
    outlet = WatchingOutlet()
    forwarder = Forwarder(outlet, 6, {"vp8": 96}, ExtensionIds(), 0)
    forwarder.want_layer(layer)
    stage.track.add("late", forwarder, stage.now)
    while (due := stage.track.due_at) is not None:
        stage.now = due
        stage.track.advance(due)
    return outlet, forwarder


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_late_viewer_is_replayed_only_the_layers_that_it_wants(stage, layer):
    stage.shoot(13, keyframe=True)
    outlet, forwarder = late_viewer(stage, layer)
    stage.shoot(7)
    assert set(layers_of(seen(outlet.packets))) == set(range(layer + 1))
    assert_playable(seen(outlet.packets))
    assert forwarder.counters.packets_sent == len(outlet.packets)


def test_layers_stay_while_a_viewer_catches_up_and_in_mid_frame(stage):
    packets = [p for i in range(40) for p in stage.camera.shoot(keyframe=i == 0)]
    for packet in packets:
        packet.payload = packet.payload.ljust(1100, b".")
    stage.write(packets)
    outlet = WatchingOutlet()
    forwarder = Forwarder(outlet, 6, {"vp8": 96}, ExtensionIds(), 0)
    stage.track.add("late", forwarder, stage.now)
    stage.track.want_layer("late", 0)
    assert forwarder.layer_wanted == ALL_LAYERS
    while (due := stage.track.due_at) is not None:
        stage.track.advance(due)
    stage.track.want_layer("late", 0)
    assert forwarder.layer_wanted == 0
    stage.shoot(8)
    assert_playable(seen(outlet.packets))


def test_frames_that_leave_together_are_sent_in_pieces_where_numbers_change(stage):
    stage.want(0)
    stage.shoot(1, keyframe=True)
    together = [packet for _ in range(9) for packet in stage.camera.shoot()]
    for packet in together:
        packet.marker = False
    sends = stage.outlet.sends
    stage.write(together)
    assert stage.outlet.sends == sends + 2
    assert layers_of(stage.seen) == [0, 0, 0]
    assert_playable(stage.seen)


def test_a_piece_that_is_lost_takes_the_pieces_after_it_along(stage):
    stage.want(0)
    stage.shoot(1, keyframe=True)
    together = [packet for _ in range(9) for packet in stage.camera.shoot()]
    for packet in together:
        packet.marker = False
    stage.outlet.is_broken = True
    sends = stage.outlet.sends
    stage.write(together)
    stage.outlet.is_broken = False
    assert stage.outlet.sends == sends + 1
    assert stage.forwarder.waiting
    assert stage.track.keyframes.wanted
    stage.shoot(4, keyframe=True)
    assert layers_of(stage.seen) == [0, 0]


def test_a_late_packet_of_a_dropped_frame_changes_nothing(stage):
    stage.want(0)
    stage.shoot(1, keyframe=True)
    first, second = stage.camera.shoot()
    stage.write([first])
    stage.shoot(3)
    stage.write([second])
    stage.shoot(4)
    assert layers_of(stage.seen) == [0, 0, 0]
    # What was not there when the next packets left remains a hole.
    assert [s.number for s in stage.seen] == [0, 1, 3, 4, 5, 6]
    assert [s.picture_id for s in stage.seen] == [7, 7, 8, 8, 9, 9]


def test_a_late_packet_of_a_frame_that_was_sent_takes_its_number(stage):
    stage.want(0)
    stage.shoot(4, keyframe=True)
    first, second, third = stage.camera.shoot(count=3)
    stage.write([first, third])
    stage.shoot(5)
    stage.write([second])
    stage.shoot(3)
    assert_playable(stage.seen)
    assert layers_of(stage.seen) == [0, 0, 0, 0]


def test_a_viewer_that_begins_again_keeps_its_picture_ids_in_order(stage):
    stage.want(0)
    stage.shoot(8, keyframe=True)
    stage.forwarder.lose()
    stage.shoot(3)
    stage.shoot(8, keyframe=True)
    pictures = [s.picture_id for s in stage.seen]
    assert pictures == sorted(pictures)
    numbers = [s.number for s in stage.seen]
    assert numbers == list(range(len(numbers)))


def test_picture_ids_of_seven_bits_stay_in_seven_bits(stage):
    def narrow(packets):
        for packet in packets:
            number = packet.payload[3] & 0x7F
            packet.payload = packet.payload[:2] + bytes([number]) + packet.payload[4:]
        return packets

    stage.camera.picture_id = 125
    stage.want(0)
    for i in range(12):
        stage.write(narrow(stage.camera.shoot(keyframe=i == 0, count=1)))
    assert [p.payload[2] for p in stage.outlet.packets] == [125, 126, 127]
    for _ in range(4):
        stage.write(narrow(stage.camera.shoot(count=1)))
    assert stage.outlet.packets[-1].payload[2] == 0


@pytest.mark.parametrize(("before", "after"), [(3, 0), (0, 3), (1, 3), (3, 1)])
def test_a_frame_that_leaves_in_two_parts_is_sent_as_a_whole_or_not_at_all(stage, before, after):
    stage.want(before)
    stage.shoot(2, keyframe=True)
    for _ in range(8):
        first, second = stage.camera.shoot()
        stage.write([first])
        stage.want(after)
        stage.write([second])
        stage.want(after)
        stage.shoot(3)
        stage.want(before)
    assert_playable(stage.seen)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6), st.booleans()), max_size=15),
    st.integers(1, 4),
    st.integers(0, 32_767),
)
def test_whatever_is_wanted_when_a_decoder_never_misses_anything(steps, count, picture_id):
    stage = Stage(picture_id=picture_id, sequence=65_500)
    stage.shoot(1, keyframe=True, count=count)
    for layer, frames, keyframe in steps:
        stage.want(layer)
        stage.shoot(frames, keyframe=keyframe, count=count)
    assert_playable(stage.seen)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=60
    )
)
def test_packets_in_any_order_never_share_a_number(plan):
    """Frames of three packets; each packet may be late, and wishes change at any packet.

    The outlet objects to a second packet under a number.
    """
    stage = Stage()
    stage.shoot(1, keyframe=True)
    wishes = {}
    queue = []
    for i, (layer, delay, others) in enumerate(plan):
        for packet in stage.camera.shoot(keyframe=i % 17 == 16, count=3):
            queue.append(
                (packet.sequence + (delay if packet.sequence % 6 == others else 0), packet)
            )
        wishes[packet.sequence] = layer
    for _, packet in sorted(queue, key=lambda q: (q[0], q[1].sequence)):
        sequence = packet.sequence
        stage.write([packet])
        if sequence in wishes:
            stage.want(wishes[sequence])
    numbers = [s.number for s in stage.seen]
    assert len(set(numbers)) == len(numbers)
