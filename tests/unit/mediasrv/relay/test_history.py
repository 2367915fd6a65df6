import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay.history import BYTES_MAX, PACKETS_MAX, PacketHistory
from mediasrv.relay.packets import TrackPacket


def packet(sequence, size=10):
    return TrackPacket(sequence, sequence * 3000, True, "vp8", bytes(size))


def kept(*sequences, duration_s=1.0, now=10.0, **bounds):
    history = PacketHistory(duration_s, **bounds)
    for sequence in sequences:
        history.add(packet(sequence), now)
    return history


def test_an_empty_history_knows_nothing():
    history = PacketHistory(1.0)
    assert (len(history), history.newest, history.keyframe) == (0, -1, None)
    assert history.get(0) is None
    assert history.between(0, 100) == []
    assert history.is_new(0)
    assert not history.is_forgotten(0)


def test_the_very_packet_is_kept_with_the_time_it_left():
    history, sent = PacketHistory(1.0), packet(5)
    history.add(sent, 10.25)
    assert history.get(5) is sent
    assert sent.sent_at == 10.25
    assert not history.is_new(5)
    assert history.is_new(4)
    assert history.is_new(6)


def test_packets_come_in_order_whatever_order_they_were_added_in():
    history = kept(5, 9, 6, 8)
    assert [p.sequence for p in history.between(5, 9)] == [5, 6, 8]
    assert [p.sequence for p in history.between(0, 100)] == [5, 6, 8, 9]
    assert history.between(9, 5) == []
    assert history.newest == 9


def test_what_is_older_than_the_duration_is_forgotten():
    history = PacketHistory(0.5)
    for i in range(10):
        history.add(packet(i), 10.0 + i * 0.125)
    assert [p.sequence for p in history.between(0, 10)] == [5, 6, 7, 8, 9]
    assert history.is_forgotten(4)
    assert not history.is_forgotten(5)
    # It is none that could still be repaired, whether it came or not.
    assert not history.is_new(4)


def test_no_more_bytes_are_kept_than_allowed():
    history = PacketHistory(60.0, bytes_max=1000)
    for i in range(20):
        history.add(packet(i, 300), 10.0)
        assert history.payload_bytes == 300 * len(history) <= 1000
    assert [p.sequence for p in history.between(0, 20)] == [17, 18, 19]


def test_a_packet_larger_than_everything_allowed_is_not_kept_either():
    history = PacketHistory(60.0, bytes_max=100)
    history.add(packet(0, 101), 10.0)
    assert (len(history), history.payload_bytes) == (0, 0)
    assert history.is_forgotten(0)


def test_no_more_packets_are_kept_than_allowed():
    history = kept(*range(PACKETS_MAX + 5), duration_s=1e9)
    assert len(history) == PACKETS_MAX
    assert history.get(4) is None
    assert history.get(5) is not None
    assert BYTES_MAX == 2_500_000


def test_a_keyframe_is_remembered_for_as_long_as_its_first_packet():
    history = PacketHistory(0.5)
    history.add(packet(0), 10.0)
    history.mark_keyframe(0, 10.0)
    history.add(packet(1), 10.4)
    assert (history.keyframe, history.keyframe_at) == (0, 10.0)
    history.add(packet(2), 10.6)
    assert history.keyframe is None
    history.mark_keyframe(2, 10.6)
    history.add(packet(3), 11.0)
    assert history.keyframe == 2


@pytest.mark.parametrize("late", [0, 3])
def test_nothing_from_before_a_clear_comes_back(late):
    history = kept(*range(late, 6))
    history.mark_keyframe(5, 10.0)
    history.clear()
    assert (len(history), history.payload_bytes, history.newest) == (0, 0, -1)
    assert history.keyframe is None
    assert history.get(5) is None
    assert not history.is_new(5)
    assert not history.is_new(late)
    assert history.is_new(6)
    history.clear()
    assert not history.is_new(5)


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 400), st.floats(0, 0.3)),
        max_size=60,
        unique_by=lambda step: step[0],
    )
)
def test_bounds_hold_whatever_comes(steps):
    history, now = PacketHistory(1.0, bytes_max=1500), 10.0
    added = {}
    for sequence, size, pause in steps:
        now += pause
        added[sequence] = now
        history.add(packet(sequence, size), now)
        there = history.between(0, 41)
        assert history.payload_bytes == sum(len(p.payload) for p in there) <= 1500
        assert len(history) == len(there)
        assert all(now - added[p.sequence] <= 1.0 + 1e-9 for p in there)
        assert history.newest == max(added)
    for sequence in added:
        assert not history.is_new(sequence) or history.get(sequence) is None
