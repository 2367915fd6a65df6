"""The modules without a page around them: each test imports one and asks it."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.unit.mediasrv.web.fake_server import FakeServer, running, told_statistics

pytestmark = pytest.mark.browser


class Modules:
    """Evaluates an expression with one module's names in reach."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def ask(self, module: str, expression: str, **arguments: Any) -> Any:
        module_ = f"await import('/static/js/{module}.js')"
        script = f"async (a) => {{ const m = {module_}; return {expression}; }}"
        return self.page.evaluate(script, arguments)


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Iterator[Modules]:
    with running(FakeServer()) as server:
        page = browser.new_page()
        page.goto(server.url + "/nowhere")  # any document of ours: its policy is the pages' own
        yield Modules(page)
        page.close()


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Sunny Otter", "sunny-otter"),
        ("  two   words_here", "two-words-here"),
        ("http://127.0.0.1:8080/watch/sunny-otter?x=1#y", "sunny-otter"),
        ("https://live.example/host/abc", "abc"),
        ("plain", "plain"),
    ],
)
def test_typed_and_pasted_names_become_names_of_rooms(modules, typed, name):
    assert modules.ask("rooms", "m.tidyName(a.typed)", typed=typed) == name


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("a", True),
        ("0", True),
        ("a" * 64, True),
        ("a-", True),
        ("", False),
        ("-a", False),
        ("a" * 65, False),
        ("A", False),
        ("ü", False),
        ("a b", False),
        ("a\n", False),
    ],
)
def test_the_page_and_the_protocol_agree_on_names(modules, name, valid):
    assert modules.ask("rooms", "m.isRoomName(a.name)", name=name) is valid
    assert (modules.ask("rooms", "m.explainName(a.name)", name=name) == "") is valid


def test_every_suggestion_is_a_valid_name(modules):
    expression = "Array.from({length: 500}, () => m.suggestName()).every(m.isRoomName)"
    assert modules.ask("rooms", expression)
    edges = "[m.suggestName(() => 0), m.suggestName(() => 0.999999)].every(m.isRoomName)"
    assert modules.ask("rooms", edges)


def test_the_backoff_doubles_from_half_a_second_to_five_with_jitter(modules):
    longest = modules.ask("signaling", "[0,1,2,3,4,50].map((n) => m.backoffMs(n, () => 1))")
    shortest = modules.ask("signaling", "[0,1,2,3,4,50].map((n) => m.backoffMs(n, () => 0))")
    assert longest == [500, 1000, 2000, 4000, 5000, 5000]
    assert shortest == [value / 2 for value in longest]


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("http://127.0.0.1:8080/host/a", "ws://127.0.0.1:8080/ws"),
        ("https://live.example/watch/a?b#c", "wss://live.example/ws"),
        ("http://[::1]:8080/", "ws://[::1]:8080/ws"),
    ],
)
def test_the_socket_is_beside_the_page(modules, base, address):
    assert modules.ask("signaling", "m.socketUrl(a.base)", base=base) == address


THROTTLE = """(() => {
  let now = 1000, timers = [], sent = [];
  const clock = {
    now: () => now,
    setTimeout: (act, delayMs) => { timers.push([now + delayMs, act]); return timers.length; },
  };
  const throttle = new m.Throttle((value) => sent.push([now - 1000, value]), 100, clock);
  for (const [atMs, value] of a.moves) {
    const until = 1000 + atMs;
    for (;;) {
      timers.sort((one, other) => one[0] - other[0]);
      if (!timers.length || timers[0][0] > until) break;
      const [dueMs, act] = timers.shift();
      now = dueMs;
      act();
    }
    now = until;
    if (value !== null) throttle.push(value);
  }
  return sent;
})()"""


def test_a_slider_sends_ten_times_a_second_and_never_loses_the_last_value(modules):
    moves = [[ms, ms] for ms in range(0, 1000, 7)] + [[2000, None]]
    sent = modules.ask("sliders", THROTTLE, moves=moves)
    assert sent[0] == [0, 0]
    assert sent[-1][1] == 994
    times = [at for at, _ in sent]
    assert all(later - earlier >= 100 for earlier, later in itertools.pairwise(times))
    assert len(sent) == 11


def test_a_single_move_is_sent_at_once_and_once(modules):
    assert modules.ask("sliders", THROTTLE, moves=[[0, 5], [500, None]]) == [[0, 5]]
    sent = modules.ask("sliders", THROTTLE, moves=[[0, 5], [400, 6], [900, None]])
    assert sent == [[0, 5], [400, 6]]


PARTS = {
    "refused": False,
    "socket": "joined",
    "room": "live",
    "hostMedia": "connected",
    "media": "playing",
}


@pytest.mark.parametrize(
    ("state", "change"),
    [
        ("live", {}),
        ("failed", {"refused": True, "socket": "lost"}),
        ("reconnecting", {"socket": "lost"}),
        ("reconnecting", {"socket": "lost", "room": "unknown", "media": "none"}),
        ("connecting", {"socket": "connecting", "room": "unknown", "media": "none"}),
        ("waiting", {"room": "waiting", "media": "none"}),
        ("ended", {"room": "ended", "media": "none"}),
        ("host-away", {"room": "away"}),
        ("host-away", {"hostMedia": "lost", "media": "stalled"}),
        ("live", {"hostMedia": "lost"}),
        ("connecting", {"media": "none"}),
        ("connecting", {"media": "connecting"}),
        ("reconnecting", {"media": "stalled"}),
        ("slow", {"media": "slow"}),
        ("host-away", {"hostMedia": "lost", "media": "slow"}),
        ("reconnecting", {"media": "lost"}),
    ],
)
def test_a_viewer_is_told_the_worst_of_what_is_wrong(modules, state, change):
    assert modules.ask("state", "m.watchState(a.parts)", parts=PARTS | change) == state
    assert modules.ask("state", "m.WATCH_STATES[a.state]", state=state)


