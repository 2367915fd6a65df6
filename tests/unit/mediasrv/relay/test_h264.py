import random

import pytest
from aiortc.codecs.h264 import H264Encoder, h264_depayload
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay import h264
from mediasrv.relay.vp8 import PayloadRefused

SPS, PPS, IDR, SLICE, SEI = b"\x67sps", b"\x68pps", b"\x65idr", b"\x41slice", b"\x06sei"
# A unit ends in the stop bit of its trailing bits, and no start code can occur inside it.
UNITS = st.builds(
    lambda kind, importance, body: bytes([importance << 5 | kind]) + body + b"\x80",
    st.integers(1, 23),
    st.integers(0, 3),
    st.binary(max_size=3000).map(lambda b: b.replace(b"\0", b"\x01")),
)

ANY_BYTES = st.lists(st.sampled_from([b"\0", b"\0\0\1", b"\1", b"e", b"\x67"]), max_size=60).map(
    b"".join
)


def annex_b(*units, code=h264.START_CODE):
    return b"".join(code + unit for unit in units)


def fu_a(kind=5, *, start=False, end=False, data=b"data"):
    return bytes([0x7C, start << 7 | end << 6 | kind]) + data


def stap(*units, header=0x78):
    return bytes([header]) + b"".join(len(u).to_bytes(2, "big") + u for u in units)


@given(st.lists(UNITS, min_size=1, max_size=6), st.integers(40, 1400))
def test_packets_of_an_access_unit_join_to_the_access_unit(units, max_bytes):
    payloads = h264.packetize(annex_b(*units), max_bytes)
    assert all(len(p) <= max_bytes for p in payloads)
    assert h264.depacketize(payloads) == annex_b(*units)


@given(st.lists(UNITS, min_size=1, max_size=6))
def test_aiortc_reads_what_is_packetized(units):
    payloads = h264.packetize(annex_b(*units), 1200)
    assert b"".join(h264_depayload(p) for p in payloads if len(p) > 1) == annex_b(*units)


@given(st.lists(UNITS, min_size=1, max_size=6))
def test_what_aiortc_packetizes_is_read(units):
    payloads = H264Encoder._packetize(iter(units))
    assert h264.depacketize(payloads) == annex_b(*units)


@given(ANY_BYTES)
def test_units_are_split_as_aiortc_splits_them(access_unit):
    theirs = [u.rstrip(b"\0") for u in H264Encoder._split_bitstream(access_unit)]
    assert h264.split_annex_b(access_unit) == [u for u in theirs if u]


def test_both_start_codes_separate_units():
    access_unit = b"\0\0\1" + SPS + b"\0\0\0\1" + PPS + b"\0\0\1" + IDR + b"\0\0"
    assert h264.split_annex_b(access_unit) == [SPS, PPS, IDR]
    assert h264.split_annex_b(b"no start code") == []
    assert h264.packetize(b"no start code", 100) == []


def test_parameter_sets_travel_with_the_slice_that_needs_them():
    (payload,) = h264.packetize(annex_b(SPS, PPS, IDR), 1200)
    assert payload[0] & h264.NAL_TYPE_MASK == h264.STAP_A
    assert payload[0] & 0x60 == 0x60
    assert h264.starts_keyframe(payload)


def test_parameter_sets_before_a_large_slice_stay_together():
    payloads = h264.packetize(annex_b(SPS, PPS, IDR + b"x" * 3000), 1000)
    kinds = [p[0] & h264.NAL_TYPE_MASK for p in payloads]
    assert kinds == [h264.STAP_A] + [h264.FU_A] * 4
    assert len({len(p) for p in payloads[1:-1]}) == 1


def test_a_lone_unit_is_not_wrapped():
    assert h264.packetize(annex_b(SLICE), 100) == [SLICE]


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        (SPS, True),
        (stap(SPS, PPS), True),
        (stap(b"\x09\xf0", SPS), True),
        (stap(SEI, SLICE), False),
        (PPS, False),
        (IDR, False),
        (fu_a(start=True), False),
        (b"", False),
        (b"\x78\x00\x09short", False),
        (b"\x78\x00\x00", False),
    ],
)
def test_a_decoder_can_start_where_the_parameter_sets_are(payload, starts):
    assert h264.starts_keyframe(payload) is starts


def test_an_access_unit_with_an_idr_slice_is_a_keyframe():
    assert h264.frame_is_keyframe(annex_b(SPS, PPS, IDR))
    assert not h264.frame_is_keyframe(annex_b(SEI, SLICE))


def test_fragments_are_joined_with_the_header_of_their_unit():
    payloads = [fu_a(start=True, data=b"a"), fu_a(data=b"b"), fu_a(end=True, data=b"c")]
    assert h264.depacketize(payloads) == h264.START_CODE + b"\x65abc"


def test_a_unit_in_a_single_fragment_is_whole():
    assert h264.depacketize([fu_a(start=True, end=True), SLICE]) == annex_b(b"\x65data", SLICE)


@pytest.mark.parametrize(
    "payloads",
    [
        [b""],
        [b"\x60"],  # type 0 is not defined
        [b"\x7d\x85x"],  # FU-B
        [b"\x79\x00\x02ab"],  # STAP-B
        [b"\x7c\x85"],  # a fragment without data
        [fu_a()],  # the start is missing
        [fu_a(start=True)],  # the end is missing
        [fu_a(start=True), SLICE],
        [fu_a(start=True), fu_a(start=True)],
        [b"\x78\x00\x09short"],
        [b"\x78\x00"],
        [b"\x78\x00\x00\x00\x01a"],
    ],
)
def test_malformed_payloads_are_refused(payloads):
    with pytest.raises(PayloadRefused):
        h264.depacketize(payloads)


def test_random_payloads_raise_nothing_else():
    random_ = random.Random(6184)
    good = h264.packetize(annex_b(SPS, PPS, IDR + bytes(range(1, 200)) * 20, SLICE), 300)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(4000):
        payloads = [bytearray(p) for p in random_.sample(good, random_.randint(1, len(good)))]
        if random_.random() < 0.5:
            payloads = [bytearray(p) for p in good]
        victim = random_.choice(payloads)
        for _ in range(random_.randint(0, 3)):
            victim[random_.randrange(min(6, len(victim)))] = random_.randrange(256)
        del victim[random_.choice((len(victim), random_.randint(0, 6))) :]
        try:
            frame = h264.depacketize([bytes(p) for p in payloads])
            outcomes["read"] += 1
            h264.frame_is_keyframe(frame)
        except PayloadRefused:
            outcomes["refused"] += 1
        assert h264.starts_keyframe(bytes(victim)) in (True, False)
    assert min(outcomes.values()) > 500


@given(ANY_BYTES, st.integers(4, 20))
def test_any_bytes_can_be_packetized(access_unit, max_bytes):
    assert all(len(p) <= max_bytes for p in h264.packetize(access_unit, max_bytes))
