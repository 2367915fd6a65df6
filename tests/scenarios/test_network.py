"""What must hold on any network, repaired or not: order, numbers, sound, patience with the host."""

from itertools import pairwise

import pytest

from benchmarks.rig.impairment import Bursts, Conditions
from tests.scenarios.network_room import NetworkRoom, numbers_sent, pictures_sent

JOINED_S = 2.0
WATCHED_S = 10.0
# Requests to a host may be 500 ms apart and no closer.
MERGE_S = 0.5
SHORT = 0.999  # of what floating-point seconds add up to

LATE = {
    "delay 150 ms": Conditions(delay_s=0.15),
    "jitter": Conditions(delay_s=0.05, jitter_s=0.05),
    "duplicates": Conditions(duplicate=0.02, delay_s=0.02),
    "reorder": Conditions(reorder=0.05, delay_s=0.02),
    "everything late": Conditions(delay_s=0.1, jitter_s=0.03, reorder=0.05, duplicate=0.02),
}
LOSSY = {
    "1 %": Conditions(loss=0.01, delay_s=0.025),
    "5 %": Conditions(loss=0.05, delay_s=0.025),
    "10 %": Conditions(loss=0.10, delay_s=0.025),
    "20 %": Conditions(loss=0.20, delay_s=0.025),
    "bursts": Conditions(bursts=Bursts(0.05, 5), delay_s=0.025),
    "everything": Conditions(loss=0.05, reorder=0.05, duplicate=0.02, delay_s=0.04, jitter_s=0.02),
}


def watched(room: NetworkRoom) -> tuple[float, float]:
    """Let everybody settle, then watch; returns from when to when."""
    room.run(JOINED_S)
    start = room.time.now
    room.run(WATCHED_S)
    return start, room.time.now


def assert_patient_with_the_host(room: NetworkRoom) -> None:
    asked = room.host_outlet.asked_at
    assert all(b - a >= MERGE_S * SHORT for a, b in pairwise(asked))


def assert_nothing_missing_in_what_left(room: NetworkRoom) -> None:
    """Sequence numbers and picture ids of each viewer; the outlets watch SRTP's indices.

    A relay may let a viewer begin again: picture ids may jump at a keyframe, sequence numbers not.
    """
    for viewer in room.viewers:
        numbers = set(numbers_sent(viewer))
        assert len(numbers) == max(numbers) - min(numbers) + 1
        for pictures in pictures_sent(viewer):
            assert pictures == list(range(pictures[0], pictures[0] + len(pictures)))
        assert not viewer.torn


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("network", LATE)
def test_what_comes_late_twice_or_out_of_order_costs_no_frame(network, layers):
    room = NetworkRoom(1, layers=layers)
    viewer = room.join(LATE[network])
    start, end = watched(room)
    assert viewer.frames_per_second(start, end) >= 29.5
    assert viewer.freezes(start, end) == 0
    assert viewer.audio_share() == 1.0
    assert room.host.keyframes == 1
    assert_nothing_missing_in_what_left(room)


@pytest.mark.parametrize("network", LATE)
def test_a_host_whose_packets_come_late_twice_or_out_of_order_is_seen_and_heard(network):
    room = NetworkRoom(2, up=LATE[network])
    viewer = room.join()
    start, end = watched(room)
    assert viewer.frames_per_second(start, end) >= 29.5
    assert viewer.freezes(start, end) == 0
    assert viewer.audio_share() == 1.0
    assert_patient_with_the_host(room)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("network", LOSSY)
def test_however_much_a_viewer_loses_its_stream_is_whole_when_it_leaves(network, layers):
    room = NetworkRoom(3, layers=layers)
    conditions = LOSSY[network]
    viewer = room.join(conditions)
    watched(room)
    assert room.viewers[0].down.link.counters.lost > 10
    assert_nothing_missing_in_what_left(room)
    assert_patient_with_the_host(room)
    # Sound goes on: what is not lost is heard.
    share = conditions.loss + (conditions.bursts.share if conditions.bursts else 0)
    assert viewer.audio_share() >= 1 - share - 0.05


def test_one_viewers_bad_network_is_not_the_others():
    room = NetworkRoom(4)
    good = room.join()
    for conditions in LOSSY.values():
        room.join(conditions)
    start, end = watched(room)
    assert good.frames_per_second(start, end) >= 29.5
    assert good.freezes(start, end) == 0
    assert max(s.at - s.shot for s in good.between(start, end)) < 0.06
    assert good.audio_share() == 1.0
    assert (good.nacked, good.plis) == (0, [])
    assert_patient_with_the_host(room)


def test_a_viewer_in_the_dark_for_five_seconds_is_back_within_two():
    room = NetworkRoom(5)
    viewer, other = room.join(LATE["delay 150 ms"]), room.join()
    start, _ = watched(room)
    for link in (viewer.down, viewer.up):
        link.black_out(5.0)
    room.run(5.0)
    light = room.time.now
    room.run(6.0)
    assert viewer.between(light, light + 2.0)
    assert viewer.frames_per_second(light + 2, light + 6) >= 29
    assert other.freezes(start, room.time.now) == 0
    assert_patient_with_the_host(room)
    assert_nothing_missing_in_what_left(room)


def test_a_host_in_the_dark_for_five_seconds_is_seen_within_two_of_its_return():
    room = NetworkRoom(6)
    viewers = [room.join() for _ in range(3)]
    watched(room)
    for link in (room.from_host, room.to_host):
        link.black_out(5.0)
    room.run(5.0)
    light = room.time.now
    room.run(6.0)
    for viewer in viewers:
        assert viewer.between(light, light + 2.0)
        assert viewer.frames_per_second(light + 2, light + 6) >= 29
    assert_patient_with_the_host(room)


def test_a_hundred_viewers_who_join_at_once_cost_the_host_few_keyframes():
    room = NetworkRoom(7)
    room.run(3.0)
    joined = room.time.now
    keyframes = room.host.keyframes
    for _ in range(20):
        for _ in range(5):
            room.join()
        room.run(0.1)
    room.run(1.0)
    for i, viewer in enumerate(room.viewers):
        came = joined + i // 5 * 0.1
        assert viewer.shown[0].at - came <= 1.0
    assert room.host.keyframes - keyframes <= 4
    assert_patient_with_the_host(room)
