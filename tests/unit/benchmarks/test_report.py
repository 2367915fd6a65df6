import copy
import json
import random
import re
from html.parser import HTMLParser

import pytest

from benchmarks import report
from benchmarks.reporting import canvas
from benchmarks.reporting.page import page
from benchmarks.reporting.reading import NUMBER_MAX, Source
from benchmarks.reporting.sections import KINDS
from tests.unit.benchmarks import report_samples as samples

ONLY_STYLE = "default-src 'none'; style-src 'unsafe-inline'"
JUNK: tuple[object, ...] = (
    *(None, True, "", "<script>alert(1)</script>", [], {}, [[]], [{}], {"p50": None}, -1, 0, 1e300),
    *(float("nan"), float("inf"), 10**400, 1e-300, "x" * 5000, "\udc00", [1, "2", None]),
)


class _Strict(HTMLParser):
    """Fails on tags that are not closed."""

    void = frozenset({"meta", "br"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def drawn(*results):
    return page([Source(f"file{i}", result) for i, result in enumerate(results)])


def parse(text):
    parser = _Strict()
    parser.feed(text)
    assert parser.open == []
    return parser.seen


def section_of(text, anchor):
    return text.partition(f'<section id="{anchor}">')[2].partition("</section>")[0]


def plots_of(text, anchor):
    return re.findall(r"<figcaption>(.*?)</figcaption>", section_of(text, anchor))


def check_harmless(text):
    """Fail on what a page must not hold, whatever stands in the files."""
    seen = parse(text)
    assert not re.search(r"https?:|url\(|@import", text)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in seen}
    assert not any(name.startswith("on") or name == "src" for _, a in seen for name in a)
    assert all(attrs.get("href", "#").startswith("#") for _, attrs in seen)
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": ONLY_STYLE}) in seen
    coordinates = re.findall(r' (?:x|y|x1|x2|y1|y2|cx|cy|width|height|points)="([^"]*)"', text)
    assert not [found for found in coordinates if re.search("nan|inf|e", found)]


@pytest.fixture(scope="module")
def whole():
    return drawn(*samples.ALL)


def test_every_benchmark_has_one_section_whatever_files_there_are(whole):
    anchors = re.findall(r'<section id="([^"]*)"', whole)
    assert anchors == ["summary", *KINDS, "files"]
    links = re.findall(r"<nav>(.*?)</nav>", whole)[0]
    assert re.findall(r'href="#([^"]*)"', links) == anchors


def test_the_page_asks_for_nothing_and_holds_no_script(whole):
    check_harmless(whole)


def test_every_plot_is_drawn(whole):
    count = {anchor: len(plots_of(whole, anchor)) for anchor in KINDS}
    assert count == {
        **{"suite": 0, "glass": 3 + 6 + 1, "stages": 1 + 1 + 1 + 1, "join": 1 + 1 + 1, "rush": 1},
        **{"fanout": 4 + 4, "narrow": 1, "stalled": 1, "network": 2 + 2 + 2, "filtered": 1},
        **{"filters": 2, "interruptions": 1, "watch": 0, "viewers": 0, "soak": 2, "tracing": 1},
        "trial": 0,
    }
    assert "Nothing was measured" not in whole


def test_a_table_scrolls_by_itself_instead_of_being_cut_off(whole):
    assert whole.count("<table") == whole.count('<div class="wide"><table')


def test_the_summary_tells_what_came_out_and_which_limits_were_missed(whole):
    top = re.sub("<[^>]*>", " ", section_of(whole, "summary"))
    for told in (
        "Glass to glass, filter off, VP8 720p",
        "p50 of 3 runs 25.0 to 28.0 ms",
        "at most 90 ms",
        "Knee of the fan-out   400 viewers",
        "From a datagram in until the last of 50 viewers   1.30 ms",
        "refused by their own checks",
    ):
        assert re.sub(r"\s+", " ", told) in re.sub(r"\s+", " ", top.replace("&#x27;", "'"))
    missed = top.partition("Missed:")[2].partition("\n")[0]
    for name in (
        "filter natural",
        "Growth in a minute, memory",
        "Keyframe requests",
        "total",
        "last of 50",
    ):
        assert name in missed
    assert "filter off" not in missed.partition("measurements")[0]


def test_only_limits_that_a_file_states_are_told():
    bare = {key: value for key, value in samples.GLASS.items() if key != "limits"}
    assert "at most" not in section_of(drawn(bare), "summary")
    assert "limit" not in section_of(drawn(bare), "summary").partition("<table")[0]


def test_files_of_one_benchmark_are_told_apart_where_they_hold_the_same():
    text = drawn(samples.GLASS, samples.GLASS)
    assert "off VP8 720p (file1)" in text
    assert len(re.findall('<section id="glass"', text)) == 1


def test_curves_of_one_plot_have_different_colours(whole):
    for plot in re.findall("<figure>.*?</figure>", whole):
        lines = re.findall(r'<polyline .*?stroke="(.*?)".*?stroke-dasharray="(.*?)"', plot)
        assert len(set(lines)) == len(lines)
        assert len({colour for colour, _ in lines}) == len(lines) or len(lines) > 7


def test_the_knee_is_marked_where_a_row_was_refused_or_the_core_is_full(whole):
    assert section_of(whole, "fanout").count("knee: 400 viewers") == 4
    assert section_of(whole, "fanout").count("knee: 1,000 viewers") == 4
    assert "The knee is at 1,000 viewers: the server&#x27;s core is 97 % busy" in whole


def test_without_a_knee_the_page_says_how_far_was_measured():
    runs = {**samples.FANOUT, "runs": samples.FANOUT["runs"][:2]}
    text = drawn(runs)
    assert "No knee up to 100 viewers" in text
    assert "knee: " not in text


def test_reasons_that_differ_in_figures_only_are_told_once(whole):
    told = section_of(whole, "glass")
    assert "12 to 21 % of the pictures never reached the screen:</b> glam VP8 720p, soft" in told
    assert "(&lt;i&gt;)" in told.partition("<details>")[2]


def test_a_slope_is_not_drawn_from_zero(whole):
    memory = re.findall(r"<figure><figcaption>Memory, .*?</figure>", whole)[0]
    ticks = re.findall(r'text-anchor="end" fill="[^"]*">([\d.]+)<', memory)
    assert float(ticks[0]) > 100


def test_what_a_row_lacks_has_no_column():
    text = drawn(samples.result("trial", runs=[{"times": 10, "quiet": 10}]))
    assert "quiet about equal runs" in text
    assert "found the slower one" not in text


def test_an_unknown_benchmark_is_shown_as_tables():
    text = drawn({"benchmark": '"><x', "machine": {}, "rows": [{"a": 1, "b_ms": 2.5}]})
    assert "<td>2.50</td>" in text
    assert "b (ms)" in text
    parse(text)


def test_what_comes_from_files_is_text_and_nothing_else(whole):
    assert "<b>odd" not in whole
    assert "&lt;too&gt; busy" in whole


def places(value, path=()):
    """Every place in nested dictionaries and lists."""
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def replaced(value, path, junk):
    changed = copy.deepcopy(value)
    if not path:
        return changed
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if junk is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = junk
    return changed


ONCE = [sample for sample in samples.ALL if sample is not samples.MATRIX]


@pytest.mark.parametrize("sample", ONCE, ids=lambda sample: sample["benchmark"])
def test_whatever_a_file_holds_there_is_a_page(sample):
    chance = random.Random(1)
    found = [path for path in places(sample) if path and path[0] != "benchmark"]
    for path in chance.sample(found, min(40, len(found))):
        for junk in (..., *chance.sample(JUNK, 4)):
            check_harmless(drawn(replaced(sample, path, junk)))


@pytest.mark.parametrize("junk", JUNK, ids=repr)
@pytest.mark.parametrize("name", [*KINDS, "unknown"])
def test_a_file_of_nothing_but_junk_gives_a_page(name, junk):
    keys = ("runs", "rows", "grid", "plants", "crowd", "vs", "samples", "timings", "quality")
    more = ("rooms", "phases", "joins_ms", "at_once", "slopes", "limits", "repeats", "machine")
    check_harmless(drawn({"benchmark": name, **dict.fromkeys((*keys, *more), junk)}))


@pytest.mark.parametrize("benchmark", [None, 7, "", [], {"a": 1}])
def test_a_benchmark_without_a_name_has_a_section(benchmark):
    assert "<h2>" in drawn({"benchmark": benchmark, "rows": [{"a": 1}]})


def test_where_everything_was_refused_the_page_says_so():
    rows = [{**samples.glass_row("off"), "refused": "late"} for _ in range(3)]
    text = drawn(samples.result("glass", runs=rows))
    assert "3 measurements refused" in section_of(text, "summary")
    check_harmless(text)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (17.2, 431.0), (-3, 5), (0, 0), (1e-4, 2e-4), (7, 7), (-NUMBER_MAX, NUMBER_MAX)],
)
def test_ticks_are_few_rising_and_enclose_what_is_drawn(low, high):
    found = canvas.ticks(low, high)
    assert found == sorted(set(found))
    assert found[0] <= low
    assert found[-1] >= high
    assert 3 <= len(found) <= 12


