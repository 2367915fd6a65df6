from dataclasses import astuple, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay.forwarder import STAMP_TICKS, Forwarder
from mediasrv.relay.layout import (
    BATCH_PACKETS_MAX,
    OUTLET_BUFFER_MIN_BYTES,
    RUN_BYTES_MAX,
    RUN_PACKETS_MAX,
    Batch,
    LayoutKind,
    runs_of,
)
from mediasrv.relay.outlet import ForwarderCounters, Retransmission
from mediasrv.relay.packets import PLAYOUT_DELAY_MAX, ExtensionIds, TrackPacket
from mediasrv.relay.rtp import HEADER_BYTES, PACKET_MAX_BYTES
from mediasrv.relay.timeline import Position
from mediasrv.transport.endpoint import BUFFER_BYTES
from mediasrv.transport.udp_port import GSO_BYTES_MAX, GSO_SEGMENTS_MAX
from tests.relay_fakes import WatchingOutlet

ALL_IDS = ExtensionIds(audio_level=2, abs_send_time=9)


def packets(*sizes, first=0, codec="vp8", keyframe=False, level=b""):
    return [
        TrackPacket(
            first + i,
            (first + i) * 3000,
            i == len(sizes) - 1,
            codec,
            bytes([i & 0xFF]) * size,
            level,
            keyframe and i == 0,
        )
        for i, size in enumerate(sizes)
    ]


def batch(*sizes, now=0.0, **more):
    return Batch(packets(*sizes, **more), now)


def laid_out(shared, ids, overhead_bytes, *, payload_type=96):
    kind = LayoutKind(ids, payload_type, overhead_bytes)
    return shared.layout(kind.key, kind)


def forwarder(outlet, *, ids=ExtensionIds(), first_sequence=500, types=None):  # noqa: B008
    return Forwarder(outlet, 77, types or {"vp8": 96}, ids, first_sequence)


@pytest.fixture
def outlet():
    return WatchingOutlet()


class TestRuns:
    @pytest.mark.parametrize(
        ("sizes", "runs"),
        [
            ([100], [[100]]),
            ([100, 100, 100], [[100, 100, 100]]),
            ([100, 100, 60], [[100, 100, 60]]),
            ([60, 100], [[60], [100]]),
            ([100, 60, 60], [[100, 60], [60]]),
            ([100, 60, 100], [[100, 60], [100]]),
            ([100, 99, 98, 97], [[100, 99], [98, 97]]),
        ],
    )
    def test_a_run_has_one_size_and_only_its_last_packet_is_shorter(self, sizes, runs, outlet):
        forwarder(outlet).write(batch(*sizes, keyframe=True))
        assert outlet.runs == [[s + HEADER_BYTES + 16 for s in run] for run in runs]

    def test_the_bounds_are_those_of_one_send_of_the_transport(self):
        assert RUN_PACKETS_MAX <= GSO_SEGMENTS_MAX == 64
        assert RUN_BYTES_MAX <= GSO_BYTES_MAX

    def test_a_run_has_no_more_packets_than_the_kernel_takes(self, outlet):
        forwarder(outlet).write(batch(*[10] * BATCH_PACKETS_MAX, keyframe=True))
        assert [len(run) for run in outlet.runs] == [RUN_PACKETS_MAX] * 2

    def test_a_run_has_no_more_bytes_than_a_datagram_could_have(self, outlet):
        forwarder(outlet).write(batch(*[1400] * 100, keyframe=True))
        assert [len(run) for run in outlet.runs] == [45, 45, 10]

    @given(st.lists(st.integers(1, 1500), min_size=1, max_size=BATCH_PACKETS_MAX))
    def test_runs_cover_every_packet_once_and_keep_the_kernels_rules(self, sizes):
        spans, offset = [], 0
        for size in sizes:
            spans.append((offset, size))
            offset += size + 10
        covered = []
        for start, end, segment in runs_of(spans, 10):
            assert end - start <= RUN_BYTES_MAX
            cuts = list(range(start, end, segment))
            assert len(cuts) <= RUN_PACKETS_MAX
            covered += [(at, min(at + segment, end)) for at in cuts]
        assert covered == [(at, at + size + 10) for at, size in spans]

    def test_the_transports_buffer_holds_the_largest_batch(self):
        largest = PACKET_MAX_BYTES - HEADER_BYTES
        layout = laid_out(batch(*[largest] * BATCH_PACKETS_MAX, level=b"\x01"), ALL_IDS, 16)
        assert len(layout.template) <= OUTLET_BUFFER_MIN_BYTES <= BUFFER_BYTES


