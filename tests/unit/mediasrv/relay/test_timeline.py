from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay import vp8
from mediasrv.relay.packets import TrackPacket
from mediasrv.relay.timeline import SPLICE_S, Timeline
from tests.relay_fakes import vp8_payloads

HZ = 90_000


def picture_id(payload):
    return vp8.parse_descriptor(payload).picture_id


def placed(timeline, payload):
    packet = TrackPacket(0, 0, True, "vp8", payload)
    timeline.place_picture(packet)
    return packet


def rewritten(timeline, picture, *, tl0=None, bits=15):
    head = bytes([0x80 | picture >> 8, picture & 0xFF]) if bits == 15 else bytes([picture])
    flags = 0x80 if tl0 is None else 0xC0
    descriptor = vp8.parse_descriptor(
        placed(
            timeline,
            bytes([0x90, flags]) + head + (b"" if tl0 is None else bytes([tl0])) + b"\x11",
        ).payload
    )
    return descriptor.picture_id, descriptor.tl0_index


def test_the_first_source_begins_at_zero_and_keeps_its_gaps():
    timeline = Timeline(HZ)
    assert timeline.map(5000, 70, 0.0) == (0, 70)
    assert timeline.map(5003, 3070, 0.0) == (3, 3070)
    assert timeline.map(5001, 70, 0.0) == (1, 70)
    assert timeline.next_sequence == 4


def test_a_new_source_goes_on_without_a_gap():
    timeline = Timeline(HZ)
    timeline.map(10, 0, 0.0)
    timeline.splice(new_clock=False)
    assert timeline.map(90, 3000, 0.0) == (1, 3000)


def test_packets_from_before_a_takeover_are_left_out():
    timeline = Timeline(HZ)
    timeline.map(10, 0, 0.0)
    timeline.splice(new_clock=False)
    timeline.map(20, 3000, 0.0)
    assert timeline.map(19, 3000, 0.0) is None
    assert timeline.next_sequence == 2


def test_a_new_clock_goes_on_where_the_old_one_would_be():
    timeline = Timeline(HZ)
    timeline.map(0, 1000, 10.0)
    timeline.splice(new_clock=True)
    known = [timeline.clock_known]
    assert timeline.map(7, 5_000_000, 12.0) == (1, 1000 + 2 * HZ)
    known.append(timeline.clock_known)
    assert known == [False, True]
    assert timeline.map(8, 5_003_000, 12.0) == (2, 4000 + 2 * HZ)
    assert timeline.place_ticks(5_001_500) == 2500 + 2 * HZ


def test_a_new_clock_is_at_least_one_frame_on():
    timeline = Timeline(HZ)
    timeline.map(0, 1000, 10.0)
    timeline.splice(new_clock=True)
    assert timeline.map(7, 0, 10.0) == (1, 1000 + int(SPLICE_S * HZ))


def test_a_switch_on_the_same_clock_does_not_forget_that_the_clock_is_new():
    timeline = Timeline(HZ)
    timeline.map(0, 1000, 10.0)
    timeline.splice(new_clock=True)
    timeline.splice(new_clock=False)
    assert timeline.map(7, 0, 11.0) == (1, 1000 + HZ)


def test_reordered_timestamps_do_not_pull_the_next_source_back():
    timeline = Timeline(HZ)
    timeline.map(0, 6000, 1.0)
    timeline.map(1, 3000, 1.5)
    timeline.splice(new_clock=True)
    assert timeline.map(2, 0, 2.0) == (2, 6000 + HZ)


def test_a_local_source_gets_numbers_in_turn():
    timeline = Timeline(HZ)
    timeline.map(100, 0, 0.0)
    assert [timeline.follow(3000, 0.0) for _ in range(3)] == [(1, 3000), (2, 3000), (3, 3000)]
    assert timeline.map(500, 6000, 0.0) == (4, 6000)


class TestPictureIds:
    def test_payloads_stay_the_same_bytes_while_nothing_was_spliced(self):
        timeline = Timeline(HZ)
        for picture in (32766, 32767, 0):
            (payload,) = vp8_payloads(1, keyframe=False, picture_id=picture)
            assert placed(timeline, payload).payload is payload

    def test_payloads_without_counters_are_not_touched(self):
        timeline = Timeline(HZ)
        rewritten(timeline, 5)
        timeline.splice(new_clock=False)
        assert placed(timeline, b"\x10\x00data").payload == b"\x10\x00data"

    def test_they_go_on_from_source_to_source(self):
        timeline = Timeline(HZ)
        assert rewritten(timeline, 32766, tl0=254) == (32766, 254)
        assert rewritten(timeline, 32767, tl0=255) == (32767, 255)
        timeline.splice(new_clock=False)
        assert timeline.next_picture_id() == 0
        assert timeline.next_picture_id() == 1
        timeline.splice(new_clock=False)
        assert rewritten(timeline, 900, tl0=77) == (2, 0)
        assert rewritten(timeline, 901, tl0=77) == (3, 0)
        assert rewritten(timeline, 902, tl0=78) == (4, 1)

    def test_seven_bits_wrap_at_127(self):
        timeline = Timeline(HZ)
        assert rewritten(timeline, 126, bits=7) == (126, None)
        timeline.splice(new_clock=False)
        assert rewritten(timeline, 3, bits=7) == (127, None)
        assert rewritten(timeline, 4, bits=7) == (0, None)

    def test_a_late_packet_does_not_pull_the_next_source_back(self):
        timeline = Timeline(HZ)
        for picture in (50, 52, 51):
            rewritten(timeline, picture)
        timeline.splice(new_clock=False)
        assert rewritten(timeline, 9) == (53, None)

    def test_a_source_that_begins_with_the_filter_counts_from_zero(self):
        assert [Timeline(HZ).next_picture_id() for _ in range(2)] == [0, 0]

    def test_the_filters_base_frames_are_counted_on_and_the_others_bear_the_count(self):
        timeline = Timeline(HZ)
        assert rewritten(timeline, 5, tl0=254) == (5, 254)
        timeline.splice(new_clock=False)
        counted = [timeline.next_layer(layer, sync=False).tl0_index for layer in (0, 2, 1, 2, 0)]
        assert counted == [255, 255, 255, 255, 0]
        timeline.splice(new_clock=False)
        assert rewritten(timeline, 9, tl0=9)[1] == 1

    def test_the_filters_ids_wrap_at_fifteen_bits(self):
        timeline = Timeline(HZ)
        rewritten(timeline, 32767)
        assert timeline.next_picture_id() == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["packet", "local", "same clock", "new clock"]),
            st.integers(0, 65535),
            st.integers(0, 2**32 - 1),
        ),
        max_size=60,
    )
)
def test_whatever_the_sources_do_each_number_and_time_is_given_out_once(steps):
    """Sources that are in order themselves, spliced at will, make one stream that is in order."""
    timeline = Timeline(HZ)
    sequence, ticks, now = 0, 0, 0.0
    given_out: list[tuple[int, int]] = []
    for kind, new_sequence, new_ticks in steps:
        now += 0.02
        if kind == "packet":
            sequence, ticks = sequence + 1, ticks + 3000
            placed = timeline.map(sequence, ticks, now)
            assert placed is not None
            given_out.append(placed)
        elif kind == "local":
            ticks += 3000
            given_out.append(timeline.follow(ticks, now))
        else:
            timeline.splice(new_clock=kind == "new clock")
            sequence = new_sequence
            if kind == "new clock":
                ticks = new_ticks
    assert [s for s, _ in given_out] == list(range(len(given_out)))
    times = [t for _, t in given_out]
    assert times == sorted(set(times))
