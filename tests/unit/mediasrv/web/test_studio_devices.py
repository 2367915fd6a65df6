"""Cameras and microphones that are refused, slow, unplugged or not there."""

import pytest
from playwright.sync_api import expect

from tests.unit.mediasrv.web.waiting import go_live, until, until_state

pytestmark = pytest.mark.browser


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
