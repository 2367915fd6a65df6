import random
import struct

import pytest
from aiortc import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, pack_header_extensions
from aiortc.rtp import RtpPacket as AiortcPacket
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay import rtp

IDS = st.integers(1, 14)
ONE_BYTE_ELEMENTS = st.dictionaries(IDS, st.binary(min_size=1, max_size=16), max_size=5)


def header(*, first=0x80, second=96, sequence=1, timestamp=2, ssrc=3):
    return struct.pack("!BBHII", first, second, sequence, timestamp, ssrc)


@given(
    payload_type=st.integers(0, 127),
    marker=st.booleans(),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    csrc=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15),
    payload=st.binary(max_size=1200),
    padding=st.integers(0, 200),
    elements=ONE_BYTE_ELEMENTS,
)
def test_what_aiortc_writes_is_read_as_it_was_meant(
    payload_type, marker, sequence, timestamp, ssrc, csrc, payload, padding, elements
):
    head = header(
        first=0x80 | (0x20 if padding else 0) | (0x10 if elements else 0) | len(csrc),
        second=marker << 7 | payload_type,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
    )
    block = b""
    if elements:
        profile, value = pack_header_extensions(sorted(elements.items()))
        block = struct.pack("!HH", profile, len(value) // 4) + value
    end = bytes(padding - 1) + bytes([padding]) if padding else b""
    packet = head + b"".join(c.to_bytes(4, "big") for c in csrc) + block + payload + end
    ours, theirs = rtp.parse_rtp(packet), AiortcPacket.parse(packet)
    assert ours.payload_type == theirs.payload_type == payload_type
    assert ours.marker == bool(theirs.marker) == marker
    assert ours.sequence == theirs.sequence_number == sequence
    assert ours.timestamp == theirs.timestamp == timestamp
    assert ours.ssrc == theirs.ssrc == ssrc
    assert ours.payload == theirs.payload == payload
    assert ours.extensions == elements


@given(
    marker=st.booleans(),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=1200),
    level=st.integers(0, 255),
)
def test_aiortc_reads_what_is_written(marker, sequence, timestamp, payload, level):
    known = HeaderExtensionsMap()
    known.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=3, uri=rtp.AUDIO_LEVEL_URI),
                RTCRtpHeaderExtensionParameters(id=5, uri=rtp.ABS_SEND_TIME_URI),
            ]
        )
    )
    written = rtp.write_rtp(
        rtp.RtpPacket(
            100, marker, sequence, timestamp, 77, {5: b"\x01\x02\x03", 3: bytes([level])}, payload
        )
    )
    theirs = AiortcPacket.parse(written, known)
    assert (theirs.payload_type, bool(theirs.marker)) == (100, marker)
    assert (theirs.sequence_number, theirs.timestamp) == (sequence, timestamp)
    assert theirs.payload == payload
    assert theirs.extensions.abs_send_time == 0x010203
    assert theirs.extensions.audio_level == (level >= 128, level & 127)


@given(ONE_BYTE_ELEMENTS)
def test_the_extension_block_is_the_one_that_aiortc_writes(elements):
    profile, value = pack_header_extensions(sorted(elements.items()))
    expected = struct.pack("!HH", profile, len(value) // 4) + value if elements else b""
    assert rtp.write_extensions(sorted(elements.items())) == expected


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=40), min_size=1, max_size=4))
def test_two_byte_elements_are_read(elements):
    body = b"".join(bytes([n, len(v)]) + v for n, v in elements.items())
    body += bytes(-len(body) % 4)
    packet = header(first=0x90) + struct.pack("!HH", 0x1003, len(body) // 4) + body + b"x"
    parsed = rtp.parse_rtp(packet)
    assert parsed.extensions == elements
    assert parsed.payload == b"x"


def one_byte_block(body):
    return header(first=0x90) + struct.pack("!HH", 0xBEDE, len(body) // 4) + body


@pytest.mark.parametrize(
    ("body", "elements"),
    [
        (b"\x00\x00\x10a", {1: b"a"}),  # padding in front
        (b"\x10a\xf0\x30", {1: b"a"}),  # 15 ends the block
        (b"\x10a\x03\x30", {1: b"a"}),  # so does 0 with a length
        (b"\x10a\x10b", {1: b"b"}),  # the later of two
    ],
)
def test_reserved_ids_and_padding_follow_rfc_8285(body, elements):
    assert rtp.parse_rtp(one_byte_block(body)).extensions == elements


def test_an_unknown_extension_profile_has_no_elements():
    packet = header(first=0x90) + struct.pack("!HH", 0x1234, 1) + b"\x10a\x00\x00" + b"x"
    parsed = rtp.parse_rtp(packet)
    assert parsed.extensions == {}
    assert parsed.payload == b"x"


def test_packets_without_extensions_cannot_share_a_change():
    with pytest.raises(AttributeError):
        rtp.parse_rtp(header()).extensions.clear()  # type: ignore[attr-defined]


def test_a_padding_only_probe_has_an_empty_payload():
    assert rtp.parse_rtp(header(first=0xA0) + bytes(254) + b"\xff").payload == b""


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        header()[:11],
        header(first=0x40),
        header(first=0x00),
        header(first=0xC0),
        header(first=0x82) + b"only",  # two contributing sources announced
        header(first=0x90),  # the extension is missing
        header(first=0x90) + b"\xbe\xde\x00\x02\x10a\x00\x00",  # it is longer than the packet
        header(first=0x90) + b"\xbe\xde\x00\x01\x00\x00\x13a",  # an element runs past its block
        header(first=0x90) + b"\x10\x00\x00\x01\x01\x03ab",
        header(first=0x90) + b"\x10\x00\x00\x01\x00\x00\x00\x01",  # an id without a length
        header(first=0xA0) + b"abc\x00",  # no padding at all
        header(first=0xA0) + b"abc\x05",  # more than there is
        header(first=0xA0)[:8] + b"\x00\x00\x00\x0c",
        header() + bytes(rtp.PACKET_MAX_BYTES),
    ],
)
def test_malformed_packets_are_refused(packet):
    with pytest.raises(rtp.RtpRefused):
        rtp.parse_rtp(packet)


def test_the_largest_packet_of_an_ethernet_frame_is_read():
    size = rtp.PACKET_MAX_BYTES - rtp.HEADER_BYTES
    assert len(rtp.parse_rtp(header() + bytes(size)).payload) == size


def test_mutations_of_good_packets_raise_nothing_else():
    random_ = random.Random(3550)
    seeds = [
        rtp.write_rtp(rtp.RtpPacket(96, True, 1, 2, 3, {1: b"a", 2: b"abc"}, bytes(50))),
        one_byte_block(b"\x10a\x21bc\x32def" + bytes(3)) + bytes(20),
        header(first=0x93) + bytes(12) + b"\x10\x00\x00\x02\x01\x01a\x02\x02bc\x00" + bytes(9),
        header(first=0xA0) + bytes(30) + b"\x04",
    ]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(4000):
        packet = bytearray(random_.choice(seeds))
        for _ in range(random_.randint(1, 6)):
            packet[random_.randrange(len(packet))] = random_.randrange(256)
        cut = random_.choice((len(packet), random_.randrange(len(packet) + 1)))
        try:
            rtp.parse_rtp(bytes(packet[:cut]))
            outcomes["read"] += 1
        except rtp.RtpRefused:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 500