class TestLayout:
    def test_it_is_made_once_for_viewers_with_the_same_ids(self):
        shared = batch(100, 50)
        first = laid_out(shared, ALL_IDS, 16)
        assert laid_out(shared, ExtensionIds(2, 9), 16) is first
        assert laid_out(shared, ExtensionIds(9, 2), 16) is not first
        assert laid_out(shared, ExtensionIds(2, 9, 1), 16) is not first
        assert laid_out(shared, ALL_IDS, 10) is not first
        assert laid_out(shared, ALL_IDS, 16, payload_type=97) is not first

    def test_viewers_with_other_ids_get_the_same_payloads(self):
        shared = batch(100, 50, level=b"\x99", keyframe=True, now=1.0)
        plain, full = WatchingOutlet(), WatchingOutlet(overhead_bytes=10)
        forwarder(plain).write(shared)
        forwarder(full, ids=ALL_IDS).write(shared)
        assert [p.payload for p in plain.packets] == [p.payload for p in full.packets]
        assert [p.extensions for p in plain.packets] == [{}, {}]
        assert [p.extensions for p in full.packets] == [{2: b"\x99", 9: b"\x04\x00\x00"}] * 2

    def test_the_send_time_is_seconds_in_18_bits_of_fraction_and_wraps_after_64_s(self, outlet):
        write = forwarder(outlet, ids=ExtensionIds(abs_send_time=3)).write
        write(batch(10, keyframe=True, now=63.5))
        write(batch(10, first=1, now=64.25))
        assert [p.extensions[3] for p in outlet.packets] == [b"\xfe\x00\x00", b"\x01\x00\x00"]

    def test_a_packet_without_an_audio_level_has_no_such_element(self, outlet):
        forwarder(outlet, ids=ExtensionIds(audio_level=2)).write(batch(10, keyframe=True))
        assert outlet.packets[0].extensions == {}


class TestForwarder:
    def test_payload_marker_and_timestamp_stay_and_the_rest_is_the_viewers_own(self, outlet):
        sent = packets(100, 50, first=9000, keyframe=True)
        sent[0].ticks = 2**32 + 5
        assert forwarder(outlet).write(Batch(sent, 0.0))
        first, second = outlet.packets
        assert (first.payload, second.payload) == (sent[0].payload, sent[1].payload)
        assert (first.marker, second.marker) == (False, True)
        assert (first.timestamp, second.timestamp) == (5, 9001 * 3000)
        assert (first.sequence, second.sequence) == (500, 501)
        assert {p.payload_type for p in outlet.packets} == {96}
        assert {p.ssrc for p in outlet.packets} == {77}

    def test_the_sequence_wraps(self, outlet):
        write = forwarder(outlet, first_sequence=65_534).write
        write(batch(1, 1, 1, 1, keyframe=True))
        assert [p.sequence for p in outlet.packets] == [65534, 65535, 0, 1]

    def test_a_viewer_begins_at_a_keyframe_inside_a_batch(self, outlet):
        forward = forwarder(outlet)
        assert not forward.write(batch(10, 10))
        mixed = packets(10, 20, first=2) + packets(30, 40, first=4, keyframe=True)
        assert forward.write(Batch(mixed, 0.0))
        assert [len(p.payload) for p in outlet.packets] == [30, 40]
        assert outlet.packets[0].sequence == 500

    def test_a_gap_in_the_track_is_a_gap_for_the_viewer(self, outlet):
        forward = forwarder(outlet)
        forward.write(batch(1, keyframe=True))
        forward.write(batch(1, first=5))
        forward.write(batch(1, first=3))
        assert [p.sequence for p in outlet.packets] == [500, 505, 503]

    def test_after_a_loss_on_our_side_the_viewer_goes_on_at_a_keyframe_in_sequence(self, outlet):
        forward = forwarder(outlet)
        forward.write(batch(1, keyframe=True))
        outlet.is_broken = True
        assert not forward.write(batch(1, 1, first=1))
        assert not forward.write(batch(1, first=3))
        assert outlet.sends == 2
        assert forward.counters.sends_failed == 1
        outlet.is_broken = False
        assert forward.write(batch(1, first=9, keyframe=True))
        assert [p.sequence for p in outlet.packets] == [500, 503]

    def test_packets_older_than_the_start_never_take_a_number_twice(self, outlet):
        forward = forwarder(outlet, first_sequence=0)
        forward.write(batch(1, first=50, keyframe=True))
        assert forward.write(batch(1, 1, first=48))
        mixed = packets(5, first=49) + packets(6, first=51)
        assert forward.write(Batch(mixed, 0.0))
        assert [(p.sequence, len(p.payload)) for p in outlet.packets] == [(0, 1), (1, 6)]

    def test_after_a_failed_send_late_packets_do_not_reuse_numbers(self, outlet):
        forward = forwarder(outlet)
        forward.write(batch(*[1] * 10, keyframe=True))
        outlet.is_broken = True
        forward.write(batch(*[2] * 5, first=10))
        outlet.is_broken = False
        forward.write(batch(3, first=40, keyframe=True))
        forward.write(batch(4, first=20))  # it would land on the number of packet 0..14
        assert [p.sequence for p in outlet.packets] == [*range(500, 510), 515]

    def test_a_codec_that_the_viewer_did_not_accept_is_left_out_until_its_next_keyframe(
        self, outlet
    ):
        forward = forwarder(outlet, types={"vp8": 96, "h264": 102})
        assert forward.can_carry("h264")
        assert not forward.can_carry("av1")
        forward.write(batch(1, keyframe=True))
        assert forward.write(batch(1, first=1, codec="av1", keyframe=True))
        assert not forward.write(batch(1, first=2))
        assert forward.write(batch(1, first=3, codec="h264", keyframe=True))
        assert [(p.payload_type, p.sequence) for p in outlet.packets] == [(96, 500), (102, 501)]

    def test_what_was_sent_is_counted_for_sender_reports(self, outlet):
        forward = forwarder(outlet, ids=ALL_IDS)
        forward.write(batch(100, 50, keyframe=True))
        forward.write(batch(7, first=2))
        assert (forward.counters.packets_sent, forward.counters.octets_sent) == (3, 157)


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.booleans(), st.booleans(), st.integers(0, 3)), max_size=40
    )
)
def test_a_viewer_sees_no_hole_whatever_fails_on_our_side(steps):
    """Failed sends take their numbers with them, everything else is gapless."""
    outlet = WatchingOutlet()
    forward = forwarder(outlet, first_sequence=65_000)
    track, lost = 0, 0
    for count, keyframe, breaks, skipped in steps:
        was_waiting = forward.waiting
        outlet.is_broken = breaks
        track += skipped if was_waiting else 0
        forward.write(batch(*[1] * count, first=track, keyframe=keyframe))
        track += count
        if breaks and not (was_waiting and not keyframe):
            lost += count
    numbers = [(p.sequence - 65_000) & 0xFFFF for p in outlet.packets]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + lost == forward.counters.packets_sent
    assert all(n < forward.counters.packets_sent for n in numbers)


