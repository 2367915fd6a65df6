"""Lost packets sent again: over RTX in its own numbers, without RTX byte for byte as they were."""

import pytest

from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.layout import BATCH_PACKETS_MAX
from mediasrv.relay.outlet import Retransmission
from mediasrv.relay.packets import ExtensionIds, TrackPacket
from mediasrv.relay.repair import TRIES_MAX
from mediasrv.relay.track import VIDEO_HISTORY_S, TrackRelay
from tests.layered_video import LayeredCamera, seen
from tests.relay_fakes import WatchingOutlet

SSRC, RTX_SSRC = 5, 6
VIDEO, RTX_TYPE = 96, 97
FIRST, RTX_FIRST = 65_530, 65_534
RTT_S = 0.05
IDS = ExtensionIds(audio_level=2, abs_send_time=3, playout_delay=4)


class Raw(WatchingOutlet):
    """Keeps each packet as it would be protected."""

    def __post_init__(self):
        super().__post_init__()
        self.written = []

    def send_packets(self, spans, runs):
        sent = super().send_packets(spans, runs)
        if sent:
            self.written += [bytes(self.buffer[at : at + size]) for at, size in spans]
        return sent


class Stage:
    """One viewer of a video track; the time moves by 1/30 s a frame."""

    def __init__(self, *, rtx, ids=IDS, types=None):
        self.track = TrackRelay(90_000, seekable=True)
        self.camera = LayeredCamera()
        self.outlet = Raw()
        self.rtx, self.ids = rtx, ids
        self.types = types or {"vp8": RTX_TYPE}
        self.now = 10.0

    def join(self):
        again = Retransmission(RTX_SSRC, self.types, RTX_FIRST) if self.rtx else None
        self.forwarder = Forwarder(self.outlet, SSRC, {"vp8": VIDEO}, self.ids, FIRST, again)
        self.track.add("v", self.forwarder, self.now)
        return self

    def write(self, packets):
        for packet in packets:
            self.track.write_packet(packet, self.now)
        self.settle()

    def settle(self):
        while (due := self.track.due_at) is not None:
            self.now = max(self.now, due)
            self.track.advance(self.now)

    def shoot(self, frames=1, *, keyframe=False, count=2):
        for i in range(frames):
            self.write(self.camera.shoot(keyframe=keyframe and i == 0, count=count))
            self.now += 1 / 30

    def ask(self, *numbers, is_lossy=False):
        """Ask for the viewer's numbers; returns what came."""
        before = len(self.outlet.packets)
        wrapped = [n & 0xFFFF for n in numbers]
        self.track.resend("v", wrapped, self.now, RTT_S, is_lossy=is_lossy)
        return self.outlet.packets[before:]

    @property
    def counters(self):
        counters = self.forwarder.counters
        return counters.repaired, counters.repairs_refused, counters.repairs_missed


@pytest.fixture
def over_rtx():
    return Stage(rtx=True).join()


@pytest.fixture
def plain():
    return Stage(rtx=False).join()


class TestOverRtx:
    def test_a_packet_comes_under_the_streams_own_ssrc_numbers_and_type(self, over_rtx):
        over_rtx.shoot(6, keyframe=True)
        lost = {p.sequence: p for p in over_rtx.outlet.packets}
        asked = [FIRST + 7, FIRST + 2, FIRST + 3]
        again = over_rtx.ask(*asked)
        assert {p.ssrc for p in again} == {RTX_SSRC}
        assert {p.payload_type for p in again} == {RTX_TYPE}
        assert [p.sequence for p in again] == [65_534, 65_535, 0]
        for packet, number in zip(again, asked, strict=True):
            original = lost[number & 0xFFFF]
            # RFC 4588 section 4: the original number first, and timestamp and marker as they were.
            assert packet.payload == (number & 0xFFFF).to_bytes(2, "big") + original.payload
            assert (packet.timestamp, packet.marker) == (original.timestamp, original.marker)
        assert over_rtx.counters == (3, 0, 0)
        assert over_rtx.forwarder.counters.packets_sent == 12

    def test_it_leaves_with_the_time_at_which_it_leaves(self, over_rtx):
        over_rtx.shoot(6, keyframe=True)
        over_rtx.now = 20.5
        (again,) = over_rtx.ask(FIRST)
        assert int.from_bytes(again.extensions[3], "big") == int(20.5 * 2**18)
        assert again.extensions[4] == b"\x00\x00\x32"

    def test_a_codec_without_a_retransmission_type_is_not_repaired(self):
        stage = Stage(rtx=True, types={"h264": 99}).join()
        stage.shoot(3, keyframe=True)
        assert stage.ask(FIRST, is_lossy=True) == []
        assert stage.counters == (0, 0, 1)
        assert stage.track.keyframes.wanted


