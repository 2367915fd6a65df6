"""Transport-wide feedback, read by a parser of its own that follows the draft and nothing else."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay import rtcp
from mediasrv.relay.arrivals import FEEDBACK_EVERY_S, LATE_MAX, SPAN_MAX, ArrivalLog

TICK_S = 0.00025
REFERENCE_S = 0.064


class Feedback:
    """One message, as draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1 says.

    Attributes:
        arrived: By 16-bit sequence number, seconds on the receiver's clock; None for a loss.
    """

    def __init__(self, control):
        base, count = struct.unpack_from("!HH", control)
        self.base, self.count, self.number = base, count, control[7]
        symbols, offset = [], 8
        while len(symbols) < count:
            (chunk,) = struct.unpack_from("!H", control, offset)
            offset += 2
            if not chunk >> 15:  # run length: symbol and how often
                symbols += [chunk >> 13 & 3] * (chunk & 0x1FFF)
            elif chunk >> 14 & 1:  # seven symbols of two bits
                symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
            else:  # fourteen symbols of one bit
                symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
        assert all(symbol == 0 for symbol in symbols[count:])
        at = int.from_bytes(control[4:7], "big", signed=True) * REFERENCE_S
        self.arrived = {}
        for i, symbol in enumerate(symbols[:count]):
            size = {0: 0, 1: 1, 2: 2}[symbol]  # 3 is reserved
            delta = int.from_bytes(control[offset : offset + size], "big", signed=size == 2)
            assert len(control) >= offset + size
            offset += size
            at += delta * TICK_S
            self.arrived[base + i & 0xFFFF] = at if symbol else None
        assert offset == len(control)

    def received(self):
        return {number: at for number, at in self.arrived.items() if at is not None}


def fed(arrivals):
    log = ArrivalLog()
    for sequence, at in arrivals:
        log.arrived(sequence, at)
    return log


def told(log, now=50.0):
    control = log.feedback(now)
    assert control is not None
    return Feedback(control)


def assert_times(feedback, expected):
    got = feedback.received()
    assert set(got) == set(expected)
    for number, at in expected.items():
        assert got[number] == pytest.approx(at, abs=TICK_S)


def test_nothing_is_told_before_anything_arrived():
    assert ArrivalLog().feedback(50.0) is None
    assert ArrivalLog().feedbacks == 0


def test_each_packet_is_told_with_its_time():
    log = fed([(10, 40.0), (11, 40.005), (12, 40.0503)])
    feedback = told(log)
    assert (feedback.base, feedback.count, feedback.number) == (10, 3, 0)
    assert_times(feedback, {10: 40.0, 11: 40.005, 12: 40.0503})


def test_what_did_not_arrive_is_told_as_lost():
    feedback = told(fed([(10, 40.0), (13, 40.01)]))
    assert [at is None for at in feedback.arrived.values()] == [False, True, True, False]


def test_nothing_is_told_twice_and_not_too_often():
    log = fed([(10, 40.0)])
    assert told(log, 50.0).base == 10
    assert log.feedback(51.0) is None
    log.arrived(11, 51.0)
    assert told(log, 51.0).number == 1
    log.arrived(12, 51.01)
    assert log.feedback(51.0 + FEEDBACK_EVERY_S - 0.001) is None
    assert told(log, 51.001 + FEEDBACK_EVERY_S).number == 2
    assert log.feedbacks == 3


def test_a_loss_at_the_border_of_two_messages_is_told():
    log = fed([(10, 40.0)])
    told(log, 50.0)
    log.arrived(13, 50.06)
    feedback = told(log, 51.0)
    assert (feedback.base, feedback.count) == (11, 3)
    assert_times(feedback, {13: 50.06})


def test_messages_are_counted_in_eight_bits():
    log = ArrivalLog()
    numbers = []
    for i in range(258):
        log.arrived(i, 40.0 + i)
        numbers.append(told(log, 40.0 + i).number)
    assert numbers == [i & 0xFF for i in range(258)]


def test_sequence_numbers_wrap():
    log = fed([(65_534, 40.0), (65_535, 40.001), (1, 40.002)])
    feedback = told(log)
    assert (feedback.base, feedback.count) == (65_534, 4)
    assert_times(feedback, {65_534: 40.0, 65_535: 40.001, 1: 40.002})
    log.arrived(2, 51.0)
    assert told(log, 51.0).base == 2


def test_reordered_packets_have_negative_distances():
    feedback = told(fed([(10, 40.1), (11, 40.02), (12, 40.11)]))
    assert_times(feedback, {10: 40.1, 11: 40.02, 12: 40.11})


@pytest.mark.parametrize(("distance_s", "size"), [(0.06375, 1), (0.064, 2), (8.19175, 2)])
def test_distances_take_the_smallest_field_that_holds_them(distance_s, size):
    log = fed([(10, 64.0), (11, 64.0 + distance_s)])
    control = log.feedback(100.0)
    assert control is not None
    assert len(control) == 8 + 2 + 1 + size
    assert_times(Feedback(control), {10: 64.0, 11: 64.0 + distance_s})


def test_a_pause_of_more_than_eight_seconds_costs_one_packet_and_not_the_times_of_the_rest():
    feedback = told(fed([(10, 64.0), (11, 75.0), (12, 64.1)]), 100.0)
    assert feedback.arrived[11] is None
    assert_times(feedback, {10: 64.0, 12: 64.1})


def test_a_packet_that_comes_twice_counts_once_with_its_first_time():
    assert_times(told(fed([(10, 40.0), (11, 40.01), (10, 40.02)])), {10: 40.0, 11: 40.01})


def test_a_late_packet_does_not_turn_others_that_were_told_into_losses():
    log = fed([(10, 49.99), (11, 49.991), (13, 49.995)])
    told(log, 50.0)
    log.arrived(12, 50.01)
    log.arrived(14, 50.02)
    feedback = told(log, 51.0)
    assert_times(feedback, {12: 50.01, 13: 49.995, 14: 50.02})


def test_a_late_packet_alone_is_told_with_those_after_it():
    log = fed([(10, 49.99), (12, 49.995), (13, 49.996)])
    told(log, 50.0)
    log.arrived(11, 50.01)
    feedback = told(log, 51.0)
    assert_times(feedback, {11: 50.01, 12: 49.995, 13: 49.996})
    log.arrived(14, 51.01)
    assert told(log, 52.0).base == 14


def test_a_packet_that_was_told_already_is_not_told_anew():
    log = fed([(10, 49.99)])
    told(log, 50.0)
    log.arrived(10, 50.1)
    assert log.feedback(51.0) is None


def test_a_long_stream_leaves_no_more_than_is_needed_to_tell_of_late_packets():
    log = ArrivalLog()
    for i in range(20_000):
        log.arrived(i & 0xFFFF, 40.0 + i * 0.001)
        log.feedback(40.0 + i * 0.001)
    assert len(log._told) <= 2 * LATE_MAX + 100
    assert len(log._arrived) < 100


def test_what_is_much_too_late_is_not_told():
    log = fed([(5000, 40.0)])
    told(log, 50.0)
    log.arrived(5001 - LATE_MAX - 1, 50.1)
    assert log.feedback(51.0) is None


def test_a_jump_is_told_with_a_bounded_number_of_losses():
    log = fed([(10, 40.0), (10 + SPAN_MAX + 500, 40.01), (10 + SPAN_MAX + 501, 40.02)])
    feedback = told(log)
    assert feedback.count == SPAN_MAX
    assert_times(feedback, {10 + SPAN_MAX + 500: 40.01, 10 + SPAN_MAX + 501: 40.02})


def test_the_reference_time_wraps_after_its_24_bits():
    late = (1 << 24) * REFERENCE_S + 5.0
    feedback = told(fed([(1, late)]), late)
    assert feedback.received()[1] == pytest.approx(5.0, abs=TICK_S)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.floats(0, 0.3), st.floats(0, 0.05)), min_size=1, max_size=80
    ),
    st.integers(0, 0xFFFF),
    st.floats(1.0, 100_000.0),
)
def test_whatever_arrives_is_told_once_and_in_time(steps, first, began):
    """Gaps, pauses and jitter that reorders; feedback every 50 ms or so."""
    arrivals, sequence, sent_at = [], first, began
    for gap, pause, jitter in steps:
        arrivals.append((sent_at + jitter, sequence))
        sequence, sent_at = sequence + gap, sent_at + pause
    log, got = ArrivalLog(), {}
    for at, number in [*sorted(arrivals), (sent_at + 10, None)]:
        if number is not None:
            log.arrived(number & 0xFFFF, at)
        control = log.feedback(at)
        if control is not None:
            for told_number, told_at in Feedback(control).received().items():
                got.setdefault(told_number, told_at)
    assert set(got) == {number & 0xFFFF for _, number in arrivals}
    for at, number in arrivals:
        assert got[number & 0xFFFF] == pytest.approx(at, abs=2 * TICK_S)


@pytest.mark.parametrize("seed", range(4))
def test_around_it_is_an_rtcp_packet_of_whole_words(seed):
    chance = random.Random(seed)
    arrived = [(i, 40.0 + chance.random()) for i in range(40) if chance.random() < 0.8]
    control = fed(arrived).feedback(50.0)
    assert control is not None
    control = control[: len(control) - seed] if seed else control
    packet = rtcp.write_transport_feedback(7, 9, control)
    first, kind, words = struct.unpack_from("!BBH", packet)
    assert (first & 0xDF, kind) == (0x80 | 15, 205)
    assert len(packet) == 4 * (words + 1)
    assert struct.unpack_from("!II", packet, 4) == (7, 9)
    body = packet[12:]
    if first & 0x20:
        assert 0 < body[-1] < 4
        body = body[: -body[-1]]
    assert body == control
    # It is not for us, and in a compound it is passed over.
    pli = rtcp.write_pli(1, 2)
    assert rtcp.parse_rtcp(packet + pli) == rtcp.parse_rtcp(pli)
