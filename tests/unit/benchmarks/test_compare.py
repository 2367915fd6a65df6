import json
import random

import pytest

from benchmarks.compare import CannotCompare, compare, figures_of, main, noise


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
    paths = [tmp_path / name for name in ("a.json", "b.json", "c.json", "broken.json")]
    for path, slower in zip(paths, (1.0, 1.0, 1.2), strict=False):
        path.write_text(json.dumps(result(chance, slower)))
    paths[3].write_text("no json")
    assert main([str(paths[0]), str(paths[1])]) == 0
    assert main([str(paths[0]), str(paths[2])]) == 1
    assert main([str(paths[0]), str(paths[3])]) == 2