class TestPatience:
    IDS = ExtensionIds(playout_delay=6)

    def delays(self, outlet):
        return [int.from_bytes(p.extensions.get(6, b""), "big") for p in outlet.packets]

    def patient(self, outlet, units):
        rtx = Retransmission(78, {"vp8": 97}, 0)
        made = Forwarder(outlet, 77, {"vp8": 96}, self.IDS, 500, rtx)
        made.want_patience(units)
        return made

    def test_who_loses_nothing_hears_at_keyframes_that_it_need_not_wait(self, outlet):
        self.patient(outlet, 0).write(batch(50, 50, keyframe=True))
        assert self.delays(outlet) == [PLAYOUT_DELAY_MAX, 0]

    def test_who_waits_for_repairs_hears_it_in_every_packet(self, outlet):
        self.patient(outlet, 21).write(batch(50, 50, keyframe=True))
        assert self.delays(outlet) == [21 << 12 | PLAYOUT_DELAY_MAX] * 2

    def test_viewers_of_different_patience_share_no_layout(self, outlet):
        kinds = [self.patient(outlet, units).lane_kind("vp8") for units in (0, 7)]
        assert kinds[0].key != kinds[1].key

    def test_without_rtx_nothing_changes_because_a_repair_must_be_the_same(self, outlet):
        made = forwarder(outlet, ids=self.IDS)
        made.want_patience(21)
        assert made.patience == 0
        made.write(batch(50, 50, keyframe=True))
        assert self.delays(outlet) == [PLAYOUT_DELAY_MAX, 0]


def test_counters_of_viewers_are_added_field_by_field_and_none_is_forgotten():
    names = [field.name for field in fields(ForwarderCounters)]
    total = ForwarderCounters(*range(len(names)))
    total.add(ForwarderCounters(*[100] * len(names)))
    assert list(astuple(total)) == [100 + i for i in range(len(names))]


class TestHandingOver:
    def test_a_viewer_who_goes_on_at_once_gets_a_third_time_for_one_image(self, outlet):
        # Three qualities of one image, each begun at its keyframe before any newer image came.
        viewer = forwarder(outlet)
        viewer.write(batch(100, keyframe=True))
        for first in (1000, 2000):
            viewer.hand_over(Position(0, None, None), is_torn=False)
            (keyframe,) = packets(100, first=first, keyframe=True)
            keyframe.ticks = 0
            assert viewer.write(Batch([keyframe], 0.0))
        assert [p.timestamp for p in outlet.packets] == [0, STAMP_TICKS, 2 * STAMP_TICKS]
        assert [p.sequence for p in outlet.packets] == [500, 501, 502]
