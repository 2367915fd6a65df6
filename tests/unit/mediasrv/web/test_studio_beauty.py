"""The beauty panel: sliders, presets, consent, and what it says."""

import pytest
from playwright.sync_api import expect

from tests.unit.mediasrv.web.waiting import go_live, until, until_received

pytestmark = pytest.mark.browser


def test_sliders_follow_the_servers_schema_and_send_the_last_value(server, open_page):
    server.schema = {
        "properties": {
            "smooth": {"title": "Soft", "minimum": 0, "maximum": 100, "default": 0},
            "glow": {
                "title": "Glow",
                "description": "New.",
                "minimum": 0,
                "maximum": 50,
                "default": 5,
            },
        }
    }
    page = open_page("/host/otter")
    expect(page.get_by_label("Glow")).to_have_attribute("max", "50")
    expect(page.get_by_test_id("slider-brighten")).to_have_count(0)
    page.evaluate("""async () => {
      const slider = document.querySelector("[data-testid=slider-smooth]");
      for (let value = 0; value <= 90; value += 1) {
        slider.value = value;
        slider.dispatchEvent(new Event("input"));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }""")
    page.wait_for_timeout(300)
    sent = server.messages("set_filter")
    assert sent[-1]["params"] == {"smooth": 90, "glow": 5}
    assert 4 <= len(sent) <= 25


