"""Viewers whose way carries less than the host sends: fewer frames or a smaller picture, no freezes."""

import pytest

from benchmarks.impairment import Conditions
from tests.scenarios.network_room import NetworkRoom
from tests.scenarios.simulcast_host import SimulcastRoom
from tests.scenarios.test_network import (
    assert_nothing_missing_in_what_left,
    assert_patient_with_the_host,
)

SETTLE_S = 8.0
WATCH_S = 40.0


def limited(rate_bps: int, queue_bytes: int = 20_000) -> Conditions:
    return Conditions(rate_bps=rate_bps, queue_bytes=queue_bytes, delay_s=0.025)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_viewer_limited_to_300_kbps_keeps_playing(seed):
    room = SimulcastRoom(seed)
    room.run(3.0)
    other = room.join(reports_bandwidth=True)
    narrow = room.join(limited(300_000), reports_bandwidth=True)
    room.run(SETTLE_S)
    start = room.time.now
    room.run(WATCH_S)
    end = room.time.now
    print(
        room.host.told,
        [round(g, 2) for g in sorted(narrow.gaps_s(start, end))[-5:]],
        narrow.frames_per_second(start, end),
        narrow.audio_share(),
        room.host.keyframes,
        narrow.plis,
    )
    assert narrow.frames_per_second(start, end) >= 10
    assert max(narrow.gaps_s(start, end)) < 1.0
    assert narrow.audio_share() >= 0.9
    assert other.frames_per_second(start, end) >= 29.5
    assert other.freezes(start, end) == 0
    assert_nothing_missing_in_what_left(room)
    assert_patient_with_the_host(room)


def test_others():
    room = NetworkRoom(3, layers=3, bitrate_bps=2_500_000)
    room.run(3.0)
    other = room.join(reports_bandwidth=True)
    narrow = room.join(limited(300_000), reports_bandwidth=True)
    room.run(SETTLE_S)
    start = room.time.now
    room.run(WATCH_S)
    end = room.time.now
    print(
        [round(g, 2) for g in sorted(narrow.gaps_s(start, end))[-5:]],
        narrow.frames_per_second(start, end),
        narrow.audio_share(),
        room.host.keyframes,
        narrow.plis,
    )
    assert narrow.audio_share() >= 0.9
    assert max(narrow.gaps_s(start, end)) < 5.0
    assert other.freezes(start, end) == 0
    assert_nothing_missing_in_what_left(room)
    assert_patient_with_the_host(room)
