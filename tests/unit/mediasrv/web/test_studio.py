"""Going live, coming back, and what the studio says when it cannot."""

import pytest
from playwright.sync_api import expect

from tests.unit.mediasrv.web.waiting import fail_media, go_live, until, until_received, until_state

pytestmark = pytest.mark.browser


# Nothing was allowed before, and every question to the user is counted.
UNASKED = """
navigator.permissions.query = async () => ({ state: "prompt" });
window.asked = 0;
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wishes) => { window.asked += 1; return ask(wishes); };
"""


def test_the_camera_stays_off_until_its_button_is_pressed(server, open_page):
    page = open_page("/host/otter", script=UNASKED)
    expect(page.get_by_text("Nobody sees you until you go live.")).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("asked") == 0
    page.get_by_test_id("open-camera").click()
    expect(page.get_by_text("Your camera, mirrored")).to_be_visible()
    assert page.evaluate("asked") == 1
    assert server.messages("publish") == []


def test_a_host_who_allowed_it_before_sees_the_preview_at_once(open_page):
    page = open_page("/host/otter")
    expect(page.get_by_text("Your camera, mirrored")).to_be_visible()
    until(page, "document.querySelector('[data-testid=local-video]').videoWidth > 0")


def test_going_live_offers_everything_at_once_and_says_so_in_words(server, open_page):
    page = open_page("/host/otter", script=UNASKED)
    state = page.get_by_test_id("live-state")
    expect(state).to_have_text("Not live")
    go_live(page)
    expect(state).to_have_text("Live")
    (offer,) = server.messages("publish")
    sdp = offer["sdp"]
    assert "a=candidate" not in sdp
    assert sdp.count("a=sendonly") == 2
    codecs = [line.split()[1] for line in sdp.splitlines() if line.startswith("a=rtpmap")]
    video = [name for name in codecs if name.endswith("/90000")]
    assert video[0] == "VP8/90000"
    assert {name.split("/")[0] for name in video} == {"VP8", "H264", "rtx"}
    assert "opus/48000/2" in codecs
    expect(page.get_by_test_id("go-live")).to_be_hidden()
    expect(page.get_by_test_id("sent-stats")).to_contain_text("fps")
    assert page.evaluate("mediasrv.connectedAtMs > mediasrv.offerAtMs")


def test_the_encoder_is_limited_and_keeps_the_resolution(open_page):
    page = open_page("/host/otter")
    go_live(page)
    page.wait_for_timeout(200)
    parameters = page.evaluate("""() => {
      const sender = mediasrv.pc.getSenders().find((one) => one.track?.kind === "video");
      return [sender.getParameters(), sender.track.contentHint];
    }""")
    assert parameters[0]["encodings"][-1]["maxBitrate"] == 2_500_000
    assert parameters[0]["degradationPreference"] == "maintain-resolution"
    assert parameters[1] == "motion"
    page.get_by_test_id("quality-select").select_option("360p")
    until(
        page,
        "mediasrv.pc.getSenders().map((one) => one.getParameters().encodings.at(-1)?.maxBitrate)"
        ".includes(800000)",
    )