def test_sliders_are_grouped_and_presets_set_them_all(server, open_page):
    def slider(group: str) -> dict[str, object]:
        return {"title": group, "minimum": -100, "maximum": 100, "default": 0, "group": group}

    server.schema = {
        "properties": {"tone": slider("skin"), "chin": slider("shape"), "jaw": slider("shape")},
        "presets": {"none": {"tone": 0, "chin": 0, "jaw": 0}, "soft": {"tone": -10, "chin": 5}},
    }
    page = open_page("/host/otter")
    expect(page.get_by_test_id("slider-tone")).to_be_visible()
    expect(page.get_by_test_id("slider-chin")).to_be_hidden()
    page.get_by_text("Shape", exact=True).click()
    expect(page.get_by_test_id("slider-jaw")).to_be_visible()
    page.get_by_test_id("slider-jaw").fill("7")
    expect(page.get_by_test_id("preset-soft")).to_have_attribute("aria-pressed", "false")
    page.get_by_test_id("preset-soft").click()
    expect(page.get_by_test_id("slider-tone")).to_have_value("-10")
    expect(page.get_by_test_id("preset-soft")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(250)
    assert server.messages("set_filter")[-1]["params"] == {"tone": -10, "chin": 5, "jaw": 7}
    page.get_by_test_id("preset-none").click()
    expect(page.get_by_test_id("preset-soft")).to_have_attribute("aria-pressed", "false")
    page.wait_for_timeout(250)
    assert server.messages("set_filter")[-1]["params"] == {"tone": 0, "chin": 0, "jaw": 0}


def test_sliders_stay_usable_when_their_list_does_not_load(server, open_page):
    server.schema = None
    page = open_page("/host/otter")
    expect(page.locator("#beauty-note")).to_contain_text("did not load")
    page.get_by_test_id("slider-smooth").fill("33")
    page.get_by_test_id("slider-brighten").fill("44")
    page.wait_for_timeout(250)
    assert server.messages("set_filter")[-1]["params"] == {"smooth": 33, "brighten": 44}


def switch_on(page):
    page.get_by_test_id("beauty-toggle").click()


def test_nothing_is_asked_of_the_server_before_the_host_says_yes(server, open_page):
    page = open_page("/host/otter")
    words = page.get_by_test_id("beauty-consent")
    expect(words).to_be_visible()
    expect(words).to_contain_text("By switching this on you agree")
    expect(words).to_contain_text("in memory, while you are live, never written, never shared")
    page.wait_for_timeout(200)
    assert server.messages("set_filter") == []
    switch_on(page)
    expect(page.get_by_test_id("beauty-toggle")).to_be_checked()
    expect(words).to_be_hidden()
    until_received(page, server, "set_filter", 1)
    (sent,) = server.messages("set_filter")
    assert (sent["enabled"], sent["consent"]) == (True, True)


def test_the_yes_is_remembered_in_this_page_and_nowhere_else(server, open_page):
    page = open_page("/host/otter")
    switch_on(page)
    page.get_by_test_id("beauty-toggle").click()
    page.get_by_test_id("beauty-toggle").click()
    expect(page.get_by_test_id("beauty-toggle")).to_be_checked()
    page.reload()
    until(page, "mediasrv.socket === 'joined'")
    expect(page.get_by_test_id("beauty-withdraw")).to_be_visible()
    stored = "[localStorage.length, sessionStorage.length, document.cookie]"
    assert page.evaluate(stored) == [0, 0, ""]
    page.goto(page.url.replace("otter", "badger"))
    until(page, "mediasrv.socket === 'joined'")
    expect(page.get_by_test_id("beauty-withdraw")).to_be_hidden()


def test_consent_is_taken_back_with_one_click_and_asked_for_again(server, open_page):
    page = open_page("/host/otter")
    expect(page.get_by_test_id("beauty-withdraw")).to_be_hidden()
    switch_on(page)
    page.get_by_test_id("beauty-withdraw").click()
    expect(page.get_by_test_id("beauty-toggle")).not_to_be_checked()
    page.wait_for_timeout(200)
    last = server.messages("set_filter")[-1]
    assert (last["enabled"], last["consent"]) == (False, False)
    expect(page.get_by_test_id("beauty-consent")).to_be_visible()


def test_consent_taken_back_while_the_server_is_away_reaches_it_later(server, open_page):
    page = open_page("/host/otter")
    switch_on(page)
    until(page, "mediasrv.filter.consent")
    server.refuse["join"] = {"code": "overloaded", "message": "full"}
    server.drop_sockets("host")
    until(page, "mediasrv.socket === 'lost'")
    page.get_by_test_id("beauty-withdraw").click()
    server.refuse.clear()
    until(page, "mediasrv.socket === 'joined' && !mediasrv.filter.consent")
    until(page, "!mediasrv.filter.enabled")


def test_the_beauty_switch_tells_what_viewers_see(server, open_page):
    page = open_page("/host/otter")
    words = page.get_by_test_id("beauty-state")
    expect(words).to_have_text("Off. Viewers see your camera as it is.")
    switch_on(page)
    expect(words).to_have_text("Ready. It starts when you go live.")
    go_live(page)
    expect(words).to_have_text("On. Viewers see the filtered picture.")
    failing = {"enabled": True, "params": {}, "reason": "the worker stopped"}
    server.say("host", "filter_changed", filter=failing | {"state": "recovering"})
    expect(words).to_contain_text("Viewers see your last frame")
    server.say("host", "filter_changed", filter=failing | {"state": "unavailable"})
    expect(words).to_contain_text("the worker stopped")
    expect(words).to_contain_text("until you switch it off")


def test_beauty_that_changes_nothing_offers_a_look(server, open_page):
    page = open_page("/host/otter")
    switch_on(page)
    page.get_by_role("button", name="Natural look").click()
    expect(page.get_by_role("button", name="Natural look")).to_be_hidden()
    page.wait_for_timeout(200)
    assert all(value > 0 for value in server.messages("set_filter")[-1]["params"].values())


def test_a_server_without_the_filter_says_why_and_the_switch_goes_back(server, open_page):
    server.refuse["set_filter"] = {"code": "filter_unavailable", "message": "no face model"}
    page = open_page("/host/otter")
    switch_on(page)
    expect(page.get_by_test_id("beauty-state")).to_have_text("Not available: no face model.")
    expect(page.get_by_test_id("beauty-toggle")).not_to_be_checked()


def test_the_panel_says_that_the_preview_is_raw_and_where_faces_are_processed(open_page):
    page = open_page("/host/otter")
    expect(page.get_by_text("this preview is your camera")).to_be_visible()
    expect(page.get_by_text("Processed in this server's memory while you are live")).to_be_visible()
    assert "only on your device" not in page.content()
    link = page.get_by_test_id("see-viewers")
    expect(link).to_have_attribute("target", "_blank")
    assert link.get_attribute("href") == page.get_by_test_id("watch-link").input_value()


def test_settings_made_while_the_server_is_away_reach_it_later(server, open_page):
    page = open_page("/host/otter")
    until(page, "mediasrv.socket === 'joined'")
    server.refuse["join"] = {"code": "overloaded", "message": "full"}
    server.drop_sockets("host")
    until(page, "mediasrv.socket === 'lost'")
    page.get_by_test_id("slider-smooth").fill("70")
    switch_on(page)
    server.refuse.clear()
    until(page, "mediasrv.filter.params.smooth === 70 && mediasrv.filter.enabled")
    expect(page.get_by_test_id("slider-smooth")).to_have_value("70")
