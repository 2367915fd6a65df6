import random

import pytest

from benchmarks.soak import PER_JOIN, PER_MINUTE, slope, slopes_of, stretches

JOINS_PER_MINUTE = 100.0


def verdicts(**samples):
    return {row["what"]: row["verdict"] for row in slopes_of(samples, JOINS_PER_MINUTE)}


def line(per_minute, *, count=120, seconds=120.0, scatter=0.0, chance=None):
    chance = chance or random.Random(1)
    times = [seconds / 60 * n / count for n in range(count)]
    return [(at, 1000 + per_minute * at + chance.gauss(0, scatter)) for at in times]


def test_a_line_has_its_slope_and_one_outlier_does_not_bend_it():
    points = line(3.0)
    points[60] = (1.0, 10_000.0)
    assert slope(points)[0] == pytest.approx(3.0)


def test_the_slope_lies_within_its_interval_and_that_narrows_with_less_scatter():
    wide, narrow = (slope(line(3.0, scatter=scatter)) for scatter in (5.0, 1.0))
    for found, low, high in (wide, narrow):
        assert low <= found <= high
    assert narrow[2] - narrow[1] < wide[2] - wide[1]


def test_stretches_are_medians_without_the_beginning():
    points = [(float(n), 0.0 if n % 6 else 99.0) for n in range(120)]
    found = stretches(points)
    assert len(found) == 15
    assert {value for _, value in found} == {0.0}
    assert found[0][0] == 32.5


def test_what_grows_is_told_and_what_fills_at_the_beginning_is_not():
    leak, flat = line(1200.0), [(n / 60, 7.0) for n in range(80)]
    cache = [(n / 60, float(min(n, 10))) for n in range(80)]
    found = verdicts(rss_kib=leak, descriptors=cache, threads=flat, tasks=flat)
    assert set(found) == set(PER_MINUTE)
    assert found.pop("rss_kib") == "GROWS"
    assert set(found.values()) == {"kept"}


@pytest.mark.parametrize(("name", "per_join"), PER_JOIN.items())
def test_what_a_viewer_leaves_behind_is_judged_by_joins(name, per_join):
    allowed = per_join * JOINS_PER_MINUTE
    assert verdicts(**{name: line(2 * allowed, count=20, scatter=allowed / 10)}) == {name: "GROWS"}
    assert verdicts(**{name: line(0.2 * allowed, count=20, scatter=allowed / 10)}) == {name: "kept"}


def test_a_run_that_is_too_short_to_tell_says_so():
    found = slopes_of({"heap_kib": line(50.0, count=20, scatter=200.0)}, JOINS_PER_MINUTE)
    assert found[0]["verdict"].startswith("unsure")
    assert not found[0]["kept"]
