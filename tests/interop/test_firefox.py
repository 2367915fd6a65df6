"""Firefox watches a Chromium host, and goes live itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from benchmarks.rig.browsers import HostPage, ViewerPage
from benchmarks.rig.firefox import FIREFOX, FirefoxPage, running_firefox
from benchmarks.rig.live_server import RunningServer

# Marionette's client closes its sockets late.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
# As in test_chromium.py; Firefox counts on a machine that other browsers share.
FPS_MIN = 10.0


@pytest.fixture
def firefox() -> Iterator[FirefoxPage]:
    if not Path(FIREFOX).exists():
        pytest.fail(f"{FIREFOX} is missing: run make test, or apt-get install firefox-esr")
    with running_firefox() as page:
        yield page


def test_firefox_watches_a_chromium_host(
    host: HostPage, firefox: FirefoxPage, server: RunningServer, room: str
):
    host.go_live()
    firefox.open(f"{server.url}/watch/{room}")
    firefox.until(lambda: firefox.state == "live", "live")
    firefox.until(lambda: firefox.statistics("video").get("framesDecoded", 0) > 0, "a picture")
    assert firefox.frames_per_second(4, "framesDecoded") >= FPS_MIN
    video, audio = firefox.statistics("video"), firefox.statistics("audio")
    assert (video["frameWidth"], video["frameHeight"]) == (1280, 720)
    assert video["packetsLost"] == 0
    assert audio["packetsReceived"] > 50


def test_firefox_goes_live_and_chromium_watches(
    firefox: FirefoxPage, viewer_browser: Browser, server: RunningServer, room: str
):
    firefox.open(f"{server.url}/host/{room}")
    firefox.click("go-live")
    firefox.until(lambda: firefox.state == "live", "live")
    viewer = ViewerPage(viewer_browser, server.url, room)
    viewer.until_playing()
    assert viewer.frames_per_second(4) >= FPS_MIN
    assert viewer.statistics("audio")["packetsReceived"] > 50
    viewer.close()
