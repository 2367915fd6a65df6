"""Glass to glass through two real Chromiums: by way of a server, or straight to each other."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from playwright.sync_api import Browser, Page, Playwright

from benchmarks.latency.clocks import PageClock, read_clock, require_steady
from benchmarks.latency.feed import FPS, PICTURES
from benchmarks.latency.hops import Counted, pictures_by_hop
from benchmarks.latency.sightings import Observation, Sighting, captured_at
from benchmarks.latency.usage import CpuReading, cores_taken, read_cpu
from benchmarks.rig.browsers import (
    CHROMIUM,
    CHROMIUM_ARGS,
    RTP_STATISTICS,
    HostPage,
    ViewerPage,
)
from benchmarks.rig.live_server import RunningServer
from mediasrv.media import Codec

_SCRIPTS = Path(__file__).parent / "scripts"
ROOM = "glass"
# Before anything is measured; then until the host's estimate of its way is what the page allows.
# A low one spreads a frame's packets over 40 ms, and the filter leaves out what the next frame then
# overtakes: 10 to 40 % of the pictures in the first ten seconds on a busy machine.
SETTLE_S = 5.0
RATE_TIMEOUT_S, RATE_SHARE = 20.0, 0.9
# What the host page allows itself (web/js/publisher.js), for the path without it.
BITRATES_BPS = {(640, 360): 800_000, (1280, 720): 2_500_000, (1920, 1080): 4_500_000}
# Browsers hide addresses behind names that only a running mDNS responder resolves.
_DIRECT_ARGS = ["--disable-features=WebRtcHideLocalIpsWithMdns"]
_REMOTE_VIDEO = "[data-testid=remote-video]"

# Name of a mean to what is summed up and by what it is divided (WebRTC statistics).
_HOST_MEANS = {
    "encode_ms": ("totalEncodeTime", "framesEncoded"),
    "pacer_ms": ("totalPacketSendDelay", "packetsSent"),
}
_VIEWER_MEANS = {
    "assembly_ms": ("totalAssemblyTime", "framesAssembledFromMultiplePackets"),
    "jitter_buffer_ms": ("jitterBufferDelay", "jitterBufferEmittedCount"),
    "buffer_target_ms": ("jitterBufferTargetDelay", "jitterBufferEmittedCount"),
    "buffer_minimum_ms": ("jitterBufferMinimumDelay", "jitterBufferEmittedCount"),
    "decode_ms": ("totalDecodeTime", "framesDecoded"),
    "received_to_decoded_ms": ("totalProcessingDelay", "framesDecoded"),
}


def launch(playwright: Playwright) -> Browser:
    """Start a Chromium that may meet another one directly."""
    return playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*CHROMIUM_ARGS, *_DIRECT_ARGS]
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """What the camera shows and how it is encoded.

    Attributes:
        size: Width and height, px.
        codec: Of the host, the only one it offers.
        clip_url: Where the pictures are.
        sound: Whether the host has a microphone as well.
        fps: Of the camera; see ``feed.FPS`` for why it is none of the usual ones.
    """

    size: tuple[int, int]
    codec: Codec
    clip_url: str
    sound: bool = False
    fps: float = FPS

    def host_scripts(self) -> list[str]:
        """What the host's page runs before its own scripts."""
        width, height = self.size
        camera = {
            "url": self.clip_url,
            "width": width,
            "height": height,
            "count": PICTURES,
            "fps": self.fps,
            "sound": self.sound,
        }
        return [
            *self._codec_scripts(),
            _script("timecode"),
            f"window.glassCamera = {json.dumps(camera)};",
            _script("camera"),
        ]

    def viewer_scripts(self) -> list[str]:
        """What the viewer's page runs before its own scripts."""
        return [*self._codec_scripts(), _script("timecode"), _script("screen")]

    def _codec_scripts(self) -> list[str]:
        return [f"window.glassCodec = {json.dumps(self.codec.upper())};", _script("codec")]


@dataclass
class Pair:
    """A host's page and a viewer's, connected, with their clocks.

    Attributes:
        host: Where the camera is.
        viewer: Where the screen is.
        video: The viewer's video element, as a selector.
        server: What is between them, if anything.
        rows: What the screen noted in the last window, as it came.
    """

    host: Page
    viewer: Page
    video: str
    server: RunningServer | None = None
    rows: list[list[Any]] = field(default_factory=list)

    def observe(self, seconds: float) -> Observation:
        """Watch for some time.

        Raises:
            MeasurementRefused: The clocks do not agree.
        """
        clocks = read_clock(self.host), read_clock(self.viewer)
        before, cpu_before = self._counted(), self._cpu()
        self.host.evaluate("() => Object.assign(window.glassHost, { sent: 0, late: 0 })")
        self.viewer.evaluate(f"() => window.glassWatch(document.querySelector('{self.video}'))")
        began_ms = self.viewer.evaluate("performance.now()")
        self.viewer.wait_for_timeout(1000 * seconds)
        self.rows = self.viewer.evaluate("() => window.glassSeen()")
        ended_ms = self.viewer.evaluate("performance.now()")
        camera = self.host.evaluate("window.glassHost")
        after, cores = self._counted(), cores_taken(cpu_before, self._cpu())
        for page, clock in zip((self.host, self.viewer), clocks, strict=True):
            require_steady(clock, read_clock(page))
        seconds = (ended_ms - began_ms) / 1000
        return self._observation(clocks, camera, seconds, (before, after), cores)

    def _observation(
        self,
        clocks: tuple[PageClock, PageClock],
        camera: dict[str, int],
        seconds: float,
        counted: tuple[Counted, Counted],
        cores: dict[str, float],
    ) -> Observation:
        host, viewer = clocks
        readable = [row for row in self.rows if row[0] is not None]
        sizes = [(int(row[8]), int(row[9])) for row in self.rows]
        return Observation(
            [sighting(row, host, viewer) for row in readable],
            unread=len(self.rows) - len(readable),
            sent=camera["sent"],
            late=camera["late"],
            seconds=seconds,
            size=max(set(sizes), key=sizes.count, default=(0, 0)),
            clock_bracket_ms=max(host.bracket_ms, viewer.bracket_ms),
            browsers={**means_ms(*counted), **_reading(self.rows)},
            target_bps=counted[1].host.get("targetBitrate"),
            pictures=pictures_by_hop(camera["sent"], *counted, [row[7] for row in self.rows]),
            cores=cores,
        )

    def _counted(self) -> Counted:
        host = self.host.evaluate(RTP_STATISTICS, "video")
        viewer = self.viewer.evaluate(RTP_STATISTICS, "video")
        to_filter = None if self.server is None else self.server.counter("frames_to_filter")
        return Counted(host, viewer, to_filter)

    def _cpu(self) -> CpuReading:
        hosts, viewers = self.host.context.browser, self.viewer.context.browser
        assert hosts is not None
        assert viewers is not None
        return read_cpu(hosts, viewers, self.server)


