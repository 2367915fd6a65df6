from benchmarks.rig import pace
from benchmarks.rig.pace import measure_pace_us, pace_us


def test_a_disturbance_of_most_rounds_is_not_in_the_pace():
    assert pace_us([1.0] * 20 + [1.9] * 80) == 1.0


def test_a_pace_is_measured_at_least_once(monkeypatch):
    ticks = iter([0, 700_000])
    monkeypatch.setattr(pace, "thread_time_ns", lambda: next(ticks))
    assert measure_pace_us(0.0) == 0.7
