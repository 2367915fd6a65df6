"""Waiting for what a page comes to."""

import time

from playwright.sync_api import Page, expect

from tests.unit.mediasrv.web.fake_server import FakeServer

STEP_MS = 50


def until(page: Page, expression: str, timeout_s: float = 15.0) -> None:
    """Wait until an expression holds in the page.

    Playwright's own wait_for_function compiles its text in the page, which our policy forbids.
    """
    deadline = time.monotonic() + timeout_s
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {expression}"
        page.wait_for_timeout(STEP_MS)


def until_state(page: Page, state: str) -> None:
    """Wait for the live state."""
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", state, timeout=15_000)


def fail_media(page: Page) -> None:
    """Let the page's connection report what it reports when its path is dead, but at once."""
    page.evaluate("""() => {
      const { pc } = window.mediasrv;
      Object.defineProperty(pc, "connectionState", { value: "failed" });
      pc.dispatchEvent(new Event("connectionstatechange"));
    }""")


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
