from itertools import permutations

import pytest

from benchmarks.load.first_frame import FirstFrame
from mediasrv.relay import vp8
from mediasrv.relay.rtp import RtpPacket, write_rtp

KEYFRAME, DELTA = b"\x10" + bytes(2500), b"\x11" + bytes(1500)


def packets(frame, *, ticks, sequence):
    payloads = vp8.packetize(frame, 7, 1000)
    return [
        write_rtp(
            RtpPacket(96, i == len(payloads) - 1, (sequence + i) & 0xFFFF, ticks, 5, {}, payload)
        )
        for i, payload in enumerate(payloads)
    ]


def seen(*stream):
    found = FirstFrame()
    for at_ns, packet in enumerate(stream, 1):
        found.take(packet, at_ns)
    return found


def test_a_keyframe_counts_from_its_last_missing_packet_in_any_order():
    whole = packets(KEYFRAME, ticks=0, sequence=65_535)  # numbers wrap within it
    for order in permutations(whole):
        assert (seen(*order).first_ns, seen(*order).whole_ns) == (1, len(whole))


def test_frames_before_the_first_keyframe_show_nothing():
    early = packets(DELTA, ticks=0, sequence=10)
    found = seen(*early)
    assert (found.first_ns, found.whole_ns) == (1, 0)
    late = packets(KEYFRAME, ticks=3000, sequence=12)
    assert seen(*early, *late).whole_ns == len(early) + len(late)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_keyframe_with_a_hole_is_not_whole(missing):
    whole = packets(KEYFRAME, ticks=0, sequence=1)
    assert len(whole) == 3
    part = [packet for i, packet in enumerate(whole) if i != missing]
    following = packets(DELTA, ticks=3000, sequence=4)
    assert seen(*part, *following).whole_ns == 0
    assert seen(*part, *part, *following).whole_ns == 0


def test_what_is_no_packet_and_what_comes_afterwards_changes_nothing():
    whole = packets(KEYFRAME, ticks=0, sequence=1)
    found = seen(b"", b"\x80", *whole, *packets(KEYFRAME, ticks=3000, sequence=9))
    assert found.whole_ns == 2 + len(whole)
