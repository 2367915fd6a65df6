import pytest

from benchmarks.soak import ALLOWED_PER_MINUTE, slope, slopes_of


def test_a_line_has_its_slope_and_one_outlier_does_not_bend_it():
    points = [(n / 60, 100 + 3 * n / 60) for n in range(60)]
    points[30] = (0.5, 10_000.0)
    assert slope(points) == pytest.approx(3.0)


def test_many_points_are_thinned_and_say_the_same():
    assert slope([(float(n), 2.0 * n) for n in range(5000)]) == pytest.approx(2.0)


def test_what_grows_is_told_and_what_fills_at_the_beginning_is_not():
    leak = [(n / 60, 1000.0 + 20 * n) for n in range(80)]
    cache = [(n / 60, float(min(n, 10))) for n in range(80)]
    flat = [(n / 60, 7.0) for n in range(80)]
    samples = {"rss_kib": leak, "descriptors": cache, "threads": flat, "tasks": flat}
    assert set(samples) == set(ALLOWED_PER_MINUTE)
    kept = {row["what"]: row["kept"] for row in slopes_of(samples)}
    assert kept == {"rss_kib": False, "descriptors": True, "threads": True, "tasks": True}
