import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import h264, vp8
from mediasrv.relay.frames import HOLE_MAX_S, PACKETS_MAX, FrameAssembler
from tests.relay_fakes import vp8_bitstream

SPS, PPS, IDR, SLICE = b"\x67sps", b"\x68pps", b"\x65" + b"i" * 400, b"\x41" + b"s" * 50


class Reel:
    """Numbers frames into packets: (sequence, ticks, marker, payload)."""

    def __init__(self, sequence=65_530, ticks=2**32 - 3000):
        self.sequence, self.ticks = sequence, ticks
        self.shot = []

    def vp8(self, *, keyframe=False, size=100, pieces=3):
        bitstream = vp8_bitstream(len(self.shot), keyframe=keyframe, size=size)
        payloads = vp8.packetize(bitstream, len(self.shot), 4 + -(-size // pieces))
        return self._number(Codec.VP8, keyframe, bitstream, payloads)

    def h264(self, *units, payloads=None):
        access_unit = b"".join(h264.START_CODE + unit for unit in units)
        payloads = payloads or h264.packetize(access_unit, 150)
        return self._number(Codec.H264, IDR in units, access_unit, payloads)

    def _number(self, codec, keyframe, bitstream, payloads):
        self.shot.append(EncodedFrame(codec, self.ticks, keyframe, bitstream))
        packets = [
            (self.sequence + i, self.ticks, i == len(payloads) - 1, payload)
            for i, payload in enumerate(payloads)
        ]
        self.sequence += len(payloads)
        self.ticks += 3000
        return packets

    def padding(self):
        self.sequence += 1
        return (self.sequence - 1, self.ticks - 3000, False, b"")


def assemble(assembler, packets, now=0.0):
    return [frame for packet in packets for frame in assembler.add(*packet, now)]


@pytest.fixture
def reel():
    return Reel()


@pytest.fixture
def assembler():
    return FrameAssembler(Codec.VP8)


def test_a_frame_is_given_out_with_its_last_packet(reel, assembler):
    packets = reel.vp8(keyframe=True)
    assert assembler.keyframe_needed
    assert [assembler.add(*p, 0.0) for p in packets] == [[], [], [reel.shot[0]]]
    assert not assembler.keyframe_needed


def test_a_frame_of_one_packet_is_given_out_at_once(reel, assembler):
    assert assemble(assembler, reel.vp8(keyframe=True, pieces=1)) == reel.shot


def test_frames_before_the_first_keyframe_are_dropped(reel, assembler):
    packets = reel.vp8() + reel.vp8() + reel.vp8(keyframe=True) + reel.vp8()
    assert assemble(assembler, packets) == reel.shot[2:]
    assert assembler.frames_lost == 0


def test_packets_of_a_frame_may_come_in_any_order(reel, assembler):
    first, second, third = reel.vp8(keyframe=True)
    assert assemble(assembler, [third, first, second]) == reel.shot


def test_two_frames_that_come_interleaved_are_given_out_in_order(reel, assembler):
    key = reel.vp8(keyframe=True)
    a, b = reel.vp8(), reel.vp8()
    mixed = [a[0], b[2], b[0], a[2], b[1], a[1]]
    assert assemble(assembler, key + mixed) == reel.shot


def test_a_duplicate_changes_nothing(reel, assembler):
    packets = reel.vp8(keyframe=True) + reel.vp8()
    doubled = [p for packet in packets for p in (packet, packet)]
    assert assemble(assembler, doubled + packets) == reel.shot


def test_a_duplicate_does_not_prolong_the_wait_for_a_hole(reel, assembler):
    assemble(assembler, reel.vp8(keyframe=True))
    a = reel.vp8()
    assembler.add(*a[0], 0.0)
    assembler.add(*a[0], HOLE_MAX_S)
    assembler.add(*a[2], HOLE_MAX_S + 0.01)
    assert assembler.keyframe_needed


def test_a_repaired_hole_costs_no_frame(reel, assembler):
    key, a, b = reel.vp8(keyframe=True), reel.vp8(), reel.vp8()
    assert assemble(assembler, [*key, a[0], a[2], *b]) == reel.shot[:1]
    assert assembler.add(*a[1], HOLE_MAX_S) == reel.shot[1:]
    assert assembler.frames_lost == 0


def test_after_a_hole_that_stays_open_everything_up_to_the_next_keyframe_is_dropped(
    reel, assembler
):
    assemble(assembler, reel.vp8(keyframe=True))
    a, b, c = reel.vp8(), reel.vp8(), reel.vp8()
    assert assemble(assembler, [a[0], a[2], *b]) == []
    assert not assembler.keyframe_needed
    assert assemble(assembler, c, HOLE_MAX_S + 0.01) == []
    assert assembler.keyframe_needed
    assert assembler.frames_lost == 1
    assert assemble(assembler, reel.vp8(), 1.0) == []
    assert assemble(assembler, reel.vp8(keyframe=True) + reel.vp8(), 1.0) == reel.shot[-2:]
    assert assembler.frames_lost == 1


def test_a_frame_lost_as_a_whole_is_a_hole(reel, assembler):
    assemble(assembler, reel.vp8(keyframe=True))
    reel.vp8()
    assert assemble(assembler, reel.vp8()) == []
    assemble(assembler, reel.vp8(), HOLE_MAX_S + 0.01)
    assert assembler.keyframe_needed


def test_a_keyframe_does_not_wait_for_a_hole_before_it(reel, assembler):
    assemble(assembler, reel.vp8(keyframe=True))
    a, key = reel.vp8(), reel.vp8(keyframe=True)
    assert assemble(assembler, [a[0], a[2], *key]) == [reel.shot[2]]
    assert assembler.frames_lost == 1
    assert assemble(assembler, [a[1]]) == []


def test_a_keyframe_that_is_a_single_packet_does_not_wait_either(reel, assembler):
    assemble(assembler, reel.vp8(keyframe=True))
    reel.vp8()
    assert assemble(assembler, reel.vp8(keyframe=True, pieces=1)) == reel.shot[2:]


def test_a_hole_inside_a_keyframe_is_not_found_again(reel, assembler):
    broken = reel.vp8(keyframe=True)
    del broken[1]
    assert assemble(assembler, broken) == []
    assert assemble(assembler, reel.vp8(), HOLE_MAX_S + 0.01) == []
    assert assembler.keyframe_needed
    assert assemble(assembler, reel.vp8(), HOLE_MAX_S + 0.02) == []
    assert assembler.frames_lost == 1
    assert assemble(assembler, reel.vp8(keyframe=True), 1.0) == reel.shot[-1:]


def test_a_keyframe_without_its_start_is_skipped(reel, assembler):
    headless = reel.vp8(keyframe=True)[1:]
    assert assemble(assembler, headless + reel.vp8() + reel.vp8(keyframe=True)) == reel.shot[2:]


def test_a_keyframe_may_be_repaired_while_frames_wait_behind_it(reel, assembler):
    assemble(assembler, reel.vp8(keyframe=True))
    a, key, b = reel.vp8(), reel.vp8(keyframe=True), reel.vp8()
    assert assemble(assembler, [a[0], a[2], key[0], key[2], *b]) == []
    assert assembler.add(*key[1], 0.1) == reel.shot[2:]


def test_padding_probes_fill_their_numbers(reel, assembler):
    key, probe, a = reel.vp8(keyframe=True), reel.padding(), reel.vp8()
    b = [*reel.vp8()[:1], reel.padding()]
    assert assemble(assembler, [*key, probe, *a]) == reel.shot[:2]
    assert assemble(assembler, b) == []


def test_padding_probes_may_be_reordered_and_carry_a_marker(reel, assembler):
    key = reel.vp8(keyframe=True)
    sequence, ticks, _, payload = reel.padding()
    a = reel.vp8()
    packets = [*key[:2], (sequence, ticks, True, payload), *a, key[2]]
    assert assemble(assembler, packets) == reel.shot


def test_padding_inside_a_frame_is_left_out(reel, assembler):
    key = reel.vp8(keyframe=True)
    middle = reel.padding()
    tail = (reel.sequence, key[2][1], True, key[2][3])
    packets = [key[0], key[1], (key[2][0], key[2][1], False, b""), middle, tail]
    assert assemble(assembler, packets) == [reel.shot[0]]


def test_a_frame_without_a_marker_ends_where_the_next_begins(reel, assembler):
    key = [(s, t, False, p) for s, t, _, p in reel.vp8(keyframe=True)]
    assert assemble(assembler, key) == []
    assert assemble(assembler, reel.vp8()[:1]) == reel.shot[:1]


def test_what_waits_for_a_keyframe_is_bounded_in_time_and_number(reel, assembler):
    for i in range(PACKETS_MAX * 3):
        assembler.add(i, 0, False, b"\x00\x01", 0.0)
    assert len(assembler._held) <= PACKETS_MAX
    assembler.add(PACKETS_MAX * 3, 0, False, b"\x00\x01", HOLE_MAX_S + 1)
    assert len(assembler._held) == 1
    assert assembler.frames_lost == 0


def test_a_frame_that_never_ends_is_given_up(reel, assembler):
    sequence, ticks, _, payload = reel.vp8(keyframe=True)[0]
    assembler.add(sequence, ticks, False, payload, 0.0)
    for i in range(1, PACKETS_MAX + 1):
        assembler.add(sequence + i, ticks, False, b"\x00\x01", 0.0)
    assert assembler.keyframe_needed
    assert len(assembler._held) <= PACKETS_MAX
    assert assembler.frames_lost == 1


def test_a_malformed_frame_is_lost_and_so_is_what_builds_on_it(reel, assembler):
    key, a, b = reel.vp8(keyframe=True), reel.vp8(pieces=1), reel.vp8()
    cut_off = [(s, t, m, b"\x80") for s, t, m, _ in a]
    assert assemble(assembler, key + cut_off + b) == reel.shot[:1]
    assert assembler.keyframe_needed
    assert assembler.frames_lost == 1
    assert assemble(assembler, reel.vp8(keyframe=True)) == reel.shot[3:]


def test_a_frame_without_data_is_malformed(reel, assembler):
    assemble(assembler, reel.vp8(keyframe=True))
    assert assembler.add(reel.sequence, reel.ticks, True, b"\x90\x80\x05", 0.0) == []
    assert assembler.keyframe_needed
    assert assembler.frames_lost == 1


class TestH264:
    def test_parameter_sets_and_fragments_become_one_access_unit(self, reel):
        packets = reel.h264(SPS, PPS, IDR)
        kinds = [p[0] & h264.NAL_TYPE_MASK for *_, p in packets]
        assert kinds[0] == h264.STAP_A
        assert set(kinds[1:]) == {h264.FU_A}
        assert assemble(FrameAssembler(Codec.H264), packets) == reel.shot

    def test_single_units_are_one_access_unit_too(self, reel):
        packets = reel.h264(SPS, PPS, IDR, payloads=[SPS, PPS, IDR])
        assert assemble(FrameAssembler(Codec.H264), packets) == reel.shot

    def test_delta_frames_follow_and_a_delimiter_may_stand_in_front(self, reel):
        assembler = FrameAssembler(Codec.H264)
        packets = reel.h264(SPS, PPS, IDR) + reel.h264(SLICE) + reel.h264(b"\x09\xf0", SLICE)
        assert assemble(assembler, packets) == reel.shot
        assert [f.keyframe for f in reel.shot] == [True, False, False]

    def test_a_lost_fragment_loses_the_frame(self, reel):
        assembler = FrameAssembler(Codec.H264)
        key = reel.h264(SPS, PPS, IDR)
        del key[1]
        assert assemble(assembler, key) == []
        assemble(assembler, reel.h264(SLICE), HOLE_MAX_S + 0.01)
        assert assembler.keyframe_needed

    def test_fragments_out_of_place_are_malformed(self, reel):
        assembler = FrameAssembler(Codec.H264)
        assemble(assembler, reel.h264(SPS, PPS, IDR))
        assert assemble(assembler, reel.h264(payloads=[b"\x7c\x45end"])) == []
        assert assembler.frames_lost == 1
        assert assembler.keyframe_needed


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.0, 0.02, 0.2]))
def test_over_a_bad_link_every_frame_given_out_can_be_decoded(seed, loss):
    """Frames come whole, in order, and a delta only right after the frame it builds on."""
    random_ = random.Random(seed)
    reel, assembler = Reel(), FrameAssembler(Codec.VP8)
    arrivals = []
    for i in range(60):
        packets = reel.vp8(keyframe=i % 15 == 0, pieces=random_.randint(1, 4))
        for packet in packets:
            at = i / 30 + random_.random() * 0.04
            if random_.random() < loss:
                at += 0.1  # sent again after a NACK
                if random_.random() < 0.5:
                    continue
            arrivals.append((at, packet))
            if random_.random() < 0.02:
                arrivals.append((at + 0.02, packet))
    frames = []
    for at, packet in sorted(arrivals, key=lambda arrival: arrival[0]):
        frames += assemble(assembler, [packet], at)
    numbers = [reel.shot.index(frame) for frame in frames]
    assert numbers == sorted(set(numbers))
    for before, number in zip([None, *numbers], numbers, strict=False):
        assert reel.shot[number].keyframe or number - 1 == before
    if not loss:  # a keyframe that overtakes the frame before it makes that one unimportant
        assert set(range(numbers[0], 60)) - set(numbers) <= {14, 29, 44}
