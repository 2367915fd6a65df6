"""A Chromium, the fake server, and pages that may not fail in silence."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from benchmarks.rig.browsers import launch_chromium
from tests.unit.mediasrv.web.fake_server import FakeServer, running

TIMEOUT_MS = 15_000

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch_chromium(playwright) as chromium:
        yield chromium


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running(FakeServer()) as fake:
        yield fake


@pytest.fixture
def context(browser: Browser, server: FakeServer) -> Iterator[BrowserContext]:
    """A browser profile in which camera and microphone were allowed before.

    It is closed before the server, which would else wait for its sockets.
    """
    del server
    context = browser.new_context(permissions=["camera", "microphone"])
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def open_page(context: BrowserContext, server: FakeServer) -> Iterator[OpenPage]:
    """Opens an address of the server; any error that a page throws or logs fails the test."""
    faults: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # What the browser itself logs for a socket or an answer that a test made fail.
        expected = "WebSocket connection to" in message.text or "Failed to load" in message.text
        if message.type == "error" and not expected:
            faults.append(message.text)

    def open_(path: str, script: str = "", **arguments: Any) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", note)
        if script:
            page.add_init_script(script)
        page.goto(server.url + path, **arguments)
        return page

    yield open_
    assert not faults, faults
