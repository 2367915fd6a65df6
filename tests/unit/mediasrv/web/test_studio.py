import pytest
from playwright.sync_api import Page, expect

from tests.unit.mediasrv.web.fake_server import FakeServer
from tests.unit.mediasrv.web.waiting import fail_media, until, until_state

pytestmark = pytest.mark.browser

# Nothing was allowed before, and every question to the user is counted.
UNASKED = """
navigator.permissions.query = async () => ({ state: "prompt" });
window.asked = 0;
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wishes) => { window.asked += 1; return ask(wishes); };
"""
REFUSING = """
navigator.permissions.query = async () => ({ state: "prompt" });
window.refusal = ["%s", "%s"];
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wishes) => {
  if (window.refusal) throw new DOMException(window.refusal[1], window.refusal[0]);
  return ask(wishes);
};
"""
# Keeps the camera's track within reach, and lets it end as an unplugged one does.
UNPLUGGABLE = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wishes) => {
  const stream = await ask(wishes);
  for (const track of stream.getTracks()) window[track.kind] = track;
  return stream;
};
window.unplug = (kind) => { window[kind].stop(); window[kind].dispatchEvent(new Event("ended")); };
"""

# Devices that open slowly, and note when two are being opened at once.
SLOW = """
window.opening = window.mostAtOnce = 0;
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wishes) => {
  window.mostAtOnce = Math.max(window.mostAtOnce, ++window.opening);
  await new Promise((resolve) => setTimeout(resolve, 50));
  return ask(wishes).finally(() => { window.opening -= 1; });
};
"""


def go_live(page: Page) -> None:
    page.get_by_test_id("go-live").click()
    until_state(page, "live")


def until_received(page: Page, server: FakeServer, kind: str, count: int) -> list[dict]:
    for _ in range(100):
        if len(server.messages(kind)) >= count:
            break
        page.wait_for_timeout(50)
    assert len(server.messages(kind)) == count
    return server.messages(kind)


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


@pytest.mark.parametrize(
    ("name", "title"),
    [("NotAllowedError", "Camera access is blocked"), ("NotReadableError", "The camera is busy")],
)
def test_a_camera_that_does_not_open_is_explained_and_tried_again(open_page, name, title):
    page = open_page("/host/otter", script=REFUSING % (name, "words of the browser"))
    page.get_by_test_id("go-live").click()
    expect(page.locator("#cover-title")).to_have_text(title)
    until_state(page, "idle")
    page.evaluate("window.refusal = null")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Your camera, mirrored")).to_be_visible()


def test_a_page_without_https_says_so(open_page):
    script = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })"
    page = open_page("/host/otter", script=script)
    page.get_by_test_id("go-live").click()
    expect(page.locator("#cover-title")).to_contain_text("secure pages only")
    expect(page.locator("#cover-text")).to_contain_text("https://")


def test_a_host_without_a_camera_can_go_live_all_the_same(open_page):
    page = open_page("/host/otter", script=REFUSING % ("NotFoundError", "none"))
    page.get_by_test_id("go-live").click()
    page.get_by_role("button", name="Go on without camera").click()
    go_live(page)
    expect(page.locator("#cover-title")).to_have_text("Your camera is off")
    until(
        page,
        """async () => [...(await mediasrv.pc.getStats()).values()]
      .some((one) => one.type === "outbound-rtp" && one.kind === "video" && one.framesSent > 5)""",
    )


def test_a_camera_unplugged_while_live_is_replaced_by_words_and_comes_back(open_page):
    page = open_page("/host/otter", script=UNPLUGGABLE)
    go_live(page)
    page.evaluate("unplug('video')")
    expect(page.locator("#cover-title")).to_have_text("Your camera went away")
    until_state(page, "live")
    page.evaluate("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    expect(page.get_by_text("Your camera, mirrored")).to_be_visible()
    until_state(page, "live")


def test_a_microphone_unplugged_while_live_is_told(open_page):
    page = open_page("/host/otter", script=UNPLUGGABLE)
    go_live(page)
    page.evaluate("unplug('audio')")
    expect(page.get_by_test_id("notice")).to_contain_text("Your microphone went away")
    expect(page.get_by_test_id("mute")).to_be_disabled()
    page.get_by_test_id("notice").get_by_role("button").click()
    expect(page.get_by_test_id("notice")).to_be_hidden()
    expect(page.get_by_test_id("mute")).to_be_enabled()


def test_camera_off_closes_the_camera_and_mute_silences_the_microphone(open_page):
    page = open_page("/host/otter", script=UNPLUGGABLE)
    go_live(page)
    page.get_by_test_id("camera-off").click()
    expect(page.locator("#cover-title")).to_have_text("Your camera is off")
    assert page.evaluate("window.video.readyState") == "ended"
    page.get_by_test_id("mute").click()
    expect(page.get_by_test_id("mute")).to_have_text("Unmute")
    assert page.evaluate("window.audio.enabled") is False
    page.get_by_test_id("camera-off").click()
    expect(page.get_by_text("Your camera, mirrored")).to_be_visible()
    until_state(page, "live")


def test_buttons_pressed_faster_than_devices_open_end_in_the_last_wish(open_page):
    page = open_page("/host/otter", script=SLOW)
    expect(page.get_by_text("Your camera, mirrored")).to_be_visible()
    page.evaluate("""() => {
      const select = document.querySelector("[data-testid=quality-select]");
      for (const quality of ["360p", "1080p", "720p", "360p"]) {
        select.value = quality;
        select.dispatchEvent(new Event("change"));
      }
    }""")
    until(page, "document.querySelector('video').videoHeight === 360")
    assert page.evaluate("mostAtOnce") == 1


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