def test_the_command_writes_the_page(tmp_path, capsys):
    files = [tmp_path / "a" / "x.json", tmp_path / "b" / "x.json"]
    for file in files:
        file.parent.mkdir()
        file.write_text(json.dumps({"benchmark": "glass", "runs": [samples.glass_row("\ud800")]}))
    out = tmp_path / "out.html"
    assert report.main([*map(str, files), "--html", str(out)]) == 0
    assert "b/x" in out.read_text(encoding="utf-8")
    assert str(out) in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 100_000, None])
def test_a_file_that_is_no_result_is_refused(tmp_path, content, capsys):
    file = tmp_path / "x.json"
    if content is not None:
        file.write_bytes(content)
    assert report.main([str(file), "--html", str(tmp_path / "out.html")]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_the_screenshot_is_taken_of_the_page_that_was_written(tmp_path, monkeypatch):
    file = tmp_path / "x.json"
    file.write_text(json.dumps(samples.GLASS))
    taken = []
    monkeypatch.setattr(report, "take_screenshot", lambda *about: taken.append(about))
    out, png = tmp_path / "out.html", tmp_path / "out.png"
    arguments = [str(file), "--html", str(out), "--screenshot", str(png), "--width", "390"]
    assert report.main(arguments) == 0
    assert taken == [(out, png, 390)]
