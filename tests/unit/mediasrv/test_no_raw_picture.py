"""Whatever happens in whatever order: once the filter has taken over, no raw picture escapes.

Chance plays host, worker, viewers and clock against the filter switch and the relay. The referee
knows the rule and nothing of the implementation.
"""

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from mediasrv.filter_switch import LINGER_S
from mediasrv.relay import rtcp, rtp, vp8
from tests.filter_fakes import OFF, FilterDesk
from tests.relay_fakes import StudioCamera, unwrapped, viewer_tracks, whole_frames
from tests.studio import Studio


def number_of(bitstream):
    """The frame number in a payload without its RTP descriptor, raw or filtered."""
    return struct.unpack_from("!I", bitstream, 4)[0]


def picture_id(packet):
    return (packet.payload[2] & 0x7F) << 8 | packet.payload[3]


class Room:
    """A room in which every public method is something that may happen.

    Attributes:
        is_armed: The rule's own memory: True while no raw picture may reach a viewer.
    """

    def __init__(self, chance):
        self.chance = chance
        self.studio = Studio()
        self.desk = FilterDesk(self.studio)
        self.studio.join("v")
        self.cameras = 0
        self.lost = []
        self.is_undisturbed = True
        self.is_armed = False
        self.is_enabled = False
        self.latest = b""
        self._seen = {}
        self.publish()

    # The host

    def publish(self):
        self.cameras += 1
        self.studio.camera = StudioCamera(
            ssrc=self.cameras,
            sequence=self.chance.getrandbits(16),
            timestamp=self.chance.getrandbits(32),
            picture_id=self.chance.getrandbits(15),
            frame=1000 * self.cameras,
        )
        self.lost.clear()
        self.is_armed = self.is_enabled
        self.desk.publish()

    def unpublish(self):
        self.desk.unpublish()

    def leave(self):
        self.desk.unpublish()
        self.desk.switch.reset(OFF)
        self.is_armed = self.is_enabled = False
        self.latest = b""

    def shoot_keyframe(self):
        self._receive(self.studio.camera.shoot(keyframe=True, count=3))

    def shoot(self):
        self._receive(self.studio.camera.shoot(count=self.chance.randint(1, 3)))

    def shoot_with_a_loss(self):
        packets = self.studio.camera.shoot(keyframe=self.chance.random() < 0.5, count=4)
        self.is_undisturbed = False
        for i in self.chance.choice(((0,), (1, 2), (3,))):
            self.lost.append(packets[i])
        self._receive([p for p in packets if p not in self.lost])

    def _receive(self, packets):
        self.studio.receive(*packets)
        payload = rtp.parse_rtp(packets[0]).payload
        if not self.is_enabled and vp8.starts_keyframe(payload):
            # The host wants to be seen and is: its packets may still wait for their frame's end.
            self.latest = b"raw"

    def repair(self):
        if self.lost:
            self.studio.receive(self.lost.pop(self.chance.randrange(len(self.lost))))

    # The filter

    def toggle(self):
        self.is_enabled = not self.is_enabled
        self.desk.switch.set(self.is_enabled, None)
        self.is_armed = self.is_enabled and (self.is_armed or self.latest == b"fil")

    def run_background(self):
        self.desk.can_open = self.chance.random() < 0.8
        self.desk.run_background()

    def start_worker(self):
        if self.desk.streams:
            self.desk.start_worker()

    def give_frame(self):
        if self.desk.streams:
            self.chance.choice(self.desk.streams[-2:]).give_frame()

    def lose_worker(self):
        if self.desk.streams:
            self.desk.stream.lose_worker()

    def let_all_go_well(self):
        """A worker starts, the host sends the keyframe it was asked for, a picture comes out."""
        self.start_worker()
        self.shoot_keyframe()
        self.check_now()
        self.give_frame()

    # Viewers and time

    def join(self):
        ssrc = 2000 * len(self.studio.viewers)
        self.studio.join(f"guest {len(self.studio.viewers)}", viewer_tracks(ssrc))

    def ask_for_a_keyframe(self):
        request = rtcp.write_pli(1, 1001)
        self.studio.broadcast.receive_viewer_rtcp("v", request, self.studio.now)

    def break_or_mend_a_guest(self):
        if "guest 1" in self.studio.viewers:
            guest = self.studio.viewers["guest 1"]
            guest.is_broken = not guest.is_broken
            self.is_undisturbed = False

    def pass_time(self):
        self.studio.pass_time(self.chance.choice((0.002, 0.02, 0.3, 1.0)))

    def linger(self):
        self.studio.now += LINGER_S
        self.desk.run_timers()

    # What must hold

    def check_now(self):
        for name, outlet in self.studio.viewers.items():
            start = self._seen.get(name, 0)
            self._seen[name] = len(outlet.packets)
            for packet in outlet.packets[start:]:
                self._check_packet(name, packet)

    def _check_packet(self, name, packet):
        tag = b"fil" if b"fil" in packet.payload[:16] else b"raw"
        assert not (self.is_armed and tag == b"raw"), "an unfiltered picture reached a viewer"
        if name == "v":
            self.latest = tag
        if tag == b"fil" and self.is_enabled:
            self.is_armed = True

    def check_in_the_end(self):
        self._check_what_the_filter_got()
        for outlet in self.studio.viewers.values():
            self._check_stream([p for p in outlet.packets if p.payload_type == 120])

    def _check_what_the_filter_got(self):
        before = None
        for frame in self.studio.fed:
            number = number_of(frame.payload)
            assert frame.keyframe or number - 1 == before
            before = number

    def _check_stream(self, packets: list[rtp.RtpPacket]) -> None:
        """Times and picture ids of one viewer grow with the numbers; all of it can be decoded."""
        numbers = unwrapped([p.sequence for p in packets], 16)
        ordered = [p for _, p in sorted(zip(numbers, packets, strict=True), key=lambda x: x[0])]
        times = unwrapped([p.timestamp for p in ordered], 32)
        pictures = unwrapped([picture_id(p) for p in ordered], 15)
        assert times == sorted(times)
        assert pictures == sorted(pictures)
        assert len(set(times)) == len(set(pictures)) == len(set(zip(times, pictures, strict=True)))
        if self.is_undisturbed:
            assert sorted(numbers) == list(range(100, 100 + len(numbers)))
            self._check_decodable(ordered)

    def _check_decodable(self, packets: list[rtp.RtpPacket]) -> None:
        before = None
        for frame in whole_frames(packets):
            start = frame[0].payload
            assert start[0] & 0x10, "the first packet of a frame is missing"
            assert frame[-1].marker, "the last packet of a frame is missing"
            current = (start[5:8], number_of(start[4:]))
            is_keyframe = not start[4] & 1
            assert is_keyframe or before == (current[0], current[1] - 1)
            before = current