def means_ms(before: Counted, after: Counted) -> dict[str, float]:
    """Return what the browsers tell of a frame's way through them, means of a window, in ms."""
    means: dict[str, float] = {}
    for wanted, old, new in (
        (_HOST_MEANS, before.host, after.host),
        (_VIEWER_MEANS, before.viewer, after.viewer),
    ):
        for name, (total, count) in wanted.items():
            events = new.get(count, 0) - old.get(count, 0)
            if events > 0:
                means[name] = 1000 * (new.get(total, 0) - old.get(total, 0)) / events
    return means


def sighting(row: list[Any], host: PageClock, viewer: PageClock) -> Sighting:
    """Put a row of ``scripts/screen.js`` on our clock; its code could be read."""
    stamp, shown, _, _, received, decoding, rtp_ticks = row[:7]
    shown_ms = shown + viewer.offset_ms
    return Sighting(
        captured_at(stamp, shown_ms - host.offset_ms) + host.offset_ms,
        shown_ms,
        None if received is None else received + viewer.offset_ms,
        decoding,
        rtp_ticks,
    )


def _reading(rows: list[list[Any]]) -> dict[str, float]:
    spent = [row[10] for row in rows if row[10] is not None]
    return {"reading_ms": sum(spent) / len(spent)} if spent else {}


@contextmanager
def through_server(
    hosts: Browser,
    viewers: Browser,
    server: RunningServer,
    setting: Setting,
    *,
    filtered: bool,
    host_is_live: Callable[[], object] = lambda: None,
) -> Iterator[Pair]:
    """Let a host go live on our pages and a viewer watch, and wait until both have settled.

    Args:
        hosts: The host's browser.
        viewers: The viewer's.
        server: Its starting parameters are what the filter does.
        setting: Of the camera.
        filtered: Whether the filter is on.
        host_is_live: Called before the viewer comes.
    """
    host = HostPage(hosts, server.url, ROOM, setting.host_scripts())
    host.page.get_by_test_id("quality-select").select_option(f"{setting.size[1]}p")
    if filtered:
        host.toggle_beauty()
    host.go_live()
    host_is_live()
    viewer = ViewerPage(viewers, server.url, ROOM, setting.viewer_scripts())
    viewer.until_playing()
    if filtered:
        host.until_filter("on")
    viewer.wait(SETTLE_S)
    _until_full_rate(host.page, setting)
    yield Pair(host.page, viewer.page, _REMOTE_VIDEO, server)
    viewer.close()
    host.close()


@contextmanager
def straight(hosts: Browser, viewers: Browser, url: str, setting: Setting) -> Iterator[Pair]:
    """Connect two empty pages of ``url`` directly: no server and no page of ours."""
    contexts = [hosts.new_context(permissions=["camera", "microphone"]), viewers.new_context()]
    host, viewer = (context.new_page() for context in contexts)
    scripts = ([*setting.host_scripts()], [*setting.viewer_scripts()])
    for page, own in zip((host, viewer), scripts, strict=True):
        for script in (*own, _script("direct")):
            page.add_init_script(script)
        page.goto(f"{url}/")
    offer = host.evaluate("(bps) => window.glassOffer(bps)", BITRATES_BPS[setting.size])
    host.evaluate(
        "(sdp) => window.glassConnect(sdp)",
        viewer.evaluate("(sdp) => window.glassAnswer(sdp)", offer),
    )
    viewer.wait_for_function("() => document.querySelector('video').videoWidth > 2")
    viewer.wait_for_timeout(1000 * SETTLE_S)
    _until_full_rate(host, setting)
    yield Pair(host, viewer, "video")
    for context in contexts:
        context.close()


def _until_full_rate(host: Page, setting: Setting) -> None:
    """Wait until the host's encoder may take what the page allows it; not for ever."""
    deadline = monotonic() + RATE_TIMEOUT_S
    while monotonic() < deadline:
        target_bps = host.evaluate(RTP_STATISTICS, "video").get("targetBitrate", 0)
        if target_bps >= RATE_SHARE * BITRATES_BPS[setting.size]:
            return
        host.wait_for_timeout(250)


def _script(name: str) -> str:
    return (_SCRIPTS / f"{name}.js").read_text()