@pytest.mark.parametrize(
    ("enabled", "state", "live", "shown", "words"),
    [
        (False, "off", True, "off", "Off."),
        (True, "off", False, "ready", "Ready."),
        (True, "starting", True, "starting", "Starting"),
        (True, "off", True, "starting", "Starting"),
        (True, "on", True, "on", "On."),
        (True, "recovering", True, "recovering", "last frame"),
        (True, "unavailable", True, "unavailable", "no model. Viewers see your last frame until"),
        (False, "unavailable", True, "unavailable", "Not available: no model."),
        (True, "unavailable", False, "unavailable", "Not available: no model."),
    ],
)
def test_the_filter_is_described_as_viewers_see_it(modules, enabled, state, live, shown, words):
    filter_ = {"state": state, "enabled": enabled, "params": {}, "reason": "no model"}
    described = modules.ask("state", "m.filterWords(a.filter, a.live)", filter=filter_, live=live)
    assert described["state"] == shown
    assert words in described["words"]
    assert ("last frame until" in described["words"]) == (
        state == "unavailable" and enabled and live
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00"), (-1, "0:00"), (59.9, "0:59"), (60, "1:00"), (3599, "59:59"), (3661, "1:01:01")],
)
def test_time_on_air_reads_like_a_clock(modules, seconds, words):
    assert modules.ask("dom", "m.clock(a.seconds)", seconds=seconds) == words


def test_unknown_refusals_are_told_in_the_servers_own_words(modules):
    error = {"code": "something_new", "message": "the moon is full"}
    assert modules.ask("state", "m.explainRefusal(a.error)", error=error) == "the moon is full"
    assert json.dumps(modules.ask("state", "m.explainRefusal({})"))


WATCH = """(() => {
  const reports = [];
  const pc = new EventTarget();
  const stop = m.watchConnection(pc, (report) => reports.push(report));
  const become = (state) => {
    pc.connectionState = state;
    pc.dispatchEvent(new Event("connectionstatechange"));
  };
  Object.assign(window, { reports, become, stop });
})()"""


@pytest.fixture
def watched(modules):
    """A connection of our own making, and the page's clock in our hand."""
    page = modules.page
    page.clock.install()
    modules.ask("peer", WATCH)

    def step(state: str, wait_ms: int) -> list[str]:
        if state:
            page.evaluate("(state) => become(state)", state)
        page.clock.fast_forward(wait_ms)
        reports: list[str] = page.evaluate("reports")
        return reports

    yield step
    page.evaluate("stop()")


def test_a_broken_path_has_three_seconds_to_mend(watched):
    assert watched("connected", 60_000) == ["connected"]
    assert watched("disconnected", 2900) == ["connected"]
    assert watched("connected", 60_000) == ["connected"] * 2
    assert watched("disconnected", 2900) == ["connected"] * 2
    assert watched("", 200) == ["connected", "connected", "lost"]
    assert watched("connected", 0)[-1] == "lost"  # given up is given up


def test_a_path_that_never_opens_or_fails_is_lost_once(watched):
    assert watched("connecting", 9900) == []
    assert watched("", 200) == ["lost"]
    assert watched("failed", 60_000) == ["lost"]


def test_a_failed_path_is_lost_at_once(watched):
    assert watched("failed", 0) == ["lost"]


@pytest.mark.parametrize("kind", ["camera", "microphone"])
@pytest.mark.parametrize(
    ("name", "message", "reason"),
    [
        ("NotAllowedError", "Permission denied", "denied"),
        ("NotAllowedError", "Permission denied by system", "system_denied"),
        ("SecurityError", "", "denied"),
        ("NotFoundError", "", "missing"),
        ("NotReadableError", "", "busy"),
        ("AbortError", "", "busy"),
        ("InsecureError", "", "insecure"),
        ("EndedError", "", "unplugged"),
        ("OddError", "", "unknown"),
    ],
)
def test_every_failure_of_a_device_has_a_sentence(modules, kind, name, message, reason):
    expression = """(() => {
      const error = new m.DeviceError(a.kind, new DOMException(a.message, a.name));
      return { reason: error.reason, ...m.explainDevice(error) };
    })()"""
    told = modules.ask("devices", expression, kind=kind, name=name, message=message)
    assert told["reason"] == reason
    assert kind in told["title"].lower()
    assert len(told["text"]) > 20


def test_rates_are_told_only_between_messages_that_belong_together(modules):
    def between(before: dict[str, Any], after: dict[str, Any]) -> Any:
        return modules.ask("delivery", "m.read(a.before, a.after)", before=before, after=after)

    early, late = told_statistics(10, packets=1000), told_statistics(12, packets=1100)
    assert between(early, late)["repaired"] == 1
    assert between(late, late) is None
    # Counters that start anew, and a room without media yet.
    assert between(told_statistics(10, packets=5000), late) is None
    assert between(early | {"tracks": []}, late) is None
    assert between(early | {"tracks": []}, late | {"tracks": []}) is None


def test_what_nobody_measured_yet_is_not_made_up(modules):
    early, late = told_statistics(10), told_statistics(12) | {"peers": [], "forward_ms": None}
    figures = modules.ask("delivery", "m.read(a.early, a.late)", early=early, late=late)
    assert (figures["worstRttMs"], figures["forwardMs"], figures["worstLoss"]) == (None, None, 0)
