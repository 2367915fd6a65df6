from collections.abc import Callable

import pytest

from benchmarks.latency.planted_rows import PLANTS, TURN_FRAMES_MIN, by_turn, case_for
from benchmarks.latency.planted_stage import TURN_S
from benchmarks.latency.planting import DelayLine
from benchmarks.latency.sightings import Sighting
from benchmarks.rig.refusal import MeasurementRefused


class Loop:
    """Calls what is due, in virtual time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s, callback):
        self.timers.append((self.now + delay_s, callback))

    def until(self, now: float) -> None:
        while due := [timer for timer in self.timers if timer[0] <= now]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = now


@pytest.fixture
def loop():
    return Loop()


def test_everything_comes_out_as_much_later_as_it_was_to_and_nothing_piles_up(loop):
    out = []
    line = DelayLine(lambda: 0.02, lambda: loop.now, loop.call_later)
    for n in range(5):
        loop.until(100.0 + 0.01 * n)
        line.put(lambda n=n: out.append((n, round(loop.now - 100.0, 6))))
    loop.until(101.0)
    assert out == [(n, round(0.02 + 0.01 * n, 6)) for n in range(5)]
    assert loop.timers == []


def test_what_comes_when_the_delay_has_gone_waits_for_what_is_still_in_the_line(loop):
    out, delay_s = [], [0.02]
    line = DelayLine(lambda: delay_s[0], lambda: loop.now, loop.call_later)
    line.put(lambda: out.append("first"))
    delay_s[0] = 0.0
    line.put(lambda: out.append("second"))
    assert out == []
    loop.until(100.02)
    assert out == ["first", "second"]
    line.put(lambda: out.append("at once"))
    assert out[-1] == "at once"


def frames(seconds: float, per_s: float = 20.0):
    return [
        (Sighting(1000 * n / per_s, 1000 * n / per_s + 50), {}) for n in range(int(seconds * per_s))
    ]


def test_frames_are_parted_by_turn_and_those_around_a_change_are_left_out():
    calm, slowed = by_turn(frames(8 * TURN_S))
    assert {int(s.captured_ms // 1000 // TURN_S) % 2 for s, _ in calm} == {0}
    assert {int(s.captured_ms // 1000 // TURN_S) % 2 for s, _ in slowed} == {1}
    assert min(s.captured_ms % (1000 * TURN_S) for s, _ in slowed) >= 1500


def test_too_few_frames_of_one_kind_are_no_measurement():
    with pytest.raises(MeasurementRefused):
        by_turn(frames(TURN_S * (1 + TURN_FRAMES_MIN / 1000)))


@pytest.mark.parametrize("planted", PLANTS)
def test_a_stage_of_the_filter_is_planted_where_the_filter_is_on(planted):
    is_direct = planted in {"unprotect", "frame complete"}
    assert (case_for(planted, "vp8").preset == "off") == is_direct