def test_lower_qualities_are_offered_and_not_sent_before_somebody_needs_them(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    (offer,) = server.messages("publish")
    assert "a=simulcast:send ~q;~h;f\r\n" in offer["sdp"]


def test_a_server_without_simulcast_gets_the_best_quality(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    until(
        page,
        """async () => [...(await mediasrv.pc.getStats()).values()]
      .some((one) => one.type === "outbound-rtp" && one.frameWidth === 1280)""",
    )
    # There is nothing else that it could want.
    server.say("host", "qualities_wanted", rids=["f", "q"])
    page.wait_for_timeout(200)
    assert page.evaluate(
        """() => mediasrv.pc.getSenders().find((one) => one.track?.kind === "video")
      .getParameters().encodings.filter((one) => one.active).map((one) => one.maxBitrate)"""
    ) == [2_500_000]


def test_stopping_unpublishes_and_stays_in_the_room(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    page.get_by_test_id("stop-live").click()
    until_state(page, "idle")
    until_received(page, server, "unpublish", 1)
    assert page.evaluate("mediasrv.pc") is None
    assert server.messages("leave") == []
    go_live(page)


def test_a_dropped_socket_comes_back_with_its_token_and_the_media_goes_on(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    server.refuse["join"] = {"code": "overloaded", "message": "full"}
    server.drop_sockets("host")
    until_state(page, "reconnecting")
    expect(page.get_by_test_id("notice")).to_contain_text("Your viewers can still see you.")
    server.refuse.clear()
    until_state(page, "live")
    assert server.messages("join")[-1]["resume"] == "token-1"
    assert len(server.messages("publish")) == 1


def test_dead_media_is_published_again(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    fail_media(page)
    until_received(page, server, "publish", 2)
    until_state(page, "live")
    assert page.evaluate("mediasrv.publications") == 2


def test_media_that_only_the_server_misses_is_published_again_unless_it_returns(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    server.say("host", "host_media", state="lost")
    server.say("host", "host_media", state="connected")
    page.wait_for_timeout(2500)
    assert len(server.messages("publish")) == 1
    server.say("host", "host_media", state="lost")
    until_received(page, server, "publish", 2)


def test_a_reload_while_live_goes_on_by_itself(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    page.reload()
    until_state(page, "live")
    assert server.messages("join")[-1]["resume"] == "token-1"
    assert len(server.messages("publish")) == 2
    assert server.messages("leave") == []


def test_a_reload_while_live_asks_first_when_the_browser_would_have_to(server, open_page):
    page = open_page("/host/otter", script=UNASKED)
    go_live(page)
    page.reload()
    expect(page.get_by_test_id("notice")).to_contain_text("You were live a moment ago")
    assert page.evaluate("asked") == 0
    page.get_by_test_id("notice").get_by_role("button").click()
    until_state(page, "live")


def test_leaving_after_stop_gives_the_room_back_and_leaving_live_does_not(server, open_page):
    page = open_page("/host/otter")
    until(page, "mediasrv.socket === 'joined'")
    page.goto(server.url)
    until_received(page, server, "leave", 1)
    page.goto(server.url + "/host/otter")
    go_live(page)
    page.goto(server.url)
    page.wait_for_timeout(200)
    assert len(server.messages("leave")) == 1


def test_an_old_token_is_tried_once_and_then_forgotten(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    server.refuse["join"] = {"code": "room_taken", "message": "taken"}
    server.drop_sockets("host")
    until_state(page, "failed")
    tokens = [message.get("resume") for message in server.messages("join")]
    assert tokens[:3] == [None, "token-1", None]


def test_a_taken_room_is_explained_and_taken_when_it_is_free(server, open_page):
    server.refuse["join"] = {"code": "room_taken", "message": "taken", "retry_after_s": 0.2}
    page = open_page("/host/otter")
    expect(page.get_by_test_id("notice")).to_contain_text("Somebody is already hosting this room.")
    expect(page.get_by_test_id("go-live")).to_be_disabled()
    server.refuse.clear()
    expect(page.get_by_test_id("notice")).to_be_hidden()
    expect(page.get_by_test_id("go-live")).to_be_enabled()


def test_a_studio_opened_elsewhere_ends_this_one_without_a_fight(server, open_page):
    page = open_page("/host/otter")
    go_live(page)
    server.say("host", "left", reason="replaced")
    server.drop_sockets("host")
    until_state(page, "failed")
    expect(page.get_by_test_id("notice")).to_contain_text("opened in another tab")
    page.wait_for_timeout(1200)
    assert len(server.messages("join")) == 1
    page.get_by_test_id("notice").get_by_role("button", name="Take it back here").click()
    until(page, "mediasrv.socket === 'joined'")


def test_an_offer_that_the_server_cannot_take_is_explained(server, open_page):
    server.refuse["publish"] = {"code": "unsupported_codec", "message": "none in common"}
    page = open_page("/host/otter")
    page.get_by_test_id("go-live").click()
    until_state(page, "failed")
    expect(page.get_by_test_id("notice")).to_contain_text("no video format in common")
    server.refuse.clear()
    page.get_by_test_id("notice").get_by_role("button", name="Go live again").click()
    until_state(page, "live")


def test_the_viewers_are_counted_and_nothing_is_stored(server, open_page, context):
    page = open_page("/host/otter")
    expect(page.get_by_test_id("viewer-count")).to_have_text("0 viewers")
    server.say("host", "viewers_changed", viewers=1)
    expect(page.get_by_test_id("viewer-count")).to_have_text("1 viewer")
    server.say("host", "viewers_changed", viewers=1204)
    expect(page.get_by_test_id("viewer-count")).to_have_attribute("data-viewers", "1204")
    go_live(page)
    assert context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_messages_from_a_newer_server_are_ignored(server, open_page):
    page = open_page("/host/otter")
    until(page, "mediasrv.socket === 'joined'")
    server.say("host", "confetti", colour="gold")
    server.say("host", "viewers_changed", viewers=2, mood="fine")
    expect(page.get_by_test_id("viewer-count")).to_have_text("2 viewers")


def test_a_browser_without_webrtc_is_told_so(open_page):
    page = open_page("/host/otter", script="delete window.RTCPeerConnection")
    page.get_by_test_id("go-live").click()
    until_state(page, "failed")
    expect(page.get_by_test_id("notice")).to_contain_text("WebRTC is switched off")
