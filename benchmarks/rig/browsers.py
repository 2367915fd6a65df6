"""Real browsers in front of the real pages: what a host and a viewer do and see.

For benchmarks and for tests; needs the development environment (Playwright) and Chromium.
"""

import base64
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from benchmarks.rig.capture import write_capture

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=fps=30",
    "--autoplay-policy=no-user-gesture-required",
]
TIMEOUT_S = 20.0
# Four seconds, played over and over.
CLIP_FRAMES = 120

RTP_STATISTICS = """async (kind) => {
  const found = {};
  const pc = window.mediasrv.pc;
  if (!pc) return found;
  (await pc.getStats()).forEach((r) => {
    if (r.type.endsWith("-rtp") && r.kind === kind && !r.type.startsWith("remote")) {
      // Of a host's qualities the best one: the others come and go.
      if ((r.frameWidth ?? 0) >= (found.frameWidth ?? 0)) Object.assign(found, r);
    }
  });
  return found;
}"""

_PICTURE = """() => {
  const video = document.querySelector("[data-testid=remote-video]");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
}"""

# Every presented frame, as a thumbnail of the whole and a cut of the top left corner.
_RECORD = """() => {
  const video = document.querySelector("[data-testid=remote-video]");
  const whole = document.createElement("canvas");
  const corner = document.createElement("canvas");
  [whole.width, whole.height, corner.width, corner.height] = [64, 36, 64, 64];
  const options = { willReadFrequently: true };
  const [ofWhole, ofCorner] = [whole, corner].map((c) => c.getContext("2d", options));
  const pixels = (context, canvas) => {
    const bytes = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let text = "";
    for (let i = 0; i < bytes.length; i += 4096) {
      text += String.fromCharCode(...bytes.subarray(i, i + 4096));
    }
    return btoa(text);
  };
  window.recorded = [];
  const step = (now, frame) => {
    ofWhole.drawImage(video, 0, 0, 64, 36);
    ofCorner.drawImage(video, 0, 0, 64, 64, 0, 0, 64, 64);
    window.recorded.push([now, pixels(ofWhole, whole), pixels(ofCorner, corner)]);
    video.requestVideoFrameCallback(step);
  };
  video.requestVideoFrameCallback(step);
}"""

Pixels = npt.NDArray[np.uint8]


class RecordedFrame:
    """One frame that a viewer saw: when, a thumbnail (36, 64, 3) and the corner (64, 64, 3)."""

    def __init__(self, at_ms: float, whole: str, corner: str) -> None:
        self.at_ms = at_ms
        self.thumbnail = _rgb(whole, 36, 64)
        self.corner = _rgb(corner, 64, 64)


def longest_gap_ms(frames: Sequence[RecordedFrame]) -> float:
    """Return the longest time between two frames that a viewer saw."""
    return max(after.at_ms - before.at_ms for before, after in pairwise(frames))


def _rgb(encoded: str, height: int, width: int) -> Pixels:
    raw = np.frombuffer(base64.b64decode(encoded), np.uint8)
    return raw.reshape(height, width, 4)[:, :, :3]


def launch_chromium(playwright: Playwright, capture: Path | None = None) -> Browser:
    """Start Chromium, with a y4m file as its camera when given."""
    args = list(CHROMIUM_ARGS)
    if capture is not None:
        args.append(f"--use-file-for-fake-video-capture={capture}")
    return playwright.chromium.launch(executable_path=CHROMIUM, args=args)


@contextmanager
def two_browsers(clip: Path | None = None) -> Iterator[tuple[Browser, Browser]]:
    """Start one Chromium for hosts and one for viewers; both have ended afterwards.

    Args:
        clip: The hosts' camera; None for Chromium's own test pattern.
    """
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        capture = None
        if clip is not None:
            capture = write_capture(clip, Path(scratch) / "clip.y4m", frames=CLIP_FRAMES)
        with (
            launch_chromium(playwright, capture) as hosts,
            launch_chromium(playwright) as viewers,
        ):
            yield hosts, viewers


