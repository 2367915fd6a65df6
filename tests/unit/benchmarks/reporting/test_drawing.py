import pytest

from benchmarks.reporting import bars, plots, words
from benchmarks.reporting.reading import Entry
from benchmarks.reporting.tables import Column, refusals, table


def test_headings_say_the_unit_and_no_underscore():
    assert words.heading("glass_ms p50") == "glass p50 (ms)"
    assert words.heading("cpu_us_per_packet") == "CPU time (µs a packet)"
    assert words.heading("target_bps") == "target (b/s)"
    assert words.heading("viewers_per_core") == "viewers per core"


@pytest.mark.parametrize(
    ("value", "said"),
    [(3, "3"), (3.0, "3.00"), (0.0, "0"), (12.34, "12.3"), (1234.5, "1,234"), (0.01234, "0.012")],
)
def test_a_measured_value_has_the_digits_that_it_deserves(value, said):
    assert words.figure(value) == said


def test_shares_are_told_in_percent():
    assert words.percent(0.4631) == "46.3 %"
    assert words.signed_percent(-0.0484) == f"{words.MINUS}4.84 %"


def test_plots_of_nothing_say_so():
    assert "Nothing" in bars.waterfall("x", {}, "ms")
    assert "Nothing" in bars.stacked("x", {}, "ms", [])
    assert "Nothing" in bars.ranges("x", [], "ms")
    assert "Nothing" in plots.heat_map("x", {}, [], [])
    assert "Nothing" in plots.line_plot("x", {"a": []}, "s", "ms")


def test_an_owner_has_one_colour_whoever_else_is_there():
    owners = ("host", "server", "viewer")
    whole = bars.waterfall("x", {"a": 1, "b": 1}, "ms", {"a": "host", "b": "viewer"}, owners)
    alone = bars.waterfall("x", {"b": 1}, "ms", {"b": "viewer"}, owners)
    third = bars.canvas.colour(2)
    assert third in whole
    assert third in alone


def test_a_long_table_says_how_much_it_left_out():
    drawn = table([{"a": n} for n in range(1000)], [Column("a", "a")])
    assert drawn.count("<tr>") == 201
    assert "800 more rows" in drawn


def test_many_rows_refused_for_one_reason_take_one_line():
    entries = [Entry(f"row {n}", {"refused": f"{n}.5 % lost (x)"}, [], "f") for n in range(20)]
    short = refusals(entries).partition("<details>")[0]
    assert "0.5 to 19.5 % lost:" in short
    assert "and 14 more" in short
