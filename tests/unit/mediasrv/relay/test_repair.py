from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay.packets import PLAYOUT_DELAY_MAX
from mediasrv.relay.repair import (
    LOSSY,
    PATIENCE_STEP,
    PATIENCE_STEPS_MAX,
    PATIENT_FOR_S,
    REMEMBERED_MAX,
    RTT_DEFAULT_S,
    RTT_MAX_S,
    RTT_MIN_S,
    TRIES_MAX,
    RepairDelay,
    RepairPolicy,
    RoundTrip,
)

RTT_S = 0.1


class TestPolicy:
    def test_a_packet_is_granted_again_after_a_round_trip_and_not_before(self):
        policy = RepairPolicy()
        assert policy.allow(7, 10.0, RTT_S)
        assert not policy.allow(7, 10.0, RTT_S)
        assert not policy.allow(7, 10.09, RTT_S)
        assert policy.allow(8, 10.09, RTT_S)
        assert policy.allow(7, 10.11, RTT_S)
        # The time counts from the last grant.
        assert not policy.allow(7, 10.2, RTT_S)

    def test_a_packet_is_granted_three_times_at_most(self):
        policy = RepairPolicy()
        granted = sum(policy.allow(7, 10.0 + i, RTT_S) for i in range(20))
        assert granted == TRIES_MAX == 3

    def test_it_is_in_vain_when_the_last_grant_should_have_arrived(self):
        policy = RepairPolicy()
        assert not policy.is_exhausted(7, 9.0, RTT_S)
        for i in range(TRIES_MAX):
            assert not policy.is_exhausted(7, 10.0 + i, RTT_S)
            policy.allow(7, 10.0 + i, RTT_S)
        last = 10.0 + TRIES_MAX - 1
        assert not policy.is_exhausted(7, last + RTT_S - 0.001, RTT_S)
        assert policy.is_exhausted(7, last + RTT_S + 0.001, RTT_S)
        assert not policy.is_exhausted(8, last + RTT_S + 0.001, RTT_S)

    def test_memory_is_bounded_and_the_oldest_packets_are_forgotten(self):
        policy = RepairPolicy()
        for sequence in range(10 * REMEMBERED_MAX):
            assert policy.allow(sequence, 10.0, RTT_S)
            assert len(policy._granted) <= REMEMBERED_MAX
        newest = 10 * REMEMBERED_MAX - 1
        assert not policy.allow(newest, 10.0, RTT_S)
        assert not policy.allow(newest - REMEMBERED_MAX // 2 + 1, 10.0, RTT_S)
        assert policy.allow(0, 10.0, RTT_S)

    @given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.2)), max_size=60))
    def test_grants_of_a_packet_are_a_round_trip_apart(self, requests):
        policy, now, granted = RepairPolicy(), 10.0, {}
        for sequence, pause in requests:
            now += pause
            if policy.allow(sequence, now, RTT_S):
                granted.setdefault(sequence, []).append(now)
        for times in granted.values():
            assert len(times) <= TRIES_MAX
            assert all(b - a >= RTT_S for a, b in pairwise(times))


def middle(seconds):
    """The middle 32 bits of an NTP time."""
    return int(seconds * 65536) & 0xFFFFFFFF


class TestRoundTrip:
    def test_before_a_measurement_it_is_a_guess(self):
        assert RoundTrip().rtt_s == RTT_DEFAULT_S
        assert not RoundTrip().is_measured

    def test_the_first_measurement_counts_whole_and_later_ones_an_eighth(self):
        trip = RoundTrip()
        trip.echoed(middle(100.0), middle(0.5), 100.54)
        assert trip.rtt_s == pytest.approx(0.04, abs=1e-4)
        assert trip.is_measured
        trip.echoed(middle(101.0), 0, 101.12)
        assert trip.rtt_s == pytest.approx(0.05, abs=1e-4)

    def test_a_report_without_an_echo_says_nothing(self):
        trip = RoundTrip()
        trip.echoed(0, 5, 100.0)
        assert trip.rtt_s == RTT_DEFAULT_S

    def test_an_echo_from_the_future_says_nothing(self):
        trip = RoundTrip()
        trip.echoed(middle(101.0), 0, 100.0)
        trip.echoed(middle(100.0), middle(0.5), 100.1)
        assert trip.rtt_s == RTT_DEFAULT_S

    @pytest.mark.parametrize(("elapsed", "believed"), [(0.0, RTT_MIN_S), (30.0, RTT_MAX_S)])
    def test_what_is_believed_is_bounded(self, elapsed, believed):
        trip = RoundTrip()
        trip.echoed(middle(100.0), 0, 100.0 + elapsed)
        assert trip.rtt_s == believed

    def test_the_clock_wraps_after_eighteen_hours(self):
        trip, now = RoundTrip(), 65536.0
        trip.echoed(middle(now - 0.02), 0, now + 0.01)
        assert trip.rtt_s == pytest.approx(0.03, abs=1e-4)

    @given(
        st.lists(
            st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.floats(0, 1e6)),
            max_size=20,
        )
    )
    def test_forged_echoes_stay_within_the_bounds(self, echoes):
        trip = RoundTrip()
        for echo in echoes:
            trip.echoed(*echo)
            assert RTT_MIN_S <= trip.rtt_s <= RTT_MAX_S

    def test_what_waits_on_the_way_is_what_it_took_longer_than_the_shortest(self):
        trip = RoundTrip()
        for i, rtt_s in enumerate((0.05, 0.30, 0.05)):
            trip.echoed(middle(100.0 + i), 0, 100.0 + i + rtt_s)
            assert trip.queueing_s == pytest.approx(rtt_s - 0.05, abs=0.01)

    def test_a_way_that_is_longer_for_good_is_not_full(self):
        trip = RoundTrip()
        for i in range(300):
            trip.echoed(middle(100.0 + i), 0, 100.0 + i + (0.05 if i == 0 else 0.25))
        assert trip.queueing_s < 0.01


class TestPatience:
    def lossy(self, loss, *, seconds=20, rtt_s=0.05):
        patience = RepairDelay()
        for i in range(seconds):
            patience.lost(loss, rtt_s, 100.0 + i)
        return patience

    def test_where_nothing_is_lost_nobody_waits(self):
        assert self.lossy(0.0).units == 0
        assert self.lossy(LOSSY - 0.001).units == 0

    @pytest.mark.parametrize(("rtt_s", "waits_s"), [(0.005, 0.06), (0.05, 0.15), (0.1, 0.25)])
    def test_where_repairs_are_needed_there_is_time_for_two_round_trips(self, rtt_s, waits_s):
        units = self.lossy(0.05, rtt_s=rtt_s).units
        assert units % PATIENCE_STEP == 0
        assert waits_s * 100 <= units < waits_s * 100 + PATIENCE_STEP

    def test_nobody_waits_for_long(self):
        assert self.lossy(0.05, rtt_s=1.0).units == PATIENCE_STEP * PATIENCE_STEPS_MAX
        assert PATIENCE_STEP * PATIENCE_STEPS_MAX <= PLAYOUT_DELAY_MAX

    def test_a_link_that_is_good_again_for_a_while_is_believed(self):
        patience = self.lossy(0.2)
        now = 119.0
        while patience.units and now < 300:
            now += 1
            patience.lost(0.0, 0.05, now)
        assert PATIENT_FOR_S < now - 119.0 < PATIENT_FOR_S + 15
