"""Tests of packet counting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.client.packets import KEPT_PACKETS_MAX, SEQUENCE_JUMP_MAX, PacketLog
from mediasrv.relay.rtp import RtpPacket, write_rtp

VIDEO, AUDIO, RTX = 97, 96, 98
KINDS = {VIDEO: ("video", "vp8"), AUDIO: ("audio", "opus")}


def packet(sequence, payload=b"payload", *, kind=VIDEO, marker=False):
    return write_rtp(RtpPacket(kind, marker, sequence, 1000, 7, {}, payload))


@pytest.fixture
def log():
    log = PacketLog(keep=True)
    log.negotiated(KINDS, {RTX: VIDEO})
    return log


def feed(log, *sequences):
    for sequence in sequences:
        log.add(packet(sequence), 0.0)
    return log.streams["video"]


def test_packets_in_order_lose_nothing(log):
    stream = feed(log, 1, 2, 3)
    assert (stream.packets, stream.lost, stream.payload_bytes) == (3, 0, 21)


def test_a_gap_is_a_loss(log):
    assert feed(log, 1, 5).lost == 3


def test_a_late_packet_is_not_lost(log):
    assert feed(log, 1, 3, 2).lost == 0


def test_a_repeated_packet_counts_once(log):
    stream = feed(log, 1, 2, 2)
    assert (stream.packets, stream.duplicates) == (2, 1)


def test_sequence_numbers_wrap_around(log):
    stream = feed(log, 65534, 65535, 0, 1)
    assert (stream.packets, stream.lost) == (4, 0)


def test_a_huge_jump_is_a_new_beginning(log):
    assert feed(log, 1, 2 + SEQUENCE_JUMP_MAX).lost == 0


def test_a_retransmission_fills_the_gap_it_repeats(log):
    feed(log, 1, 3)
    log.add(packet(500, b"\x00\x02again", kind=RTX), 0.0)
    assert log.streams["video"].lost == 0
    assert log.payloads("video")[1] == b"again"


def test_a_retransmission_without_a_number_is_unknown(log):
    log.add(packet(500, b"\x00", kind=RTX), 0.0)
    assert log.unknown == 1


def test_kinds_are_counted_apart(log):
    log.add(packet(1), 0.0)
    log.add(packet(9, kind=AUDIO), 0.0)
    assert {kind: s.codec for kind, s in log.streams.items()} == {"video": "vp8", "audio": "opus"}


def test_a_frame_is_complete_at_its_marker(log):
    log.add(packet(1), 0.0)
    log.add(packet(2, marker=True), 0.5)
    log.add(packet(3, marker=True, kind=AUDIO), 0.6)
    assert (log.timeline.frames, log.timeline.first_s) == (1, 0.5)


def test_payloads_come_in_sequence_order(log):
    for sequence in (65535, 1, 0):
        log.add(packet(sequence, str(sequence).encode()), 0.0)
    assert log.payloads("video") == [b"65535", b"0", b"1"]


def test_nothing_is_kept_unless_asked():
    log = PacketLog()
    log.negotiated(KINDS)
    log.add(packet(1), 0.0)
    assert log.payloads("video") == []


def test_what_is_kept_is_bounded(log):
    assert log.kept.maxlen == KEPT_PACKETS_MAX


def test_the_bitrate_counts_payload_bits(log):
    feed(log, *range(100))
    assert log.streams["video"].figures(2.0).bitrate_bps == 100 * 7 * 8 / 2
    assert log.streams["video"].figures(0.0).bitrate_bps == 0


@given(st.binary(max_size=64))
def test_any_bytes_are_counted_and_disturb_nothing(junk):
    log = PacketLog(keep=True)
    log.negotiated(KINDS, {RTX: VIDEO})
    log.add(junk, 0.0)
    assert log.unknown + sum(stream.packets for stream in log.streams.values()) == 1
