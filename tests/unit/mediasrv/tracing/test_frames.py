import struct

import pytest

from filters.stages import STAGE_TYPES
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing.messages import STEP_NAMES, FrameTimes
from mediasrv.relay.packets import TrackPacket
from mediasrv.tracing.frames import ARRIVALS_MAX, UNDER_WAY_MAX, FrameTracer


class Clock:
    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rows():
    return []


@pytest.fixture
def tracer(clock, rows):
    return FrameTracer(clock, rows.append)


def rtp(ticks: int, ssrc: int = 1) -> bytes:
    return struct.pack("!BBHII", 128, 96, 1, ticks, ssrc) + b"payload"


def packet(ticks: int, *, marker: bool = True) -> TrackPacket:
    return TrackPacket(1, ticks, marker, Codec.VP8, b"payload")


def step(clock: Clock, ms: float) -> float:
    clock.now += ms / 1000
    return clock.now


def send(tracer: FrameTracer, clock: Clock, packets: list[TrackPacket]) -> None:
    tracer.sending(packets)
    step(clock, 0.2)
    tracer.left()
    step(clock, 0.3)
    tracer.left()
    tracer.sent(packets, 50)


def test_a_frame_that_goes_directly_has_its_moments_in_order(tracer, clock, rows):
    for marker in (False, True):
        arrived = clock.now
        step(clock, 0.1)
        tracer.arrived(rtp(7), arrived)
        one = packet(900, marker=marker)
        tracer.appended(one)
        tracer.handled()
        step(clock, 1.0)
    send(tracer, clock, [packet(900, marker=False), packet(900)])
    (row,) = rows
    moments = ["first_in", "last_in", "unprotected", "sending", "first_sent", "sent"]
    times = [row[f"{name}_ms"] for name in moments]
    assert times == pytest.approx([10_000.0, 10_001.1, 10_001.2, 10_002.2, 10_002.4, 10_002.7])
    assert (row["rtp_ticks"], row["packets"], row["viewers"]) == (900, 2, 50)
    assert row["unprotect_ms"] == pytest.approx(0.2)


def test_a_frame_that_is_filtered_has_the_workers_moments_too(tracer, clock, rows):
    frame = EncodedFrame(Codec.VP8, 7, False, b"in")
    tracer.arrived(rtp(7), clock.now)
    step(clock, 0.1)
    tracer.completed(frame)
    tracer.fed(frame)
    tracer.handled()
    decoding_us = int(1e6 * step(clock, 2))
    tracer.worked(FrameTimes(7, decoding_us, 2000, 0, 5000, 4000, landmarks_us=1500))
    step(clock, 12)
    tracer.writing(frame)
    tracer.appended(packet(4_000))
    send(tracer, clock, [packet(4_000)])
    (row,) = rows
    names = ["complete", "fed", "decoding", "decoded", "begun", "encoding", "encoded", "back"]
    times = [row[f"{name}_ms"] for name in [*names, "sending", "sent"]]
    assert times == sorted(times)
    assert row["rtp_ticks"] == 4_000
    assert row["encoding_ms"] - row["begun_ms"] == pytest.approx(5.0)
    assert row["steps_us"]["landmarks"] == 1500


def test_a_frame_that_the_filter_overtook_is_told_before_the_newer_one(tracer, clock, rows):
    for ticks in (7, 8, 9):
        tracer.arrived(rtp(ticks), clock.now)
        tracer.completed(EncodedFrame(Codec.VP8, ticks, False, b"in"))
        tracer.handled()
    tracer.writing(EncodedFrame(Codec.VP8, 8, False, b"out"))
    (row,) = rows
    assert row["overtaken"]
    assert "sent_ms" not in row
    assert row["rtp_ticks"] == 7
    tracer.writing(EncodedFrame(Codec.VP8, 9, False, b"out"))
    assert len(rows) == 1


def test_each_datagram_of_a_frame_is_told_up_to_a_bound(tracer, clock, rows):
    for n in range(ARRIVALS_MAX + 5):
        tracer.arrived(rtp(7), float(n))
    tracer.appended(packet(900))
    send(tracer, clock, [packet(900)])
    arrived_ms = rows[0]["arrived_ms"]
    assert arrived_ms == [1000.0 * n for n in range(ARRIVALS_MAX)]
    assert rows[0]["last_in_ms"] == 1000.0 * (ARRIVALS_MAX + 4)


def test_a_sound_in_between_belongs_to_no_frame(tracer, clock, rows):
    tracer.arrived(rtp(7), clock.now)
    tracer.appended(packet(900))
    tracer.handled()
    tracer.arrived(rtp(55, ssrc=2), clock.now)
    tracer.handled()
    send(tracer, clock, [packet(900)])
    assert [row["packets"] for row in rows] == [1]


def test_a_frame_is_told_when_its_last_packet_has_left_and_not_before(tracer, clock, rows):
    tracer.arrived(rtp(7), clock.now)
    tracer.appended(packet(900, marker=False))
    send(tracer, clock, [packet(900, marker=False)])
    assert rows == []
    tracer.appended(packet(900))
    send(tracer, clock, [packet(900)])
    assert len(rows) == 1


def test_what_the_filter_answers_without_having_been_asked_is_ignored(tracer, clock, rows):
    tracer.worked(FrameTimes(99, 1, 2, 3, 4, 5))
    tracer.writing(EncodedFrame(Codec.VP8, 99, False, b"x"))
    tracer.appended(packet(900))
    send(tracer, clock, [packet(900)])
    assert rows == []


def test_frames_that_never_leave_are_forgotten(tracer, clock):
    for ticks in range(5 * UNDER_WAY_MAX):
        tracer.arrived(rtp(ticks), clock.now)
        tracer.completed(EncodedFrame(Codec.VP8, ticks, False, b"x"))
        tracer.appended(packet(ticks))
        tracer.handled()
    held = (tracer._incoming, tracer._filtered, tracer._outgoing)
    assert [len(frames) for frames in held] == [UNDER_WAY_MAX] * 3


def test_timestamps_are_told_as_they_are_on_the_wire(tracer, clock, rows):
    tracer.arrived(rtp(7), clock.now)
    tracer.appended(packet(2**32 + 5))
    send(tracer, clock, [packet(2**32 + 5)])
    assert rows[0]["rtp_ticks"] == 5


def test_every_stage_of_the_filters_is_timed_by_name():
    assert ("front", "landmarks", "masks", *(s.name for s in STAGE_TYPES)) == STEP_NAMES
