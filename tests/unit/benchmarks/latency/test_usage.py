import pytest

from benchmarks.latency.usage import CpuReading, browsers_share, cores_taken


def test_cpu_time_is_told_in_cores():
    before = CpuReading(10.0, {"host browser": 5.0, "server": 1.0, "rest": 50.0})
    after = CpuReading(14.0, {"host browser": 7.0, "server": 1.4, "rest": 50.0})
    assert cores_taken(before, after) == {"host browser": 0.5, "server": 0.1, "rest": 0.0}


def test_the_browsers_part_is_of_all_that_was_used():
    cores = {"host browser": 0.5, "viewer browser": 0.25, "server": 0.05, "worker": 0.2}
    assert browsers_share(cores) == pytest.approx(0.75)
    assert browsers_share({}) == 0.0
