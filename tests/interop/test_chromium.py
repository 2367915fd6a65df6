"""A host in Chromium, viewers in Chromium, the server between them: nothing is simulated."""

import pytest
from playwright.sync_api import Browser

from benchmarks.rig.browsers import HostPage, ViewerPage
from benchmarks.rig.live_server import RunningServer

pytestmark = pytest.mark.browser

# Viewers must get what the host sends; how much two browsers and a server manage on one machine is
# what `python -m benchmarks watch` measures.
SHARE_MIN = 0.8
FPS_MIN = 10.0


def test_a_viewer_sees_the_host_in_full_size_and_hears_it(host: HostPage, viewer: ViewerPage):
    host.go_live()
    viewer.until_playing()
    viewer.until_size(1280, 720)
    sent, seen = _rates(host, [viewer], 4)
    assert min(seen) >= max(FPS_MIN, SHARE_MIN * sent)
    audio = viewer.statistics("audio")
    assert audio["packetsReceived"] > 100
    assert audio["totalSamplesReceived"] > 48_000
    assert viewer.statistics("video")["packetsLost"] == 0


def test_a_viewer_who_comes_first_waits_and_starts_by_itself(host: HostPage, viewer: ViewerPage):
    viewer.until_state("waiting")
    viewer.wait(1)
    host.go_live()
    viewer.until_state("live")
    viewer.until_playing()


def test_a_viewer_who_comes_ten_seconds_late_sees_the_host_at_once(
    host: HostPage, viewer_browser: Browser, server: RunningServer, room: str
):
    host.go_live()
    host.wait(10)
    viewer = ViewerPage(viewer_browser, server.url, room)
    assert viewer.until_playing() < 1000
    viewer.until_size(1280, 720)
    viewer.close()


def test_three_viewers_watch_at_once(
    host: HostPage, viewer_browser: Browser, server: RunningServer, room: str
):
    host.go_live()
    viewers = [ViewerPage(viewer_browser, server.url, room) for _ in range(3)]
    for viewer in viewers:
        viewer.until_playing()
        viewer.until_size(1280, 720)
    sent, seen = _rates(host, viewers, 4)
    assert min(seen) >= max(FPS_MIN, SHARE_MIN * sent)
    host.until(
        lambda: "3" in host.page.get_by_test_id("viewer-count").inner_text(), "3 viewers counted"
    )
    for viewer in viewers:
        viewer.close()


def test_the_lobby_lists_the_room_and_leads_to_it(
    host: HostPage, viewer_browser: Browser, server: RunningServer, room: str
):
    host.go_live()
    context = viewer_browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    page.get_by_test_id("room-list").get_by_text(room).first.click()
    page.wait_for_url(f"**/watch/{room}")
    context.close()


def test_stopping_tells_the_viewers_and_going_live_again_needs_no_act_of_theirs(
    host: HostPage, viewer: ViewerPage
):
    host.go_live()
    viewer.until_playing()
    host.stop()
    viewer.until(lambda: viewer.state in ("waiting", "ended"), "the viewer knows")
    host.go_live()
    viewer.until_state("live")
    assert viewer.frames_per_second(2) > 5


def test_a_host_that_reloads_comes_back_to_viewers_who_do_nothing(
    host: HostPage, viewer: ViewerPage
):
    host.go_live()
    viewer.until_playing()
    subscriptions = viewer.page.evaluate("() => window.mediasrv.subscriptions")
    host.page.reload()
    host.until_state("live")
    viewer.until_state("live")
    assert viewer.frames_per_second(3) > 5
    assert viewer.page.evaluate("() => window.mediasrv.subscriptions") == subscriptions


def test_pages_ask_no_other_address_for_anything(
    viewer_browser: Browser, server: RunningServer, room: str
):
    context = viewer_browser.new_context()
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/", f"/host/{room}", f"/watch/{room}", "/docs"):
        page.goto(server.url + path)
        page.wait_for_timeout(500)
    context.close()
    allowed = (server.url, server.url.replace("http:", "ws:"), "data:", "blob:")
    assert asked
    assert [url for url in asked if not url.startswith(allowed)] == []


def _rates(host: HostPage, viewers: list[ViewerPage], seconds: float) -> tuple[float, list[float]]:
    """Return frames per second: what the host encodes, what each viewer decodes."""
    before = [host.statistics("video")] + [v.statistics("video") for v in viewers]
    host.wait(seconds)
    after = [host.statistics("video")] + [v.statistics("video") for v in viewers]
    rates = [
        (a[name] - b[name]) * 1000 / (a["timestamp"] - b["timestamp"])
        for name, b, a in zip(
            ["framesEncoded"] + ["framesDecoded"] * len(viewers), before, after, strict=True
        )
    ]
    return rates[0], rates[1:]
