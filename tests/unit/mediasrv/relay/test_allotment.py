"""Who is seen when; what each gets is test_qualities' and test_adaptation's."""

from mediasrv.relay.allotment import VIEWERS_PER_STEP, Allotment
from mediasrv.relay.lanes import PlainGroup
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.qualities import Qualities
from mediasrv.relay.subscription import OutgoingTrack, Subscription
from mediasrv.relay.track import TrackRelay
from tests.relay_fakes import WatchingOutlet


class Room:
    def __init__(self, viewers):
        self.video = TrackRelay(90_000, seekable=True)
        self.subscriptions = {}
        self.now = 10.0
        for i in range(viewers):
            track = OutgoingTrack("video", i + 1, {"vp8": 96}, ExtensionIds(), 0)
            self.subscriptions[f"v{i}"] = made = Subscription([track], WatchingOutlet(), "c")
            self.video.add(f"v{i}", made.forwarders["video"], self.now)
            # Everybody has lost what only few frames can mend.
            made._chooser.lost(0.5, 1.0)
        self.qualities = Qualities(self.video, PlainGroup)
        self.allotment = Allotment(self.qualities, self.subscriptions)
        self.allotment.advance(self.now)
        self.next_second()

    def next_second(self):
        self.now += 1.0
        for layer in range(3):
            self.video.layer_bytes[layer] += 10_000

    def seen(self):
        forwarders = self.video.forwarders.values()
        return sum(f.layer_wanted == 0 for f in forwarders)


def test_before_a_second_is_over_nobody_is_seen():
    room = Room(3)
    room.now -= 0.5
    assert room.allotment.advance(room.now) == []
    assert room.seen() == 0


def test_few_viewers_are_seen_at_once():
    room = Room(VIEWERS_PER_STEP)
    assert room.allotment.advance(room.now) == [0]
    assert room.seen() == VIEWERS_PER_STEP


def test_many_viewers_are_seen_some_at_a_time_and_the_host_hears_when_all_were():
    room = Room(2 * VIEWERS_PER_STEP + 1)
    said = []
    for _ in range(3):
        said.append((room.allotment.advance(room.now), room.seen()))
        room.now += 0.02
    assert said == [
        ([], VIEWERS_PER_STEP),
        ([], 2 * VIEWERS_PER_STEP),
        ([0], 2 * VIEWERS_PER_STEP + 1),
    ]
    assert room.allotment.advance(room.now) == []


def test_a_round_that_takes_more_than_a_second_is_finished_first():
    room = Room(2 * VIEWERS_PER_STEP)
    room.allotment.advance(room.now)
    room.next_second()
    assert room.allotment.advance(room.now) == [0]
    assert room.seen() == 2 * VIEWERS_PER_STEP


def test_who_leaves_before_it_was_its_turn_is_passed_over():
    room = Room(VIEWERS_PER_STEP + 2)
    room.allotment.advance(room.now)
    for name in list(room.subscriptions)[-2:]:
        del room.subscriptions[name]
        room.video.remove(name)
    assert room.allotment.advance(room.now) == [0]


def test_another_publication_ends_the_round():
    room = Room(2 * VIEWERS_PER_STEP)
    room.allotment.advance(room.now)
    room.qualities.begin(3)
    assert room.allotment.advance(room.now) == []
    assert room.seen() == VIEWERS_PER_STEP
