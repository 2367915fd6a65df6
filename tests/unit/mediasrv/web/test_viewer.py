import pytest
from playwright.sync_api import Page, expect

from tests.unit.mediasrv.web.fake_server import FakeServer
from tests.unit.mediasrv.web.waiting import fail_media, until, until_state

pytestmark = pytest.mark.browser

NO_DEVICES = """
for (const name of ["getUserMedia", "getDisplayMedia", "enumerateDevices"])
  navigator.mediaDevices[name] = () => { throw new Error("a viewer was asked for " + name); };
"""


@pytest.fixture
def live(server: FakeServer) -> FakeServer:
    server.state = "live"
    return server


def subscriptions(page: Page) -> int:
    return int(page.evaluate("mediasrv.subscriptions"))


def test_a_viewer_who_comes_first_waits_and_starts_by_itself(server, open_page):
    page = open_page("/watch/otter", script=NO_DEVICES)
    until_state(page, "waiting")
    expect(page.get_by_role("heading", name="Waiting for the host")).to_be_visible()
    expect(page.get_by_test_id("unmute")).to_be_hidden()
    expect(page.get_by_test_id("fullscreen")).to_be_hidden()
    assert server.messages("subscribe") == []
    server.say("viewer", "host_live")
    until_state(page, "live")
    expect(page.get_by_role("heading", name="Waiting for the host")).to_be_hidden()
    assert page.evaluate("document.querySelector('[data-testid=remote-video]').videoWidth") > 0