class _RoomPage:
    def __init__(self, browser: Browser, url: str, scripts: Sequence[str] = ()) -> None:
        self.faults: list[str] = []
        # Scripts of a benchmark may fetch what the pages themselves may not.
        self.context = browser.new_context(
            permissions=["camera", "microphone"], bypass_csp=bool(scripts)
        )
        self.page: Page = self.context.new_page()
        for script in scripts:
            self.page.add_init_script(script)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._note)
        self.page.goto(url)

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    @property
    def state(self) -> str:
        """What data-state of the live state says."""
        return self.page.get_by_test_id("live-state").get_attribute("data-state") or ""

    def until_state(self, state: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait for the live state."""
        self.page.wait_for_selector(
            f"[data-testid=live-state][data-state={state}]", timeout=timeout_s * 1000
        )

    def until(self, holds: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until ``holds``, letting the browser go on meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"not in {timeout_s} s: {what}"
            self.page.wait_for_timeout(100)

    def statistics(self, kind: str) -> dict[str, Any]:
        """RTP statistics of the one stream of ``kind``, as getStats has them."""
        found: dict[str, Any] = self.page.evaluate(RTP_STATISTICS, kind)
        return found

    def wait(self, seconds: float) -> None:
        """Let time pass in the browser."""
        self.page.wait_for_timeout(seconds * 1000)

    def close(self) -> None:
        """Close the page; fails when it threw or logged errors."""
        self.context.close()
        assert not self.faults, self.faults


class HostPage(_RoomPage):
    """The host studio."""

    def __init__(self, browser: Browser, url: str, room: str, scripts: Sequence[str] = ()) -> None:
        super().__init__(browser, f"{url}/host/{room}", scripts)

    def go_live(self) -> None:
        """Click, and wait until the studio says that it is live."""
        self.page.get_by_test_id("go-live").click()
        self.until_state("live")

    def stop(self) -> None:
        """Stop the broadcast."""
        self.page.get_by_test_id("stop-live").click()
        self.until_state("idle")

    def toggle_beauty(self) -> None:
        """Click the switch, which the first time is the consent as well."""
        self.page.get_by_test_id("beauty-toggle").click()

    def withdraw_consent(self) -> None:
        """Take the consent back."""
        self.page.get_by_test_id("beauty-withdraw").click()

    def set_slider(self, name: str, value: int) -> None:
        """Move a slider."""
        self.page.get_by_test_id(f"slider-{name}").fill(str(value))

    def until_filter(self, state: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait for the filter state that the server tells."""
        self.until(
            lambda: self.page.evaluate("() => window.mediasrv.filter?.state") == state,
            f"filter {state}",
            timeout_s,
        )


class ViewerPage(_RoomPage):
    """The watch page."""

    def __init__(self, browser: Browser, url: str, room: str, scripts: Sequence[str] = ()) -> None:
        super().__init__(browser, f"{url}/watch/{room}", scripts)

    def until_playing(self, timeout_s: float = TIMEOUT_S) -> float:
        """Wait for the first picture; returns milliseconds since the offer went out."""
        self.page.wait_for_function(
            "() => window.mediasrv?.firstFrameMs != null", timeout=timeout_s * 1000
        )
        return float(self.page.evaluate("() => window.mediasrv.firstFrameMs"))

    def from_navigation_ms(self) -> float:
        """Milliseconds from the click on a link to this page until its first picture."""
        found = self.page.evaluate("() => window.mediasrv.offerAtMs + window.mediasrv.firstFrameMs")
        return float(found)

    def until_size(self, width: int, height: int, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until pictures have this size."""
        self.until(lambda: self.size() == (width, height), f"{width}x{height}", timeout_s)

    def until_frames(self, count: int, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until this many frames have been decoded."""
        self.until(
            lambda: self.statistics("video").get("framesDecoded", 0) >= count,
            f"{count} frames",
            timeout_s,
        )

    def size(self) -> tuple[int, int]:
        """Width and height of the present picture."""
        width, height = self.page.evaluate(
            "() => { const v = document.querySelector('[data-testid=remote-video]');"
            " return [v.videoWidth, v.videoHeight]; }"
        )
        return width, height

    def frames_per_second(self, seconds: float) -> float:
        """Decoded frames per second over the next ``seconds``."""
        before = self.statistics("video")
        self.wait(seconds)
        after = self.statistics("video")
        elapsed_s = (after["timestamp"] - before["timestamp"]) / 1000
        return float((after["framesDecoded"] - before["framesDecoded"]) / elapsed_s)

    def picture(self) -> Pixels:
        """The present picture, RGB (H, W, 3)."""
        png = base64.b64decode(self.page.evaluate(_PICTURE))
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def record(self) -> None:
        """Begin to note every presented frame."""
        self.page.evaluate(_RECORD)

    def recorded(self) -> list[RecordedFrame]:
        """Take the frames since the last call."""
        rows = self.page.evaluate("() => window.recorded.splice(0)")
        return [RecordedFrame(*row) for row in rows]
