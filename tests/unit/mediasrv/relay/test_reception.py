import random

import pytest

from mediasrv.relay.reception import (
    NACK_BATCH_MAX,
    NACK_DELAY_S,
    NACK_PENDING_MAX,
    NACK_RETRY_S,
    NACK_TRIES_MAX,
    NackGenerator,
    Reception,
)
from mediasrv.relay.rtcp import SenderReport


def received(*sequences, now=0.0):
    generator = NackGenerator()
    for sequence in sequences:
        generator.received(sequence, now)
    return generator


class TestNacks:
    def test_a_gap_is_asked_for_after_the_time_that_reordering_takes(self):
        generator = received(10, 13)
        assert generator.due(NACK_DELAY_S - 0.001) == []
        assert generator.due(NACK_DELAY_S) == [11, 12]

    def test_a_reordered_packet_is_not_asked_for(self):
        generator = received(10, 12)
        generator.received(11, 0.005)
        assert generator.due(1.0) == []

    def test_an_answer_ends_the_asking(self):
        generator = received(10, 12)
        assert generator.due(0.02) == [11]
        generator.received(11, 0.05)
        assert generator.due(1.0) == []
        assert generator.gave_up == 0

    def test_asking_is_repeated_and_given_up_after_some_tries(self):
        generator = received(10, 12)
        asked = [at for at in range(0, 1000, 5) if generator.due(at / 1000)]
        retry_ms = NACK_RETRY_S * 1000
        assert asked == [10 + retry_ms * i for i in range(NACK_TRIES_MAX)]
        assert generator.gave_up == 1

    def test_each_gap_has_its_own_time(self):
        generator = received(10, 12)
        generator.received(14, 0.03)
        assert generator.due(0.01) == [11]
        assert generator.due(0.04) == [13]
        assert generator.due(0.07) == [11]
        assert generator.due(0.10) == [13]

    def test_what_is_older_than_a_keyframe_is_forgotten(self):
        generator = received(10, 13, 16)
        generator.forget_before(14)
        assert generator.due(1.0) == [14, 15]
        assert generator.gave_up == 0

    def test_a_gap_too_large_to_repair_is_given_up_at_once(self):
        generator = received(0, 2)
        generator.received(2 + NACK_PENDING_MAX + 1, 0.0)
        assert generator.due(1.0) == []
        assert generator.gave_up == 1 + NACK_PENDING_MAX
        generator.received(2 + NACK_PENDING_MAX + 3, 1.0)
        assert generator.due(2.0) == [2 + NACK_PENDING_MAX + 2]

    def test_the_largest_gap_that_is_repaired_is_asked_for_in_parts_that_fit_a_packet(self):
        generator = received(0, NACK_PENDING_MAX + 1)
        parts = [generator.due(0.01) for _ in range(5)]
        assert [len(p) for p in parts] == [NACK_BATCH_MAX] * 4 + [0]
        assert [s for part in parts for s in part] == list(range(1, NACK_PENDING_MAX + 1))

    def test_the_first_packet_of_all_opens_no_gap(self):
        assert received(40000).due(1.0) == []


def report(reception, now=9.0):
    block = reception.report_block(now)
    assert block is not None
    return block


def fed(reception, packets):
    for sequence, timestamp, now in packets:
        reception.received(sequence, timestamp, 100, now)


