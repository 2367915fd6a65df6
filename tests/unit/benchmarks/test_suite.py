import json
import sys

import psutil
import pytest

from benchmarks import __main__ as command_line
from benchmarks import suite
from benchmarks.suite_steps import SUITE, Step

WRITES = "import json, sys; json.dump({'benchmark': NAME, 'runs': []}, open(sys.argv[1], 'w'))"


def fake(scripts):
    """What is run instead of a benchmark: a little script for each name."""

    def command(step, file):
        script = scripts.get(step.name, WRITES).replace("NAME", repr(step.benchmark))
        return [sys.executable, "-c", script, str(file)]

    return command


def steps(*names):
    return [Step(name, name, (), 0.1) for name in names]


@pytest.fixture
def into(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def run(into):
    """Runs steps; returns the exit status, the outcomes by name and what was told."""

    def go(wanted, scripts=None, *, tell=None, **options):
        told = []
        one = suite.Suite(
            wanted,
            into,
            fake(scripts or {}),
            tell=tell or told.append,
            **options,
        )
        status = one.run()
        return status, {each.name: each for each in one.outcomes}, told

    return go


def page(into):
    return (into / "report.html").read_text()


def recorded(into):
    found = json.loads((into / "suite.json").read_text())["outcomes"]
    return {row["name"]: row["outcome"] for row in found}


def test_all_run_in_their_order_and_end_on_one_page(run, into):
    status, outcomes, told = run(steps("rush", "glass", "soak"))
    assert status == 0
    assert list(outcomes) == ["rush", "glass", "soak"]
    assert {each.outcome for each in outcomes.values()} == {"measured"}
    assert [line.split()[1] for line in told if line.startswith("\n[")] == [
        "rush:",
        "glass:",
        "soak:",
    ]
    assert all(f'<section id="{name}">' in page(into) for name in outcomes)
    assert "3 of 3" in page(into)


def test_what_fails_or_is_refused_is_told_and_the_next_one_runs(run, into):
    scripts = {
        "rush": "import sys; sys.exit('refused: the <load> was busy')",
        "glass": "raise OSError('no browser')",
        "stalled": "pass",
    }
    status, outcomes, _ = run(steps("rush", "glass", "stalled", "soak"), scripts)
    assert status == 1
    assert (outcomes["rush"].outcome, outcomes["rush"].why) == ("refused", "the <load> was busy")
    assert (outcomes["glass"].outcome, outcomes["glass"].why) == ("failed", "OSError: no browser")
    assert (outcomes["stalled"].outcome, outcomes["stalled"].why) == ("failed", "exit status 0")
    assert outcomes["soak"].outcome == "measured"
    assert "the &lt;load&gt; was busy" in page(into)
    assert "1 of 4" in page(into)
    assert "Traceback" in (into / "glass.log").read_text()


def test_a_failure_leaves_no_figures_of_an_earlier_run(run, into):
    run(steps("rush"))
    run(steps("rush"), {"rush": "raise OSError"}, again=True)
    assert not (into / "rush.json").exists()
    assert recorded(into) == {"rush": "failed"}


SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def test_ctrl_c_ends_the_benchmark_and_writes_what_is_there(run, into):
    pids = []

    def interrupt(line):
        if line.strip().isdigit():
            pids.append(int(line))
            raise KeyboardInterrupt

    status, outcomes, _ = run(steps("rush", "glass", "soak"), {"glass": SLEEPS}, tell=interrupt)
    assert status == 130
    assert not psutil.pid_exists(pids[0])
    assert list(outcomes) == ["rush", "glass"]
    assert recorded(into) == {"rush": "measured", "glass": "interrupted", "soak": "not run"}
    assert '<section id="rush">' in page(into)
    assert '<section id="soak">' not in page(into)


def test_a_suite_goes_on_where_it_was_interrupted(run, into):
    run(steps("rush", "glass"), {"glass": "raise OSError"})
    status, outcomes, _ = run(steps("rush", "glass"), {"rush": "raise OSError"})
    assert status == 0
    assert "earlier" in outcomes["rush"].why
    assert outcomes["glass"].why == ""


def test_again_measures_anew(run):
    run(steps("rush"))
    _, outcomes, _ = run(steps("rush"), again=True)
    assert outcomes["rush"].why == ""


def test_what_was_measured_with_other_options_is_measured_anew(run):
    run([Step("rush", "rush", ("--viewers", "5"), 0.1)])
    _, outcomes, _ = run(steps("rush"))
    assert outcomes["rush"].why == ""


@pytest.mark.parametrize("left", ["", "[]", "{", "{}"])
def test_what_is_no_result_is_measured_anew(run, into, left):
    into.mkdir()
    (into / "rush.json").write_text(left)
    (into / "suite.json").write_text(left)
    status, outcomes, _ = run(steps("rush"))
    assert (status, outcomes["rush"].why) == (0, "")


def test_the_page_also_holds_what_another_run_left(run, into):
    run(steps("rush", "glass"))
    run(steps("rush"), again=True)
    assert '<section id="glass">' in page(into)
    assert recorded(into) == {"rush": "measured", "glass": "measured"}


def test_what_lacks_a_clip_is_told_and_is_no_failure(run, into):
    status, outcomes, _ = run([Step("filtered", "filtered", (), 1, "it needs --clip")])
    assert (status, outcomes["filtered"].outcome) == (0, "not run")
    assert "it needs --clip" in page(into)


def test_what_hangs_is_ended(run, monkeypatch):
    monkeypatch.setattr(suite, "_patience_s", lambda minutes: 0.2)
    status, outcomes, _ = run(steps("rush", "soak"), {"rush": SLEEPS})
    assert (status, outcomes["rush"].outcome) == (1, "failed")
    assert "did not end in time" in outcomes["rush"].why


def test_every_step_has_options_that_its_benchmark_knows(tmp_path):
    clip = tmp_path / "clip.mp4"
    every = [step for quick in (False, True) for step in suite.chosen(clip, None, quick=quick)]
    for step in every:
        command = suite._own_process(step, tmp_path / "x.json")
        arguments = command[command.index("benchmarks") + 1 :]
        options = command_line._parser(arguments).parse_args(arguments)
        assert options.json == tmp_path / "x.json"


def test_names_are_unique_and_a_quick_look_takes_minutes():
    names = [item.name for item in SUITE]
    assert len(set(names)) == len(names)
    quick = suite.chosen(None, None, quick=True)
    assert sum(step.minutes for step in quick) < 20
    assert all(step.minutes > 0 for step in quick)


def test_only_some_are_chosen_by_benchmark_or_file(tmp_path):
    def names(only):
        return [step.name for step in suite.chosen(None, only, quick=False)]

    assert names({"glass"}) == ["glass", "glass-matrix", "glass-paths"]
    assert names({"network-grid", "rush"}) == ["rush", "network-grid"]


def test_the_clip_goes_to_those_who_take_one(tmp_path):
    clip = tmp_path / "a face.mp4"
    found = {step.name: step for step in suite.chosen(clip, None, quick=True)}
    assert found["glass"].arguments[-2:] == ("--clip", str(clip))
    assert "--clip" not in found["rush"].arguments
    assert found["glass"].command.endswith("--clip 'a face.mp4'")  # no path of this machine
    assert [s.name for s in suite.chosen(None, None, quick=True) if s.lacks] == ["filtered"]


@pytest.mark.parametrize(
    "arguments",
    [["--only", "nothing"], ["--clip", "/nowhere.mp4"], ["--quick", "--only", "network-grid"], []],
)
def test_a_wrong_command_line_is_refused(tmp_path, arguments):
    into = ["--into", str(tmp_path / "x")] if arguments else []
    with pytest.raises(SystemExit) as ended:
        suite.main([*into, *arguments])
    assert ended.value.code == 2
    assert not (tmp_path / "x").exists()


def test_the_command_says_beforehand_how_long_it_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(suite.Suite, "run", lambda self: 0)
    assert suite.main(["--into", str(tmp_path), "--quick", "--only", "rush,tracing"]) == 0
    told = capsys.readouterr().out
    assert "2 steps, about 1 minute;" in told
    assert "rush" in told
