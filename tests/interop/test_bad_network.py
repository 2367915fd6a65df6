"""Real Chromium viewers behind a real proxy that loses, limits and darkens.

The host's network stays perfect. Machines that run tests are shared and noisy, so a viewer is
compared with what the host managed to encode in the same seconds; the absolute figures are those of
``python -m benchmarks network``.
"""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from benchmarks.network import BLACKOUT_S, NETWORKS, lane_of, watch
from benchmarks.rig.browsers import HostPage, ViewerPage
from benchmarks.rig.impairment_proxy import ImpairmentProxy, impaired_server
from benchmarks.rig.live_server import RunningServer

pytestmark = pytest.mark.browser

SETTLE_S = 4.0
WATCH_S = 8.0
# Without repair a viewer at 5 % loss gets a frame every three seconds.
SHARE_AT_5 = 0.7
SHARE_AT_20 = 0.3
LONGEST_GAP_AT_5_MS = 1500.0
RECOVERY_MS = 4000.0
# In temporal layers the least is a quarter of the host's frames.
LEAST_FPS_AT_300 = 5.0
LONGEST_GAP_AT_300_MS = 1000.0


@pytest.fixture(scope="module")
def impaired() -> Iterator[tuple[RunningServer, ImpairmentProxy]]:
    """A server whose media pass the proxy, for the module."""
    with impaired_server() as running:
        yield running


@pytest.fixture
def proxy(impaired: tuple[RunningServer, ImpairmentProxy]) -> ImpairmentProxy:
    """The network between everybody and the server."""
    return impaired[1]


@pytest.fixture
def server(impaired: tuple[RunningServer, ImpairmentProxy]) -> RunningServer:
    """The server behind the proxy, for the pages of ``conftest``."""
    return impaired[0]


@pytest.fixture
def live(host: HostPage, proxy: ImpairmentProxy) -> HostPage:
    """A host that is live, on a perfect network."""
    proxy.next_lane("host")
    host.go_live()
    return host


@pytest.fixture
def join(
    viewer_browser: Browser, server: RunningServer, room: str, live: HostPage
) -> Iterator[Callable[[], ViewerPage]]:
    """Lets one more viewer in, and waits until it plays; all are closed afterwards."""
    del live
    pages: list[ViewerPage] = []

    def one_more() -> ViewerPage:
        pages.append(ViewerPage(viewer_browser, server.url, room))
        pages[-1].until_playing()
        return pages[-1]

    yield one_more
    for page in pages:
        page.close()


def test_at_five_percent_loss_a_viewer_sees_nearly_every_frame(
    live: HostPage, join: Callable[[], ViewerPage], proxy: ImpairmentProxy
):
    lane = lane_of(proxy, "five", NETWORKS["loss 5 %"])
    viewer = join()
    viewer.wait(SETTLE_S)
    (seen,) = watch(live, [viewer], WATCH_S)
    assert lane.counters()["down"]["lost"] > 20
    assert seen.frames >= SHARE_AT_5 * seen.host_fps * WATCH_S
    assert seen.longest_ms < LONGEST_GAP_AT_5_MS


def test_at_twenty_percent_loss_it_degrades_and_does_not_disconnect(
    live: HostPage, join: Callable[[], ViewerPage], proxy: ImpairmentProxy
):
    lane_of(proxy, "twenty", NETWORKS["loss 20 %"])
    viewer = join()
    viewer.wait(SETTLE_S)
    (seen,) = watch(live, [viewer], WATCH_S)
    assert seen.rejoins == 0
    assert seen.frames >= SHARE_AT_20 * seen.host_fps * WATCH_S
    assert viewer.state == "live"
    assert viewer.page.evaluate("() => window.mediasrv.pc.connectionState") == "connected"


def test_after_a_blackout_of_five_seconds_the_picture_is_soon_back(
    live: HostPage, join: Callable[[], ViewerPage], proxy: ImpairmentProxy
):
    lane = lane_of(proxy, "dark", NETWORKS["blackout 5 s"])
    viewer = join()
    viewer.wait(SETTLE_S)
    (seen,) = watch(live, [viewer], BLACKOUT_S + WATCH_S, blackout=lane)
    assert seen.longest_ms >= (BLACKOUT_S - 1) * 1000, "it was not dark"
    assert seen.recovered_ms is not None
    assert seen.recovered_ms < RECOVERY_MS
    assert seen.rejoins == 0


def test_a_viewer_limited_to_300_kbps_keeps_playing_and_another_does_not_notice(
    live: HostPage, join: Callable[[], ViewerPage], proxy: ImpairmentProxy
):
    proxy.next_lane("free")
    other = join()
    lane_of(proxy, "narrow", NETWORKS["300 kb/s"])
    narrow = join()
    # The page turns the smaller picture on when the server says that somebody needs it.
    narrow.until(lambda: 0 < narrow.size()[0] < other.size()[0], "a smaller picture")
    narrow.wait(SETTLE_S)
    slow, fast = watch(live, [narrow, other], 2 * WATCH_S)
    assert slow.rejoins == 0
    assert slow.frames >= LEAST_FPS_AT_300 * 2 * WATCH_S
    assert slow.longest_ms < LONGEST_GAP_AT_300_MS
    assert fast.frames >= 0.8 * fast.host_fps * 2 * WATCH_S
    assert (fast.lost, fast.nacks, fast.plis) == (0, 0, 0)
