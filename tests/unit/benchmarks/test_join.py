import pytest

from benchmarks.join import phases_of

MOMENTS = {
    "offer": 10.0,
    "answered": 30.0,
    "ice": 45.0,
    "dtls": 70.0,
    "packet": 72.0,
    "frame": 90.0,
}


def test_phases_follow_each_other_and_add_up_to_the_wait():
    phases = phases_of(MOMENTS)
    assert list(phases.values()) == [20.0, 15.0, 25.0, 2.0, 18.0]
    assert sum(phases.values()) == pytest.approx(80.0)


@pytest.mark.parametrize("change", [{"packet": 200.0}, {"ice": 5.0}])
def test_a_moment_out_of_order_takes_no_time_from_the_others(change):
    phases = phases_of({**MOMENTS, **change})
    assert min(phases.values()) >= 0
    assert sum(phases.values()) == pytest.approx(80.0)


def test_a_moment_that_was_not_told_takes_no_time():
    moments = {name: at for name, at in MOMENTS.items() if name != "ice"}
    assert phases_of(moments)["ice"] == 0