class TestReports:
    def test_there_is_nothing_to_report_before_the_first_packet(self):
        assert Reception(1, 90_000).report_block(0.0) is None

    def test_one_packet_of_four_lost_is_a_fraction_of_64(self):
        reception = Reception(7, 90_000)
        fed(reception, [(s, s * 3000, s / 30) for s in (0, 1, 3)])
        block = report(reception, 1.0)
        assert (block.ssrc, block.fraction_lost, block.packets_lost) == (7, 64, 1)
        assert block.highest_sequence == 3

    def test_the_fraction_is_that_of_the_interval_and_the_loss_that_of_the_stream(self):
        reception = Reception(1, 90_000)
        fed(reception, [(s, 0, 0.0) for s in (0, 1, 2, 4)])
        assert report(reception, 1.0).fraction_lost == 256 // 5
        fed(reception, [(s, 0, 0.0) for s in range(5, 10)])
        block = report(reception, 2.0)
        assert (block.fraction_lost, block.packets_lost) == (0, 1)
        fed(reception, [(19, 0, 0.0)])
        block = report(reception, 3.0)
        assert (block.fraction_lost, block.packets_lost) == (9 * 256 // 10, 10)

    def test_duplicates_make_the_loss_negative_and_the_fraction_zero(self):
        reception = Reception(1, 90_000)
        fed(reception, [(s, 0, 0.0) for s in (0, 1, 1, 1)])
        block = report(reception, 1.0)
        assert (block.fraction_lost, block.packets_lost) == (0, -2)

    def test_a_silent_interval_has_no_loss(self):
        reception = Reception(1, 90_000)
        fed(reception, [(5, 0, 0.0)])
        report(reception, 1.0)
        assert report(reception, 2.0).fraction_lost == 0

    def test_almost_total_loss_stays_in_one_byte(self):
        reception = Reception(1, 90_000)
        fed(reception, [(0, 0, 0.0)])
        report(reception, 1.0)
        fed(reception, [(30000, 0, 0.0)])
        assert report(reception, 2.0).fraction_lost == 255

    def test_the_highest_number_counts_how_often_the_numbers_wrapped(self):
        reception = Reception(1, 90_000)
        assert reception.highest == 0
        fed(reception, [(s & 0xFFFF, 0, 0.0) for s in range(65_000, 65_600)])
        block = report(reception, 1.0)
        assert block.highest_sequence == 0x10000 | 63
        assert block.packets_lost == 0
        assert reception.highest == 65_599

    def test_packets_before_the_first_one_are_expected_too(self):
        reception = Reception(1, 90_000)
        fed(reception, [(10, 0, 0.0), (8, 0, 0.0), (9, 0, 0.0)])
        assert report(reception, 1.0).packets_lost == 0

    def test_the_round_trip_fields_are_those_of_the_example_in_rfc_3550(self):
        # Section 6.4.1, figure 2: a report of ...b705:2000 answered 5.250 s later.
        reception = Reception(1, 90_000)
        fed(reception, [(0, 0, 0.0)])
        reception.received_report(SenderReport(1, 0xB44D_B705_2000_0000, 0, 0, 0), now=100.0)
        block = report(reception, 105.25)
        assert (block.last_report, block.delay) == (0xB705_2000, 0x0005_4000)

    def test_without_a_sender_report_both_are_zero(self):
        reception = Reception(1, 90_000)
        fed(reception, [(0, 0, 0.0)])
        assert (report(reception, 9.0).last_report, report(reception, 9.0).delay) == (
            0,
            0,
        )

    def test_bytes_and_packets_are_counted(self):
        reception = Reception(1, 90_000)
        assert reception.received(65535, 2**32 - 1, 10, 0.0) == (65535, 2**32 - 1)
        assert reception.received(1, 5, 30, 0.0) == (65537, 2**32 + 5)
        assert (reception.packets_received, reception.bytes_received) == (2, 40)


class TestLost:
    def test_before_the_first_packet_nothing_is_lost(self):
        assert Reception(1, 90_000).lost == 0

    def test_what_is_missing_is_lost_until_it_comes(self):
        reception = Reception(1, 90_000)
        fed(reception, [(10, 0, 0.0), (13, 0, 0.0)])
        assert reception.lost == 2
        fed(reception, [(11, 0, 0.1)])
        assert reception.lost == 1


class TestJitter:
    def test_an_even_stream_has_none(self):
        reception = Reception(1, 8000)
        fed(reception, [(s, s * 160, 5 + s * 0.02) for s in range(100)])
        assert report(reception, 9.0).jitter_ticks == 0

    def test_it_follows_the_integer_code_of_rfc_3550(self):
        # Appendix A.8, the version with the estimate scaled by 16.
        random_ = random.Random(1889)
        reception = Reception(1, 90_000)
        scaled, transit_before = 0, None
        for sequence in range(500):
            arrival = sequence * 3000 + random_.randint(0, 900)
            reception.received(sequence, sequence * 3000, 1, arrival / 90_000)
            transit = arrival - sequence * 3000
            if transit_before is not None:
                scaled += abs(transit - transit_before) - ((scaled + 8) >> 4)
            transit_before = transit
        assert report(reception, 99.0).jitter_ticks == pytest.approx(scaled >> 4, abs=2)

    def test_a_first_late_packet_counts_a_sixteenth(self):
        reception = Reception(1, 8000)
        fed(reception, [(0, 0, 0.0), (1, 160, 0.06)])
        assert report(reception, 1.0).jitter_ticks == 320 // 16

    def test_the_wrap_of_timestamps_is_no_jitter(self):
        reception = Reception(1, 90_000)
        start = 2**32 - 6000
        fed(reception, [(s, (start + s * 3000) & 0xFFFFFFFF, s / 30) for s in range(8)])
        assert report(reception, 1.0).jitter_ticks == 0


def test_a_sender_report_is_placed_without_counting_as_a_packet():
    reception = Reception(1, 90_000)
    fed(reception, [(0, 2**32 - 100, 0.0)])
    assert reception.unwrap_timestamp(200) == 2**32 + 200
    assert reception.received(1, 2**32 - 50, 0, 0.0)[1] == 2**32 - 50