def test_the_offer_is_posted_at_once_and_asks_for_no_delay(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    (offer,) = live.messages("subscribe")
    assert "a=candidate" not in offer["sdp"]
    assert offer["sdp"].count("a=recvonly") == 2
    targets = page.evaluate("mediasrv.pc.getReceivers().map((one) => one.jitterBufferTarget)")
    assert targets == [0, 0]
    until(page, "mediasrv.firstFrameMs > 0")
    assert page.evaluate("mediasrv.offerAtMs + mediasrv.firstFrameMs < performance.now()")


def test_the_offer_is_ready_before_the_room_is_joined(live, open_page):
    page = open_page(
        "/watch/otter",
        script="""
window.order = [];
const make = RTCPeerConnection.prototype.createOffer;
RTCPeerConnection.prototype.createOffer = function (...given) {
  order.push("offer");
  return make.apply(this, given);
};
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {
  order.push(JSON.parse(text).type);
  return send.call(this, text);
};""",
    )
    until_state(page, "live")
    assert page.evaluate("order") == ["offer", "join", "subscribe"]
    assert page.evaluate("mediasrv.pc.connectionState") == "connected"


def test_an_offer_that_has_become_old_is_made_anew(server, open_page):
    page = open_page(
        "/watch/otter",
        script="""
window.made = 0;
window.later = 0;
const now = performance.now.bind(performance);
performance.now = () => now() + later;
const make = RTCPeerConnection.prototype.createOffer;
RTCPeerConnection.prototype.createOffer = function (...given) {
  made += 1;
  return make.apply(this, given);
};""",
    )
    until_state(page, "waiting")
    page.evaluate("later = 31_000")
    server.state = "live"
    server.say("viewer", "host_live")
    until_state(page, "live")
    assert page.evaluate("made") == 2


def test_the_sound_joins_after_the_first_picture(live, open_page):
    page = open_page(
        "/watch/otter",
        script="""
window.order = [];
const add = MediaStream.prototype.addTrack;
MediaStream.prototype.addTrack = function (track) {
  const { firstFrameMs } = window.mediasrv ?? {};
  order.push(track.kind + (firstFrameMs == null ? " before" : " after"));
  return add.call(this, track);
};""",
    )
    until_state(page, "live")
    until(page, "order.length === 2")
    assert page.evaluate("order") == ["video before", "audio after"]
    assert page.evaluate("document.querySelector('video').srcObject.getTracks().length") == 2


def test_the_diagnostics_cannot_be_written(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    page.evaluate("try { mediasrv.state = 'x'; mediasrv.more = 1; window.mediasrv = {}; } catch {}")
    assert page.evaluate("[mediasrv.state, mediasrv.more]") == ["live", None]


def test_one_tap_unmutes(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    sound = page.get_by_test_id("unmute")
    expect(sound).to_have_text("Tap for sound")
    assert page.evaluate("document.querySelector('video').muted") is True
    sound.click()
    assert page.evaluate("document.querySelector('video').muted") is False
    expect(sound).to_have_text("Mute")
    page.keyboard.press("m")
    expect(sound).to_have_text("Tap for sound")


def test_full_screen_comes_and_goes(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    page.get_by_test_id("fullscreen").click()
    expect(page.get_by_role("button", name="Leave full screen")).to_be_visible()
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Full screen", exact=True)).to_be_visible()


def test_the_end_is_told_the_picture_is_gone_and_it_starts_again(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    live.say("viewer", "host_left", reason="stopped")
    until_state(page, "ended")
    expect(page.get_by_role("heading", name="This live has ended")).to_be_visible()
    assert page.evaluate("document.querySelector('video').srcObject") is None
    assert page.evaluate("mediasrv.pc") is None
    expect(page.get_by_test_id("unmute")).to_be_hidden()
    live.say("viewer", "host_live")
    until_state(page, "live")
    assert subscriptions(page) == 2


def test_a_host_who_is_away_for_a_moment_stays_in_the_picture(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    live.say("viewer", "host_away", grace_s=10)
    until_state(page, "host-away")
    expect(page.locator("#curtain")).to_be_hidden()
    live.say("viewer", "host_returned")
    until_state(page, "live")
    live.say("viewer", "host_live")  # published anew: the subscription goes on
    page.wait_for_timeout(200)
    assert subscriptions(page) == 1


def test_a_dropped_socket_comes_back_without_a_new_subscription(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    live.refuse["join"] = {"code": "overloaded", "message": "full"}
    live.drop_sockets("viewer")
    until_state(page, "reconnecting")
    expect(page.locator("#curtain")).to_be_hidden()
    live.refuse.clear()
    until_state(page, "live")
    page.wait_for_timeout(1800)  # long enough to see whether the connection was trusted
    assert subscriptions(page) == 1


def test_a_socket_that_is_back_at_once_is_not_worth_a_word(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    page.evaluate("""() => {
      window.states = [];
      const pill = document.querySelector("[data-testid=live-state]");
      new MutationObserver(() => window.states.push(pill.dataset.state))
        .observe(pill, { attributes: true });
    }""")
    live.drop_sockets("viewer")
    until(page, "mediasrv.socket === 'lost'")
    until(page, "mediasrv.socket === 'joined'")
    page.wait_for_timeout(300)
    assert page.evaluate("states") == []


def test_dead_media_is_subscribed_anew(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    fail_media(page)
    until(page, "mediasrv.subscriptions === 2")
    until_state(page, "live")


# The statistics of a way so narrow that packets arrive and no picture becomes complete.
NARROW = """() => {
  const { getStats } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.getStats = async function () {
    const seen = new Map(await getStats.call(this));
    for (const [id, entry] of seen) {
      const framesDecoded = window.decoded ?? 9;
      if (entry.type === "inbound-rtp") seen.set(id, { ...entry, framesDecoded });
    }
    return seen;
  };
}"""


def test_on_a_narrow_way_the_picture_is_waited_for_and_not_subscribed_anew(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    page.evaluate(NARROW)
    until_state(page, "slow")
    expect(page.get_by_text("Slow connection")).to_be_visible()
    expect(page.locator("#curtain")).to_be_hidden()
    page.wait_for_timeout(6000)
    assert page.evaluate("mediasrv.subscriptions") == 1
    assert page.evaluate("mediasrv.state") == "slow"
    page.evaluate("window.decoded = 10")
    until_state(page, "live")


def test_after_a_restart_of_the_server_a_silent_connection_is_not_trusted(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    # The socket returns at once; the media of the old server is silent but not yet disconnected.
    live.mute_media()
    live.drop_sockets("viewer")
    until(page, "mediasrv.subscriptions === 2", timeout_s=6)
    until_state(page, "live")


def test_a_viewer_who_joins_while_the_host_is_away_still_sees_the_picture(live, open_page):
    live.state = "away"
    live.publishing = True
    page = open_page("/watch/otter")
    until_state(page, "host-away")
    until(page, "mediasrv.firstFrameMs > 0")
    live.publishing = None


def test_a_host_who_is_gone_again_before_the_offer_arrives_is_waited_for(live, open_page):
    live.refuse["subscribe"] = {"code": "not_live", "message": "not live"}
    page = open_page("/watch/otter")
    until_state(page, "waiting")
    live.refuse.clear()
    live.say("viewer", "host_live")
    until_state(page, "live")


def test_a_full_server_is_asked_again(live, open_page):
    live.refuse["subscribe"] = {"code": "overloaded", "message": "full", "retry_after_s": 0.3}
    page = open_page("/watch/otter")
    until(page, "mediasrv.subscriptions >= 2")
    live.refuse.clear()
    until_state(page, "live")


def test_what_cannot_be_mended_is_explained_with_a_way_on(live, open_page):
    live.refuse["subscribe"] = {"code": "unsupported_codec", "message": "none"}
    page = open_page("/watch/otter")
    until_state(page, "failed")
    expect(page.locator("#curtain-text")).to_contain_text("no video format in common")
    live.refuse.clear()
    page.get_by_role("button", name="Try again").click()
    until_state(page, "live")


def test_the_controls_leave_the_picture_alone_after_a_while(live, open_page):
    page = open_page("/watch/otter")
    until_state(page, "live")
    page.clock.install()
    page.mouse.move(100, 100)
    page.clock.fast_forward(4000)
    expect(page.locator("#screen")).to_have_attribute("data-quiet", "false")  # sound is offered
    page.get_by_test_id("unmute").click()
    page.clock.fast_forward(4000)
    expect(page.locator("#screen")).to_have_attribute("data-quiet", "true")
    page.mouse.move(200, 200)
    expect(page.locator("#screen")).to_have_attribute("data-quiet", "false")


def test_leaving_the_page_leaves_the_room_and_nothing_behind(live, open_page, context):
    page = open_page("/watch/otter")
    until_state(page, "live")
    page.goto(live.url)
    page.wait_for_timeout(200)
    assert len(live.messages("leave")) == 1
    assert context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_a_room_name_is_the_pages_title(open_page):
    page = open_page("/watch/sunny-otter-42")
    expect(page.get_by_role("heading", name="sunny-otter-42")).to_be_visible()
    until_state(page, "waiting")
    expect(page).to_have_title("Waiting for the host · sunny-otter-42")


def test_a_browser_without_webrtc_is_told_so(live, open_page):
    page = open_page("/watch/otter", script="delete window.RTCPeerConnection")
    until_state(page, "failed")
    expect(page.locator("#curtain-text")).to_contain_text("WebRTC is switched off")
