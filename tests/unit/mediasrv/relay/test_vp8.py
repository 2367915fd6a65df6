import random

import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay import vp8

PICTURE_IDS = st.none() | st.integers(0, 0x7FFF)
COUNTERS = st.none() | st.integers(0, 255)
DESCRIPTORS = st.builds(
    VpxPayloadDescriptor,
    partition_start=st.integers(0, 1),
    partition_id=st.integers(0, 7),
    picture_id=PICTURE_IDS,
    tl0picidx=COUNTERS,
    tid=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 1)),
    keyidx=st.none() | st.integers(0, 31),
)


@given(DESCRIPTORS, st.binary(max_size=20))
def test_descriptors_that_aiortc_writes_are_read_as_they_were_meant(their, rest):
    descriptor = vp8.parse_descriptor(bytes(their) + rest)
    assert descriptor.size_bytes == len(bytes(their))
    assert descriptor.starts_frame == (their.partition_start == 1 and their.partition_id == 0)
    assert descriptor.picture_id == their.picture_id
    assert descriptor.picture_id_bits == (0 if their.picture_id is None else 15)
    assert descriptor.tl0_index == their.tl0picidx
    assert descriptor.layer == (None if their.tid is None else their.tid[0])
    assert descriptor.layer_sync == (their.tid is not None and their.tid[1] == 1)


def test_a_picture_id_of_seven_bits_is_read():
    descriptor = vp8.parse_descriptor(b"\x90\x80\x7fdata")
    assert (descriptor.picture_id, descriptor.picture_id_bits) == (127, 7)
    assert descriptor.size_bytes == 3
    assert VpxPayloadDescriptor.parse(b"\x90\x80\x7fdata")[0].picture_id == 127


@given(DESCRIPTORS, st.integers(0, 0x7FFF), st.integers(0, 255), st.binary(max_size=20))
def test_rewritten_counters_are_read_by_aiortc_and_the_rest_stays(their, picture, tl0, rest):
    payload = bytes(their) + rest
    rewritten = vp8.rewrite_descriptor(payload, vp8.parse_descriptor(payload), picture, tl0)
    parsed, data = VpxPayloadDescriptor.parse(rewritten)
    assert parsed.picture_id == (None if their.picture_id is None else picture)
    assert parsed.tl0picidx == (None if their.tl0picidx is None else tl0)
    assert (parsed.tid, parsed.keyidx) == (their.tid, their.keyidx)
    assert (parsed.partition_start, parsed.partition_id) == (
        their.partition_start,
        their.partition_id,
    )
    assert data == rest
    assert len(rewritten) == len(payload)


@given(DESCRIPTORS, st.integers(-0x10000, 0x10000), st.binary(max_size=20))
def test_another_picture_id_wraps_and_changes_nothing_else(their, picture, rest):
    if their.picture_id is None:
        their.picture_id = 5
    changed = vp8.with_picture_id(bytes(their) + rest, picture, 15)
    their.picture_id = picture & 0x7FFF
    # aiortc writes small ones in seven bits; ours stay as wide as they were.
    parsed, data = VpxPayloadDescriptor.parse(changed)
    assert data == rest
    assert parsed.picture_id == their.picture_id
    assert (parsed.tl0picidx, parsed.tid, parsed.keyidx) == (
        their.tl0picidx,
        their.tid,
        their.keyidx,
    )


@pytest.mark.parametrize(("picture", "written"), [(0, 0), (127, 127), (128, 0), (-1, 127)])
def test_another_picture_id_of_seven_bits_wraps_in_seven_bits(picture, written):
    payload = b"\x90\x80\x05rest"
    assert vp8.with_picture_id(payload, picture, 7) == bytes([0x90, 0x80, written]) + b"rest"


