import time

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def room(name: str, state: str = "live", viewers: int = 0, since: float | None = None) -> dict:
    return {"room": name, "state": state, "viewers": viewers, "since": since}


def test_an_empty_lobby_says_what_to_do(open_page):
    page = open_page("/")
    expect(page.get_by_text("Nobody is live right now")).to_be_visible()
    expect(page.get_by_text("Be the first")).to_be_visible()


def test_rooms_appear_change_and_go_by_themselves(server, open_page):
    server.rooms = [
        room("velvet-piano", viewers=1, since=time.time() - 130),
        room("quiet-cove", state="waiting"),
    ]
    page = open_page("/")
    rooms = page.get_by_test_id("room-list").get_by_role("link")
    expect(rooms).to_have_count(1)
    expect(rooms).to_contain_text("velvet-piano")
    expect(rooms).to_contain_text("1 viewer · for 2 min")
    expect(rooms).to_have_attribute("href", "/watch/velvet-piano")
    rooms.focus()
    server.rooms = [room("velvet-piano", viewers=2), room("merry-plaza", "away", viewers=9)]
    expect(rooms).to_have_count(2)
    expect(rooms.first).to_contain_text("merry-plaza")
    expect(rooms.first).to_contain_text("Back in a moment")
    expect(rooms.last).to_contain_text("2 viewers")
    expect(rooms.last).to_be_focused()
    server.rooms = []
    expect(page.get_by_text("Nobody is live right now")).to_be_visible()


def test_a_room_name_is_shown_as_text_whatever_it_holds(server, open_page):
    server.rooms = [room("<img src=x onerror=alert(1)>")]
    page = open_page("/")
    rooms = page.get_by_test_id("room-list")
    expect(rooms).to_contain_text("<img src=x onerror=alert(1)>")
    expect(rooms.locator("img")).to_have_count(0)


def test_a_silent_server_is_told_and_asked_again(server, open_page):
    server.rooms = None
    page = open_page("/")
    expect(page.get_by_text("The server does not answer")).to_be_visible()
    server.rooms = [room("back-again")]
    expect(page.get_by_test_id("room-list")).to_contain_text("back-again")


def test_the_first_click_leads_into_a_studio_of_the_suggested_name(open_page):
    page = open_page("/")
    name = page.get_by_test_id("room-name").input_value()
    page.get_by_test_id("open-studio").click()
    page.wait_for_url(f"**/host/{name}")


def test_a_typed_name_is_tidied_and_leads_to_the_viewers_page(open_page):
    page = open_page("/")
    page.get_by_test_id("room-name").fill("Sunny Otter 42")
    page.get_by_test_id("open-watch").click()
    page.wait_for_url("**/watch/sunny-otter-42")


def test_an_impossible_name_is_explained_and_goes_nowhere(open_page):
    page = open_page("/")
    field = page.get_by_test_id("room-name")
    for typed, words in {"-a": "Start with", "ü": "letters a to z", "": "needs a name"}.items():
        field.fill(typed)
        field.press("Enter")
        expect(page.locator("#room-note")).to_contain_text(words)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()
    assert page.url.endswith("/")


def test_the_lobby_never_asks_for_a_device(open_page):
    page = open_page(
        "/", script="navigator.mediaDevices.getUserMedia = () => { throw Error('asked'); }"
    )
    expect(page.get_by_text("Nobody is live right now")).to_be_visible()
