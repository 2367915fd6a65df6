"""Browsers, a server and a camera that plays a real clip."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from benchmarks.rig.browsers import CHROMIUM, HostPage, ViewerPage, launch_chromium
from benchmarks.rig.capture import write_capture
from benchmarks.rig.live_server import RunningServer, running_server

CAPTURE_FRAMES = 120  # four seconds, which the browser's fake camera plays in a loop


@pytest.fixture(scope="session")
def capture(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 720p clip as raw video, for Chromium's fake camera."""
    target = tmp_path_factory.mktemp("capture") / "clip.y4m"
    return write_capture(media / "clip_woman_1280x720.mp4", target, frames=CAPTURE_FRAMES)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright, for one module: its loop must not outlive the synchronous tests."""
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: run make test, or apt-get install chromium")
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def host_browser(playwright: Playwright, capture: Path) -> Iterator[Browser]:
    """Chromium with the clip as its camera."""
    browser = launch_chromium(playwright, capture)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def viewer_browser(playwright: Playwright) -> Iterator[Browser]:
    """Another Chromium."""
    browser = launch_chromium(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server for one module."""
    with running_server() as running:
        yield running


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """A room name of one's own."""
    return f"r{abs(hash(request.node.nodeid)) % 10**9}"


@pytest.fixture
def host(host_browser: Browser, server: RunningServer, room: str) -> Iterator[HostPage]:
    """A host studio that is not live yet."""
    page = HostPage(host_browser, server.url, room)
    yield page
    page.close()


@pytest.fixture
def viewer(viewer_browser: Browser, server: RunningServer, room: str) -> Iterator[ViewerPage]:
    """A viewer of the same room."""
    page = ViewerPage(viewer_browser, server.url, room)
    yield page
    page.close()
