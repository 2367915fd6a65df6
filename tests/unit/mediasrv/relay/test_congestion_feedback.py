"""What a host hears about its way to us, through a whole broadcast."""

import struct

import pytest

from mediasrv.relay import rtcp, rtp
from mediasrv.relay.publisher import IncomingTrack, Publisher
from tests.relay_fakes import AUDIO_TYPE, HOST_TRACKS, VIDEO_TYPE, WatchingOutlet

NUMBER_ID = 5
TRACKS = (
    IncomingTrack("audio", "opus", AUDIO_TYPE, 48_000, transport_sequence_id=NUMBER_ID),
    IncomingTrack("video", "vp8", VIDEO_TYPE, 90_000, transport_sequence_id=NUMBER_ID),
)


class RawOutlet(WatchingOutlet):
    """Keeps the compound packets as they left."""

    def __post_init__(self):
        super().__post_init__()
        self.compounds = []

    def send_rtcp(self, packet):
        super().send_rtcp(packet)
        self.compounds.append(packet)

    def feedbacks(self):
        """Media SSRC, first sequence number and count of each transport-wide message."""
        found = []
        for compound in self.compounds:
            offset = 0
            while offset < len(compound):
                first, kind, words = struct.unpack_from("!BBH", compound, offset)
                if (kind, first & 0x1F) == (205, 15):
                    found.append(struct.unpack_from("!IHH", compound, offset + 8))
                offset += 4 + 4 * words
        return found


@pytest.fixture
def outlet():
    return RawOutlet()


@pytest.fixture
def publisher(outlet):
    return Publisher(TRACKS, outlet, 7)


def packet(number, *, ssrc=1, payload_type=VIDEO_TYPE, sequence=0, value=None):
    value = number.to_bytes(2, "big") if value is None else value
    extensions = {NUMBER_ID: value} if value else {}
    return rtp.RtpPacket(payload_type, False, sequence, 0, ssrc, extensions, b"x")


def receive(publisher, number, now=10.0, **fields):
    made = packet(number, **fields)
    stream = publisher.stream_of(made, now)
    if stream is not None:
        stream.receive(made, now)
    return stream


def test_packets_of_all_tracks_are_told_in_one_message(publisher, outlet):
    receive(publisher, 100)
    receive(publisher, 101, ssrc=2, payload_type=AUDIO_TYPE)
    receive(publisher, 103, sequence=1)
    publisher.feed_back(10.1)
    assert outlet.feedbacks() == [(1, 100, 4)]


def test_every_message_stands_in_a_compound_that_begins_with_a_report(publisher, outlet):
    receive(publisher, 100)
    publisher.feed_back(10.1)
    assert outlet.compounds
    assert all(compound[1] == rtcp.RECEIVER_REPORT for compound in outlet.compounds)


def test_a_host_with_transport_wide_feedback_gets_no_other_estimate(publisher, outlet):
    for i in range(100):
        receive(publisher, i, 10.0 + 0.02 * i, sequence=i)
        publisher.feed_back(10.0 + 0.02 * i)
    assert not [m for m in outlet.messages if isinstance(m, rtcp.BitrateEstimate)]
    assert 30 < len(outlet.feedbacks()) <= 42


def test_a_host_without_it_gets_an_estimate_and_no_feedback(outlet):
    publisher = Publisher(HOST_TRACKS, outlet, 7)
    for i in range(100):
        receive(publisher, i, 10.0 + 0.02 * i, sequence=i)
        publisher.feed_back(10.0 + 0.02 * i)
    assert [m for m in outlet.messages if isinstance(m, rtcp.BitrateEstimate)]
    assert outlet.feedbacks() == []


def test_packets_of_streams_that_are_not_forwarded_count_as_arrived(publisher, outlet):
    receive(publisher, 100)
    receive(publisher, 101, ssrc=3)
    # The first stream has been replaced; its packets use the way all the same.
    assert receive(publisher, 102, sequence=1) is None
    publisher.feed_back(10.1)
    assert outlet.feedbacks() == [(3, 100, 3)]


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01\x02\x03"])
def test_packets_without_a_number_or_with_a_strange_one_are_left_out(publisher, outlet, value):
    assert receive(publisher, 0, value=value) is not None
    publisher.feed_back(10.1)
    assert outlet.feedbacks() == []


def test_packets_of_unknown_types_are_left_out(publisher, outlet):
    assert receive(publisher, 5, payload_type=42) is None
    publisher.feed_back(10.1)
    assert outlet.feedbacks() == []
