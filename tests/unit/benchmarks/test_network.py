import pytest

from benchmarks.network import Watched, _row
from benchmarks.rig.refusal import HOST_FPS_MIN, MeasurementRefused, require_host_rate


def watched(host_fps: float) -> Watched:
    return Watched(
        fps=20.0,
        freezes=1.0,
        longest_ms=250.0,
        frames=80,
        nacks=3,
        plis=1,
        lost=2,
        first_ms=90.0,
        host_fps=host_fps,
        rejoins=0,
    )


def test_what_a_viewer_saw_is_told_when_the_host_kept_its_rate(capsys):
    row = _row("loss 5 %", watched(30.0))
    assert row["fps"] == 20.0
    assert "loss 5 %" in capsys.readouterr().out


def test_a_host_that_was_too_slow_leaves_no_figures_of_the_network(capsys):
    row = _row("loss 5 %", watched(17.0))
    assert row.keys() == {"network", "refused"}
    assert "17.0 frames per second" in str(row["refused"])
    assert "refused" in capsys.readouterr().out


def test_the_limit_of_the_hosts_rate_is_within():
    require_host_rate(HOST_FPS_MIN)
    with pytest.raises(MeasurementRefused):
        require_host_rate(HOST_FPS_MIN - 0.1)
