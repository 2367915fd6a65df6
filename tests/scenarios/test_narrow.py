"""Viewers whose way carries less than the host sends: a smaller picture, fewer frames, no freezes.

The queue before a narrow link is short, as the proxy's of the interop tests: what does not fit is
lost, and a viewer's estimate alone does not see it.
"""

import pytest

from benchmarks.rig.impairment import Conditions
from tests.scenarios.network_room import ConnectedViewer, NetworkRoom, numbers_sent
from tests.scenarios.simulcast_host import SimulcastRoom
from tests.scenarios.test_network import assert_patient_with_the_host

SETTLE_S = 8.0
WATCH_S = 40.0


def limited(rate_bps: int, queue_bytes: int = 20_000) -> Conditions:
    return Conditions(rate_bps=rate_bps, queue_bytes=queue_bytes, delay_s=0.025)


def settled(room: NetworkRoom) -> tuple[float, float]:
    """Let everybody find out, then watch; returns from when to when."""
    room.run(SETTLE_S)
    start = room.time.now
    room.run(WATCH_S)
    return start, room.time.now


def assert_one_stream(viewer: ConnectedViewer, holes: int) -> None:
    """A frame may be cut off where a viewer is taken away from a stream; a hole tells of it."""
    numbers = set(numbers_sent(viewer))
    assert max(numbers) - min(numbers) + 1 - len(numbers) <= holes
    assert not viewer.torn


def delays_s(viewer: ConnectedViewer, start: float, end: float) -> list[float]:
    """How late each frame came, ascending."""
    return sorted(s.at - s.shot for s in viewer.between(start, end))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_viewer_limited_to_300_kbps_keeps_playing(seed):
    room = SimulcastRoom(seed)
    room.run(3.0)
    narrow = room.join(limited(300_000), reports_bandwidth=True)
    start, end = settled(room)
    assert narrow.frames_per_second(start, end) >= 14
    assert max(narrow.gaps_s(start, end)) < 1.0
    assert narrow.audio_share() >= 0.95
    late = delays_s(narrow, start, end)
    assert late[len(late) // 2] < 0.6
    assert_one_stream(narrow, holes=6)
    assert_patient_with_the_host(room)


def test_a_viewer_that_says_nothing_of_its_bandwidth_keeps_playing_but_for_seldom_tries():
    """Only trying tells what its way carries; the times between two tries double."""
    room = SimulcastRoom(4)
    room.run(3.0)
    narrow = room.join(limited(300_000))
    start, end = settled(room)
    assert narrow.frames_per_second(start, end) >= 14
    assert max(narrow.gaps_s(start, end)) < 2.5
    assert sum(gap >= 1.0 for gap in narrow.gaps_s(start, end)) <= 3
    assert narrow.audio_share() >= 0.9
    assert_patient_with_the_host(room)


@pytest.mark.parametrize("rate_bps", [200_000, 400_000, 700_000, 1_200_000, 2_000_000])
def test_whatever_a_way_carries_is_used_without_freezes(rate_bps):
    room = SimulcastRoom(4)
    narrow = room.join(limited(rate_bps, rate_bps // 15), reports_bandwidth=True)
    start, end = settled(room)
    assert narrow.frames_per_second(start, end) >= 7
    assert max(narrow.gaps_s(start, end)) < 1.0
    assert_one_stream(narrow, holes=6)


def test_a_narrow_viewer_leaves_the_delay_of_the_others_as_it_is():
    def other_delays_s(narrow_too: bool) -> list[float]:
        room = SimulcastRoom(5)
        other = room.join(reports_bandwidth=True)
        if narrow_too:
            room.join(limited(300_000), reports_bandwidth=True)
        start, end = settled(room)
        assert other.frames_per_second(start, end) >= 29.5
        assert other.freezes(start, end) == 0
        assert (other.nacked, other.plis) == (0, [])
        return delays_s(other, start, end)

    alone, beside = other_delays_s(False), other_delays_s(True)
    for share in (0.5, 0.95):
        at = int(share * min(len(alone), len(beside)))
        assert beside[at] == pytest.approx(alone[at], rel=0.05)


def test_a_way_that_widens_gets_the_best_quality_again():
    room = SimulcastRoom(6)
    viewer = room.join(limited(300_000), reports_bandwidth=True)
    room.run(10.0)
    viewer.down.link.conditions = Conditions(delay_s=0.025)
    widened = room.time.now
    room.run(60.0)
    now = room.time.now
    assert room.broadcast.qualities.track_of(viewer.name) is room.broadcast.tracks["video"]
    assert viewer.frames_per_second(now - 5, now) >= 29
    assert viewer.freezes(widened + 1, now) == 0
    assert room.host.told[-1][1] == ("f",)


def test_a_host_with_one_stream_is_heard_and_seen_in_stills():
    """2.5 Mb/s in three layers: the base layer alone is three times what the way carries."""
    room = NetworkRoom(7, layers=3, bitrate_bps=2_500_000)
    room.run(3.0)
    other, narrow = room.join(), room.join(limited(300_000))
    start, end = settled(room)
    assert len(narrow.between(start, end)) >= 6
    assert narrow.audio_share() >= 0.8
    assert other.frames_per_second(start, end) >= 29.5
    assert other.freezes(start, end) == 0
    assert_one_stream(narrow, holes=60)
    assert_patient_with_the_host(room)


@pytest.mark.parametrize("limit_bps", [1_200_000, 700_000, 300_000])
def test_stills_never_take_a_viewer_back_in_time(limit_bps):
    """Behind a short queue frames and stills take turns; the model objects to older frames."""
    room = NetworkRoom(1, layers=3)
    narrow = room.join(limited(limit_bps), reports_bandwidth=True)
    start, end = settled(room)
    assert len(narrow.between(start, end)) >= 8
    assert narrow.audio_share() >= 0.9


@pytest.mark.parametrize("limit_bps", [1_200_000, 800_000])
def test_a_host_with_one_stream_is_seen_in_fewer_frames(limit_bps):
    room = NetworkRoom(8, layers=3, bitrate_bps=1_500_000)
    narrow = room.join(limited(limit_bps, limit_bps // 16), reports_bandwidth=True)
    room.run(SETTLE_S)
    start, end = settled(room)
    # The base layer alone is 7.5 frames per second, with the middle one 15.
    assert 6.5 <= narrow.frames_per_second(start, end) <= 29
    assert max(narrow.gaps_s(start, end)) < 1.5
    assert narrow.audio_share() >= 0.9
