import json
import random

import pytest

from benchmarks.compare import CannotCompare, compare, figures_of, machine_slowdown, main, noise


def result(chance, slower=1.0, scatter=0.02, repeats=5, benchmark="glass"):
    def row(size):
        return {
            "path": "chromium",
            "size": size,
            "fps": 30.0,
            "glass_ms": {
                "p50": 50 * slower * chance.gauss(1, scatter),
                "p95": 80 * slower * chance.gauss(1, scatter),
            },
        }

    return {
        "benchmark": benchmark,
        "repeats": [{"runs": [row("720p"), row("1080p")]} for _ in range(repeats)],
    }


def test_runs_of_one_commit_are_quiet_ten_times_out_of_ten():
    chance = random.Random(1)
    for _ in range(10):
        assert not any(c.is_slower for c in compare(result(chance), result(chance)))


def test_a_slowdown_of_a_fifth_is_flagged_ten_times_out_of_ten():
    chance = random.Random(2)
    for _ in range(10):
        changes = compare(result(chance), result(chance, slower=1.2))
        assert all(change.is_slower for change in changes)
        assert len(changes) == 4


def test_what_got_faster_is_not_slower():
    chance = random.Random(3)
    changes = compare(result(chance), result(chance, slower=0.7))
    assert all(change.is_faster and not change.is_slower for change in changes)


def test_what_scatters_wildly_is_not_flagged():
    chance = random.Random(4)
    noisy = [result(chance, scatter=0.4), result(chance, slower=1.2, scatter=0.4)]
    assert not any(change.is_slower for change in compare(*noisy))


def test_rows_are_told_apart_by_their_labels_and_frame_rates_are_no_costs():
    names = figures_of(result(random.Random(5)))
    assert len(names) == 4
    assert all("glass_ms" in name for name in names)


def test_too_few_repeats_and_other_benchmarks_are_refused():
    chance = random.Random(6)
    with pytest.raises(CannotCompare, match="--repeat"):
        compare(result(chance, repeats=2), result(chance))
    with pytest.raises(CannotCompare, match="is not"):
        compare(result(chance), result(chance, benchmark="fanout"))


@pytest.mark.parametrize(
    ("repeats", "error", "known"),
    [
        # Quantiles of Student's distribution with 2, 4 and 8 degrees of freedom, from its tables.
        ([9.0, 11.0], 0.025, 4.303 * 2**0.5 / 10),
        ([9.0, 10.0, 11.0], 0.025, 2.776 * (2 / 3) ** 0.5 / 10),
        ([8.0, 9.0, 10.0, 11.0, 12.0], 0.005, 3.355 * 1.0 / 10),
    ],
)
def test_the_noise_is_what_students_tables_allow(repeats, error, known):
    assert noise(repeats, repeats, error) == pytest.approx(known, rel=0.001)


def test_the_exit_status_says_what_was_found(tmp_path):
    chance = random.Random(7)
    paths = [tmp_path / name for name in ("a.json", "b.json", "c.json", "broken.json", "list.json")]
    for path, slower in zip(paths, (1.0, 1.0, 1.2), strict=False):
        path.write_text(json.dumps(result(chance, slower)))
    paths[3].write_text("no json")
    paths[4].write_text("[1, 2]")
    assert main([str(paths[0]), str(paths[1])]) == 0
    assert main([str(paths[0]), str(paths[2])]) == 1
    assert main([str(paths[0]), str(paths[3])]) == 2
    assert main([str(paths[0]), str(paths[4])]) == 2


def paced(chance, machine=1.0, work=1.0, when="during_us", repeats=5):
    """CPU time and a delay on a machine that is so much slower than another."""

    def repeat():
        now = machine * chance.uniform(0.95, 1.05)
        cpu_us = 40 * work * now * chance.gauss(1, 0.01)
        return {
            "pace": {when: 0.5 * now},
            "runs": [{"cpu_us_per_packet": cpu_us, "delay_ms": 10 * now * chance.gauss(1, 0.01)}],
        }

    return {"benchmark": "tracing", "repeats": [repeat() for _ in range(repeats)]}


def verdicts(before, after):
    return {
        c.name.split()[-1]: "slower" if c.is_slower else "unsure" if c.is_unsure else "quiet"
        for c in compare(before, after)
    }


def test_cpu_time_is_judged_relative_to_the_machines_pace_in_its_own_rounds():
    chance = random.Random(8)
    for machine in (0.7, 1.0, 1.9):
        before = paced(chance)
        same, more = (paced(chance, machine, work) for work in (1.0, 1.2))
        assert verdicts(before, same)["cpu_us_per_packet"] == "quiet"
        assert verdicts(before, more)["cpu_us_per_packet"] == "slower"


def test_a_delay_that_grew_no_more_than_the_machine_slowed_down_is_unsure():
    chance = random.Random(9)
    assert verdicts(paced(chance), paced(chance, 1.5))["delay_ms"] == "unsure"
    assert verdicts(paced(chance), paced(chance))["delay_ms"] == "quiet"


def test_what_grew_more_than_the_machine_slowed_down_is_slower():
    chance = random.Random(10)
    before, after = paced(chance), paced(chance, 1.5)
    for repeat in after["repeats"]:
        repeat["pace"]["during_us"] /= 1.5
    assert verdicts(before, after) == {"cpu_us_per_packet": "slower", "delay_ms": "slower"}


def test_a_pace_of_before_and_after_says_nothing_about_the_figure_between():
    chance = random.Random(11)
    before, after = (paced(chance, machine, when="before_us") for machine in (1.0, 1.6))
    assert verdicts(before, after) == {"cpu_us_per_packet": "unsure", "delay_ms": "unsure"}
    assert machine_slowdown(before, after) == pytest.approx(0.6, abs=0.2)


def test_files_without_a_pace_are_compared_as_they_are():
    chance = random.Random(12)
    before, after = paced(chance), paced(chance, 1.6)
    for repeat in before["repeats"]:
        del repeat["pace"]
    assert machine_slowdown(before, after) == 0.0
    assert set(verdicts(before, after).values()) == {"slower"}


def test_what_the_files_cannot_tell_is_neither_quiet_nor_a_finding(tmp_path, capsys):
    chance = random.Random(13)
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for path, machine in zip(paths, (1.0, 1.5), strict=True):
        path.write_text(json.dumps(paced(chance, machine)))
    assert main([str(path) for path in paths]) == 2
    told = capsys.readouterr().out
    assert "unsure" in told
    assert "slower in B: measure again" in told


def test_another_machine_is_named(tmp_path, capsys):
    chance = random.Random(14)
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for path, python in zip(paths, ("Python 3.11.7", "Python 3.12.1"), strict=True):
        path.write_text(json.dumps({**paced(chance), "machine": {"cpu": "X", "python": python}}))
    main([str(path) for path in paths])
    told = capsys.readouterr().out
    assert "python was Python 3.11.7 in A and is Python 3.12.1 in B" in told
    assert "cpu" not in told.partition("another machine")[2]
