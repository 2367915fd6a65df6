import pytest

from benchmarks.narrow import change_of


def rows(*p50_ms):
    return [{"p50_ms": ms} for ms in p50_ms]


def test_what_is_compared_is_the_usual_run_not_one_that_was_disturbed():
    assert change_of(rows(2.0, 9.0, 2.0), rows(2.1, 2.1, 30.0)) == pytest.approx(0.05)
    assert change_of(rows(2.0), rows(1.0)) == -0.5
