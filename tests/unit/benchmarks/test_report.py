import re
from html.parser import HTMLParser

import pytest

from benchmarks.plots import heat_map, ticks, waterfall
from benchmarks.report import page
from benchmarks.report_tables import heading

ONLY_STYLE = "default-src 'none'; style-src 'unsafe-inline'"

MACHINE = {"cpu": "<b>odd</b> & fast", "cores": 2, "load_average": 0.1, "packages": {"av": "1"}}
GLASS = {
    "benchmark": "glass",
    "machine": MACHINE,
    "method": "time code",
    "runs": [
        {"path": "direct", "preset": "off", "glass_ms": {"p50": 40.0}, "samples_ms": [39.0, 41.0]},
        {
            "path": "chromium",
            "preset": "off",
            "glass_ms": {"p50": 50.0},
            "samples_ms": [49.0, 51.0],
        },
        {"path": "chromium", "preset": "glam", "refused": "<too> late"},
    ],
}
STAGES = {
    "benchmark": "stages",
    "machine": MACHINE,
    "runs": [
        {
            "preset": "off",
            "waterfall": {"host": 17.0, "network": -0.2, "viewer paint": 9.0},
            "stages": {"host": {"mean": 17.0, "p50": 17.0}},
            "sum_of_medians_ms": 26.0,
            "apart_traced": 0.01,
            "glass_traced_ms": 26.3,
            "glass_untraced_ms": 26.1,
        }
    ],
    "plants": [{"stage": "unprotect", "in_stage_ms": 20.1}],
}
FANOUT = {
    "benchmark": "fanout",
    "machine": MACHINE,
    "runs": [
        {"server": "mediasrv", "viewers": n, "cpu_us_per_packet": 1 + n / 100} for n in (10, 100)
    ],
}
NETWORK = {
    "benchmark": "network",
    "machine": MACHINE,
    "grid": [
        {"loss": loss, "jitter": jitter, "rate": "none", "glass_p50_ms": 40.0, "freezes": 0.0}
        for loss in ("0 %", "5 %")
        for jitter in ("0 ms", "20 ms")
    ],
}


class _Strict(HTMLParser):
    """Fails on tags that are not closed."""

    void = frozenset({"meta", "br"})
    optional = frozenset({"html", "!doctype"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def parsed():
    text = page([GLASS, STAGES, FANOUT, NETWORK])
    parser = _Strict()
    parser.feed(text)
    assert parser.open == []
    return text, parser.seen


def test_every_plot_is_drawn(parsed):
    text, seen = parsed
    assert sum(tag == "svg" for tag, _ in seen) == 1 + 1 + 1 + 2
    assert "Nothing was measured" not in text
    assert not re.search(r'="[^"]*nan', text)


def test_the_page_asks_for_nothing_and_holds_no_script(parsed):
    text, seen = parsed
    assert not re.search(r"https?:|url\(|@import", text)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in seen}
    assert not any({"src", "onload"} & set(attrs) for _, attrs in seen)
    assert all(attrs.get("href", "#").startswith("#") for _, attrs in seen)
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": ONLY_STYLE}) in seen


def test_headings_say_the_unit_and_no_underscore():
    assert heading("glass_ms p50") == "glass p50 (ms)"
    assert heading("cpu_us_per_packet") == "cpu (µs a packet)"
    assert heading("target_bps") == "target (b/s)"
    assert heading("viewers_per_core") == "viewers per core"


def test_a_table_scrolls_by_itself_instead_of_being_cut_off(parsed):
    text, seen = parsed
    tables = sum(tag == "table" for tag, _ in seen)
    assert tables >= 4
    assert text.count('<div class="wide"><table>') == tables


def test_what_comes_from_files_is_text_and_nothing_else(parsed):
    text, _ = parsed
    assert "<b>odd" not in text
    assert "&lt;too&gt; late" in text


def test_an_unknown_benchmark_is_shown_as_tables():
    text = page([{"benchmark": "new", "machine": {}, "rows": [{"a": 1, "b_ms": 2.5}]}])
    assert "<td>2.5</td>" in text


@pytest.mark.parametrize(("low", "high"), [(0, 1), (17.2, 431.0), (-3, 5), (0, 0), (1e-4, 2e-4)])
def test_ticks_are_few_rising_and_enclose_what_is_drawn(low, high):
    found = ticks(low, high)
    assert found == sorted(set(found))
    assert found[0] <= low
    assert found[-1] >= high
    assert 3 <= len(found) <= 12


def test_plots_of_nothing_say_so():
    assert "Nothing" in waterfall({})
    assert "Nothing" in heat_map({}, [], [], "ms")