# How often each thing happens, in a hundred and more.
EVENTS = {
    Room.publish: 5,
    Room.unpublish: 2,
    Room.leave: 1,
    Room.shoot_keyframe: 14,
    Room.shoot: 8,
    Room.shoot_with_a_loss: 5,
    Room.repair: 4,
    Room.toggle: 20,
    Room.run_background: 2,
    Room.start_worker: 6,
    Room.give_frame: 8,
    Room.lose_worker: 6,
    Room.let_all_go_well: 10,
    Room.join: 4,
    Room.ask_for_a_keyframe: 2,
    Room.break_or_mend_a_guest: 2,
    Room.pass_time: 6,
    Room.linger: 3,
}


def play(room, events):
    try:
        for event in events:
            event(room)
            room.check_now()
        room.check_in_the_end()
    finally:
        room.desk.run_background()


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(list(EVENTS)), max_size=50))
def test_in_any_order_of_events_no_raw_picture_escapes(chance, events):
    play(Room(chance), events)


def test_in_many_likely_orders_of_events_no_raw_picture_escapes():
    """Long sequences that lead deep into every state, which a search by itself rarely reaches."""
    chance = random.Random(20_240)
    for _ in range(700):
        events = chance.choices(list(EVENTS), list(EVENTS.values()), k=40)
        play(Room(chance), events)