class TestWithoutRtx:
    def test_a_packet_is_byte_for_byte_what_it_was(self, plain):
        plain.shoot(6, keyframe=True)
        first = list(plain.outlet.written)
        plain.now += 0.3
        plain.ask(*range(FIRST, FIRST + 12))
        # One SRTP index must protect the same bytes; the outlet would object too.
        assert plain.outlet.written[12:] == first
        assert plain.outlet.packets[0].extensions[4] == b"\x00\x00\x32"
        assert plain.counters == (12, 0, 0)

    def test_what_was_replayed_to_a_late_viewer_is_not_sent_again(self):
        stage = Stage(rtx=False)
        stage.shoot(3, keyframe=True)
        stage.join()
        stage.shoot(2)
        assert len(stage.outlet.packets) == 10
        assert not stage.track.keyframes.wanted
        assert stage.ask(*range(FIRST, FIRST + 6)) == []
        # Only a keyframe helps, and nobody has to wait until the viewer finds out.
        assert stage.counters == (0, 0, 6)
        assert stage.track.keyframes.wanted
        assert len(stage.ask(*range(FIRST + 6, FIRST + 10))) == 4


@pytest.mark.parametrize("rtx", [True, False])
class TestEitherWay:
    def test_a_packet_is_not_sent_twice_within_a_round_trip(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.shoot(2, keyframe=True)
        assert len(stage.ask(FIRST)) == 1
        assert stage.ask(FIRST) == []
        stage.now += RTT_S - 0.001
        assert stage.ask(FIRST) == []
        stage.now += 0.0011
        assert len(stage.ask(FIRST)) == 1
        assert stage.counters == (2, 2, 0)

    def test_a_number_that_is_named_twice_in_a_request_is_sent_once(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.shoot(2, keyframe=True)
        assert len(stage.ask(FIRST, FIRST)) == 1

    def test_a_packet_is_sent_again_a_few_times_at_most(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.shoot(2, keyframe=True)
        came = 0
        for _ in range(10):
            came += len(stage.ask(FIRST))
            stage.now += RTT_S + 0.001
        assert came == TRIES_MAX == 3

    def test_what_is_older_than_a_keyframe_is_not_sent_again(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.shoot(2, keyframe=True)
        stage.shoot(2, keyframe=True)
        assert stage.ask(FIRST + 3) == []
        assert len(stage.ask(FIRST + 4)) == 1
        assert stage.counters == (1, 1, 0)

    def test_what_was_never_sent_or_is_forgotten_is_missed(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.shoot(2, keyframe=True)
        assert stage.ask(FIRST - 1, FIRST + 4, FIRST + 30_000) == []
        assert stage.counters == (0, 0, 3)
        stage.shoot(int(VIDEO_HISTORY_S * 30) + 3)
        assert stage.ask(FIRST) == []
        assert stage.counters == (0, 0, 4)

    def test_before_the_first_packet_nothing_is_found(self, rtx):
        stage = Stage(rtx=rtx).join()
        assert stage.ask(FIRST, FIRST - 1, 0) == []
        assert stage.counters == (0, 0, 3)

    def test_a_viewer_that_nobody_knows_gets_nothing(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.track.resend("somebody else", [1], 0.0, RTT_S)
        assert stage.outlet.packets == []

    def test_a_packet_that_was_lost_on_our_side_can_be_asked_for(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.shoot(2, keyframe=True)
        stage.outlet.is_broken = True
        stage.shoot(1)
        stage.outlet.is_broken = False
        assert len(stage.ask(FIRST + 4, FIRST + 5)) == 2

    def test_what_cannot_be_sent_again_is_counted_and_nothing_else(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.shoot(2, keyframe=True)
        stage.outlet.is_broken = True
        assert stage.ask(FIRST) == []
        assert stage.forwarder.counters.sends_failed == 1
        assert stage.counters == (0, 0, 0)
        assert not stage.forwarder.waiting

    def test_many_are_sent_in_parts_that_fit_the_buffer(self, rtx):
        stage = Stage(rtx=rtx).join()
        payload = stage.camera.shoot(keyframe=True)[0].payload.ljust(1400, b".")
        for i in range(2 * BATCH_PACKETS_MAX):
            begins = i == 0
            packet = TrackPacket(i, 0, i % 128 == 127, "vp8", payload, starts_keyframe=begins)
            stage.track.write_packet(packet, stage.now)
        stage.settle()
        sends = stage.outlet.sends
        assert len(stage.ask(*range(FIRST, FIRST + 2 * BATCH_PACKETS_MAX))) == 256
        assert stage.outlet.sends == sends + 2

    def test_numbers_and_picture_ids_are_those_that_the_viewer_saw(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.track.want_layer("v", 0)
        stage.shoot(20, keyframe=True)
        before = stage.outlet.packets[:]
        assert len(before) == 10
        again = stage.ask(*range(FIRST, FIRST + 10))
        osn = 2 if rtx else 0
        assert [p.payload[osn:] for p in again] == [p.payload for p in before]
        assert [p.timestamp for p in again] == [p.timestamp for p in before]
        if rtx:
            told = [int.from_bytes(p.payload[:2], "big") for p in again]
            assert told == [p.sequence for p in before]

    def test_what_a_viewer_was_not_to_get_cannot_be_asked_for(self, rtx):
        stage = Stage(rtx=rtx).join()
        stage.track.want_layer("v", 0)
        stage.shoot(20, keyframe=True)
        for _ in range(2):
            came = stage.ask(*range(FIRST - 40, FIRST + 40))
            assert len(came) in (0, 10)
        assert {s.layer for s in seen(stage.outlet.packets[:10])} == {0}


class TestLossyWay:
    def test_each_packet_goes_twice_one_after_the_other_not_side_by_side(self, over_rtx):
        over_rtx.shoot(3, keyframe=True)
        again = over_rtx.ask(FIRST, FIRST + 1, is_lossy=True)
        told = [int.from_bytes(p.payload[:2], "big") for p in again]
        assert told == [FIRST, FIRST + 1] * 2
        # They are different packets to SRTP.
        assert [p.sequence for p in again] == [65_534, 65_535, 0, 1]
        assert over_rtx.ask(FIRST, is_lossy=True) == []

    def test_without_rtx_once_has_to_do(self, plain):
        plain.shoot(3, keyframe=True)
        assert len(plain.ask(FIRST, is_lossy=True)) == 1


class TestHopelessRequests:
    def wanted_after(self, stage, *numbers):
        stage.track.keyframes.arrived()
        stage.ask(*numbers)
        return stage.track.keyframes.wanted

    def test_a_packet_that_was_sent_in_vain_to_the_end_needs_a_keyframe(self, over_rtx):
        over_rtx.shoot(2, keyframe=True)
        for _ in range(TRIES_MAX):
            assert not self.wanted_after(over_rtx, FIRST)
            over_rtx.now += RTT_S + 0.001
        assert self.wanted_after(over_rtx, FIRST)

    def test_what_comes_before_the_last_grant_can_have_arrived_does_not(self, over_rtx):
        over_rtx.shoot(2, keyframe=True)
        for _ in range(TRIES_MAX):
            over_rtx.now += RTT_S + 0.001
            over_rtx.ask(FIRST)
        assert not self.wanted_after(over_rtx, FIRST)

    def test_a_forgotten_packet_needs_a_keyframe_unless_one_came_since(self, over_rtx):
        over_rtx.shoot(int(VIDEO_HISTORY_S * 30) + 3, keyframe=True)
        assert self.wanted_after(over_rtx, FIRST)
        over_rtx.shoot(1, keyframe=True)
        assert not self.wanted_after(over_rtx, FIRST)

    def test_what_was_never_sent_needs_none(self, over_rtx):
        over_rtx.shoot(2, keyframe=True)
        assert not self.wanted_after(over_rtx, FIRST + 4, FIRST - 1)

    def test_what_the_host_has_not_sent_yet_needs_none(self, over_rtx):
        over_rtx.shoot(2, keyframe=True)
        over_rtx.camera.shoot()
        over_rtx.shoot(1)
        assert not self.wanted_after(over_rtx, FIRST + 4)

    def test_sound_needs_none(self):
        track, outlet = TrackRelay(48_000, seekable=False), WatchingOutlet()
        track.add("v", Forwarder(outlet, SSRC, {"opus": 111}, ExtensionIds(), FIRST), 0.0)
        for i in range(100):
            packet = TrackPacket(i, 960 * i, False, "opus", b"a", starts_keyframe=True)
            track.write_packet(packet, 0.02 * i)
        track.resend("v", [FIRST], 2.0, RTT_S)
        assert not track.keyframes.wanted


class TestReplayed:
    def test_packets_of_the_past_are_repaired_with_the_timestamps_they_were_replayed_with(self):
        stage = Stage(rtx=True)
        stage.shoot(5, keyframe=True)
        stage.join()
        stage.shoot(3)
        sent = {p.sequence: p for p in stage.outlet.packets}
        times = [sent[(FIRST + 2 * i) & 0xFFFF].timestamp for i in range(8)]
        newest = 4 * 3000
        assert times == [newest - 90 * (4 - i) for i in range(5)] + [15_000, 18_000, 21_000]
        for packet in stage.ask(*range(FIRST, FIRST + 16)):
            number = int.from_bytes(packet.payload[:2], "big")
            assert packet.timestamp == sent[number].timestamp
            assert packet.payload[2:] == sent[number].payload

    def test_a_viewer_that_begins_again_is_repaired_with_the_tracks_timestamps(self):
        stage = Stage(rtx=True)
        stage.shoot(5, keyframe=True)
        stage.join()
        stage.forwarder.lose()
        stage.shoot(2, keyframe=True)
        (again,) = stage.ask(stage.outlet.packets[-1].sequence)
        assert again.timestamp == stage.outlet.packets[-2].timestamp == 6 * 3000

    def test_a_viewer_may_ask_while_it_is_still_on_its_way_to_the_present(self):
        stage = Stage(rtx=True)
        packets = stage.camera.shoot(keyframe=True, count=400)
        for packet in packets:
            packet.payload = packet.payload.ljust(1000, b".")
        stage.write(packets)
        stage.join()
        sent = len(stage.outlet.packets)
        assert 0 < sent < 400
        assert len(stage.ask(FIRST, FIRST + sent - 1, FIRST + sent)) == 2
        stage.settle()
        assert len(stage.outlet.of(SSRC)) == 400
