import argparse
import importlib
import json
import signal
import sys
from contextlib import suppress
from functools import partial
from types import ModuleType

import pytest

from benchmarks import __main__ as command
from benchmarks.rig.refusal import MeasurementRefused


@pytest.fixture
def benchmark(monkeypatch):
    """A benchmark that measures what it is told."""
    results = []

    def run(options: argparse.Namespace) -> dict[str, object]:
        found = results.pop(0)
        if isinstance(found, BaseException):
            raise found
        if callable(found):
            found()
        return {"seconds": options.seconds, "rows": [{"what": "x", "spent_ms": found}]}

    stand_in = ModuleType("benchmarks.stand_in", "Stands in.\n\nMeasures what it is told.")
    stand_in.add_options = lambda parser: None
    stand_in.run = run
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setitem(command.BENCHMARKS, "stand_in", "nothing real")
    return results


def test_without_a_name_all_are_listed(capsys):
    assert command.main([]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert listed == {*command.BENCHMARKS, *command.TOOLS}


def test_every_benchmark_takes_the_common_options(capsys):
    for name in command.BENCHMARKS:
        with pytest.raises(SystemExit) as ended:
            command.main([name, "--help"])
        assert ended.value.code == 0
        told = capsys.readouterr().out
        assert all(option in told for option in ("--json", "--seconds", "--repeat"))


@pytest.mark.parametrize("name", sorted(command.BENCHMARKS))
def test_every_benchmark_says_how_it_measures(name):
    method = command.method_of(importlib.import_module(f"benchmarks.{name}"))
    assert len(method.split()) >= 10


def test_repeats_are_measured_and_written_with_the_machine(benchmark, tmp_path, capsys):
    benchmark += [3.0, 1.0, 2.0]
    target = tmp_path / "out.json"
    arguments = ["stand_in", "--repeat", "3", "--seconds", "4", "--json", str(target)]
    assert command.main(arguments) == 0
    written = json.loads(target.read_text())
    assert written["benchmark"] == "stand_in"
    assert written["rows"] == [{"what": "x", "spent_ms": 2.0}]
    assert len(written["repeats"]) == 3
    assert written["seconds"] == 4.0
    assert "cores" in written["machine"]
    for repeat in written["repeats"]:
        assert set(repeat["pace"]) == {"before_us", "after_us"}
    assert "cores" in capsys.readouterr().out


def test_a_refused_measurement_writes_nothing_and_says_why(benchmark, tmp_path, capsys):
    benchmark.append(MeasurementRefused("the clock ticks too coarsely"))
    target = tmp_path / "out.json"
    assert command.main(["stand_in", "--json", str(target)]) == 1
    assert "ticks too coarsely" in capsys.readouterr().err
    assert not target.exists()


def test_a_broken_promise_in_one_of_the_repeats_is_an_exit_status():
    kept, broken = {"broken": []}, {"broken": ["memory grows"]}
    assert command.broken_of({"rows": []}) == command.broken_of(kept) == []
    assert command.broken_of(broken) == ["memory grows"]
    assert command.broken_of({**kept, "repeats": [kept, broken]}) == ["memory grows"]


def a_browser_that_ended_first():
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    raise ConnectionError("the browser has gone")


@pytest.mark.parametrize(
    "failed_by", [partial(signal.raise_signal, signal.SIGINT), a_browser_that_ended_first]
)
def test_an_interrupted_measurement_ends_without_a_traceback(
    benchmark, tmp_path, capsys, failed_by
):
    benchmark += [1.0, failed_by]
    target = tmp_path / "out.json"
    assert command.main(["stand_in", "--repeat", "2", "--json", str(target)]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not target.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_fault_of_ours_is_no_interruption(benchmark):
    benchmark.append(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        command.main(["stand_in"])


@pytest.mark.parametrize("repeat", ["0", "-1", "x"])
def test_nothing_is_measured_less_than_once(benchmark, repeat):
    with pytest.raises(SystemExit):
        command.main(["stand_in", "--repeat", repeat])
