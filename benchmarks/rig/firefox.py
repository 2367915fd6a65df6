"""Firefox ESR, driven by Marionette, with its built-in fake camera."""

import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # The driver and what it imports are older than several rules of Python.
    warnings.simplefilter("ignore")
    from marionette_driver.marionette import Marionette

FIREFOX = "/usr/bin/firefox-esr"
START_TIMEOUT_S = 60.0
TIMEOUT_S = 20.0

# Fake devices without a prompt, and nothing that Firefox does on its own account.
_PREFERENCES: dict[str, object] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}

_STATISTICS = """
const [kind, done] = arguments;
const pc = window.wrappedJSObject.mediasrv.pc;
if (!pc) { done({}); return; }
pc.getStats().then((report) => {
  const found = {};
  report.forEach((r) => {
    if (r.type.endsWith("-rtp") && r.kind === kind && !r.type.startsWith("remote")) {
      for (const key of Object.keys(r)) found[key] = r[key];
    }
  });
  done(found);
});
"""


class FirefoxPage:
    """One tab of Firefox on one of our pages."""

    def __init__(self, marionette: Marionette) -> None:
        self._marionette = marionette

    def open(self, url: str) -> None:
        """Go to a page."""
        self._marionette.navigate(url)

    def click(self, test_id: str) -> None:
        """Click what carries the test id."""
        self._marionette.find_element("css selector", f"[data-testid={test_id}]").click()

    @property
    def state(self) -> str:
        """What data-state of the live state says."""
        element = self._marionette.find_element("css selector", "[data-testid=live-state]")
        return str(element.get_attribute("data-state"))

    def statistics(self, kind: str) -> dict[str, Any]:
        """RTP statistics of the one stream of ``kind``."""
        found: dict[str, Any] = self._marionette.execute_async_script(
            _STATISTICS, script_args=[kind]
        )
        return found

    def until(self, holds: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until ``holds``."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"Firefox, not in {timeout_s} s: {what}"
            time.sleep(0.1)

    def frames_per_second(self, seconds: float, counter: str) -> float:
        """How fast a frame counter of the video statistics grows."""
        before, started = self.statistics("video")[counter], time.monotonic()
        time.sleep(seconds)
        after = self.statistics("video")[counter]
        return float((after - before) / (time.monotonic() - started))


@contextmanager
def running_firefox() -> Iterator[FirefoxPage]:
    """Start Firefox with a new profile; it has ended afterwards."""
    with tempfile.TemporaryDirectory() as profile:
        port = _free_port()
        preferences = {**_PREFERENCES, "marionette.port": port}
        lines = [f"user_pref({_js(k)}, {_js(v)});" for k, v in preferences.items()]
        (Path(profile) / "user.js").write_text("\n".join(lines))
        process = subprocess.Popen(
            [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", profile],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        marionette = Marionette(host="127.0.0.1", port=port, startup_timeout=START_TIMEOUT_S)
        try:
            marionette.start_session(timeout=START_TIMEOUT_S)
            marionette.timeout.script = TIMEOUT_S
            yield FirefoxPage(marionette)
            marionette.delete_session(send_request=False)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _js(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else f'"{value}"'
