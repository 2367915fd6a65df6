"""The line that tells a host how its picture arrives."""

import pytest
from playwright.sync_api import expect

from tests.unit.mediasrv.web.fake_server import told_statistics
from tests.unit.mediasrv.web.waiting import until_state

pytestmark = pytest.mark.browser

BEFORE = told_statistics(10, sent_bytes=1_000_000, packets=1000, lost=10)
AFTER = told_statistics(12, sent_bytes=1_750_000, packets=1900, lost=110, loss=0.25)


def go_live(page):
    page.get_by_test_id("go-live").click()
    until_state(page, "live")


def watched(server, page, count):
    for _ in range(100):
        wishes = [message["every_s"] for message in server.messages("watch_statistics")]
        if len(wishes) >= count:
            return wishes
        page.wait_for_timeout(50)
    raise AssertionError(f"only {wishes}")


def test_what_happened_between_two_messages_is_shown_while_live(server, open_page):
    server.statistics = BEFORE
    page = open_page("/host/otter")
    line = page.get_by_test_id("delivery")
    expect(line).to_be_hidden()
    go_live(page)
    assert watched(server, page, 1) == [2]
    expect(line).to_be_hidden()  # one message makes no rate
    server.say("host", "statistics", **AFTER)
    expect(line).to_be_visible()
    figures = dict(
        zip(*(line.locator(part).all_inner_texts() for part in ("dt", "dd")), strict=True)
    )
    assert figures == {
        "To viewers": "3.0 Mb/s",
        "Your loss": "10.0 %",
        "Worst viewer's loss": "25.0 %",
        "Sent again": "9",
        "Farthest viewer": "42 ms",
        "In the server": "1.3 ms",
    }
    assert line.locator("[data-poor=true]").count() == 2
    page.get_by_test_id("stop-live").click()
    expect(line).to_be_hidden()
    assert watched(server, page, 2) == [2, None]


def test_a_host_that_is_not_live_asks_for_nothing(server, open_page):
    page = open_page("/host/otter")
    expect(page.get_by_text("Your camera, mirrored")).to_be_visible()
    server.say("host", "statistics", **BEFORE)
    server.say("host", "statistics", **AFTER)
    expect(page.get_by_test_id("delivery")).to_be_hidden()
    assert server.messages("watch_statistics") == []


def test_after_a_lost_connection_it_is_asked_for_anew(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    watched(server, page, 1)
    server.publishing = True
    server.drop_sockets("host")
    assert watched(server, page, 2) == [2, 2]


def test_an_older_server_shows_nothing_and_breaks_nothing(server, open_page):
    server.refuse["watch_statistics"] = {"code": "unknown_type", "message": "no such message"}
    page = open_page("/host/otter")
    go_live(page)
    watched(server, page, 1)
    page.wait_for_timeout(100)
    expect(page.get_by_test_id("delivery")).to_be_hidden()
    expect(page.get_by_test_id("live-state")).to_have_text("Live")