def test_a_seven_bit_picture_id_keeps_its_width():
    payload = b"\x90\xc0\x05\x09rest"
    rewritten = vp8.rewrite_descriptor(payload, vp8.parse_descriptor(payload), 130, 257)
    assert rewritten == b"\x90\xc0\x02\x01rest"


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\x80\x40", b"\x80\x20", b"\x80\xf0\x01\x02"],
)
def test_a_cut_off_descriptor_is_refused_and_starts_nothing(payload):
    with pytest.raises(vp8.PayloadRefused):
        vp8.parse_descriptor(payload)
    assert not vp8.starts_keyframe(payload)


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        (b"\x10\x00", True),
        (b"\x10\x01", False),  # a delta frame
        (b"\x00\x00", False),  # not the first packet
        (b"\x11\x00", False),  # the first packet of a later partition
        (b"\x30\x10", True),  # not used for reference, still a keyframe
        (b"\x90\x80\x05\x00", True),
        (b"\x90\x80\x05", False),  # nothing but a descriptor
        (b"\x10", False),
    ],
)
def test_the_first_packet_of_a_keyframe_is_found(payload, starts):
    assert vp8.starts_keyframe(payload) is starts


def test_a_frame_knows_whether_it_is_a_keyframe():
    assert vp8.frame_is_keyframe(b"\x10frame")
    assert not vp8.frame_is_keyframe(b"\x11frame")
    assert not vp8.frame_is_keyframe(b"")


@given(st.binary(max_size=6000), st.integers(0, 0x7FFF), st.integers(5, 1500))
def test_packets_of_a_frame_join_to_the_frame(frame, picture_id, max_bytes):
    payloads = vp8.packetize(frame, picture_id, max_bytes)
    parsed = [VpxPayloadDescriptor.parse(p) for p in payloads]
    assert b"".join(data for _, data in parsed) == frame
    assert all(d.picture_id == picture_id and d.partition_id == 0 for d, _ in parsed)
    assert [d.partition_start for d, _ in parsed] == [1] + [0] * (len(payloads) - 1)
    sizes = [len(p) for p in payloads]
    assert max(sizes) <= max_bytes
    assert set(sizes[:-1]) <= {sizes[0]}
    assert sizes[-1] <= sizes[0]


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
@pytest.mark.parametrize("sync", [False, True])
def test_the_layer_of_a_frame_stands_in_each_of_its_packets(layer, sync):
    place = vp8.FrameLayer(layer, sync, 511)
    payloads = vp8.packetize(bytes(range(256)), 300, 100, place)
    assert max(map(len, payloads)) <= 100
    for number, payload in enumerate(payloads):
        parsed = vp8.parse_descriptor(payload)
        assert parsed == vp8.Vp8Descriptor(6, number == 0, 300, 15, 255, layer, sync)
        theirs, _ = VpxPayloadDescriptor.parse(payload)
        assert (theirs.tid[0], theirs.tl0picidx) == (layer, 255)
    assert b"".join(payload[6:] for payload in payloads) == bytes(range(256))


def test_random_payloads_raise_nothing_else():
    random_ = random.Random(7741)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(4000):
        payload = random_.randbytes(random_.randint(0, 8))
        starts = vp8.starts_keyframe(payload)
        try:
            descriptor = vp8.parse_descriptor(payload)
        except vp8.PayloadRefused:
            outcomes["refused"] += 1
            assert not starts
            continue
        outcomes["read"] += 1
        rewritten = vp8.rewrite_descriptor(payload, descriptor, 1, 2)
        assert len(rewritten) == len(payload)
    assert min(outcomes.values()) > 500


class TestTl0:
    def payload(self, picture=b"\x81\x02", tl0=250, flags=0xE0):
        return bytes([0x90, flags]) + picture + bytes([tl0, 0x20]) + b"frame"

    @pytest.mark.parametrize("picture", [b"\x81\x02", b"\x05"])
    def test_the_counter_moves_and_wraps_and_nothing_else_changes(self, picture):
        moved = vp8.with_tl0_shifted(self.payload(picture), 10)
        assert moved == self.payload(picture, tl0=4)

    def test_it_is_found_without_a_picture_id(self):
        assert vp8.with_tl0_shifted(self.payload(b"", flags=0x60), 1) == self.payload(
            b"", tl0=251, flags=0x60
        )

    @pytest.mark.parametrize("payload", [b"", b"\x90", b"\x10frame", b"\x90\x80\x81\x02frame"])
    def test_without_a_counter_nothing_changes(self, payload):
        assert vp8.with_tl0_shifted(payload, 10) == payload
