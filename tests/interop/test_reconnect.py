"""The cable is pulled: what a host, and the viewers who do nothing, see of it."""

import pytest
from playwright.sync_api import Browser

from benchmarks.rig.browsers import HostPage, ViewerPage
from benchmarks.rig.live_server import RunningServer
from tests.interop.tcp_proxy import running_proxy

pytestmark = pytest.mark.browser

# A browser logs every connection that fails; these are the ones that the tests provoke.
_EXPECTED = ("WebSocket", "ERR_", "Failed to load resource")


def _forget_expected_faults(page: HostPage | ViewerPage) -> None:
    page.faults = [f for f in page.faults if not any(word in f for word in _EXPECTED)]


def test_a_host_whose_socket_drops_comes_back_and_viewers_never_rejoin(
    host_browser: Browser, viewer: ViewerPage, server: RunningServer, room: str
):
    with running_proxy(server.url) as proxy:
        host = HostPage(host_browser, proxy.url, room)
        host.go_live()
        viewer.until_playing()
        subscriptions = viewer.page.evaluate("() => window.mediasrv.subscriptions")
        publications = host.page.evaluate("() => window.mediasrv.publications")
        proxy.cut()
        host.until(lambda: host.state == "reconnecting", "the host knows")
        viewer.until_state("host-away")
        viewer.until_frames(viewer.statistics("video")["framesDecoded"] + 20)
        proxy.mend()
        host.until_state("live")
        viewer.until_state("live")
        viewer.until_frames(viewer.statistics("video")["framesDecoded"] + 20)
        assert viewer.page.evaluate("() => window.mediasrv.subscriptions") == subscriptions
        assert host.page.evaluate("() => window.mediasrv.publications") == publications
        _forget_expected_faults(host)
        host.close()


def test_a_host_that_stays_away_ends_the_broadcast(
    host_browser: Browser, viewer: ViewerPage, server: RunningServer, room: str
):
    with running_proxy(server.url) as proxy:
        host = HostPage(host_browser, proxy.url, room)
        host.go_live()
        viewer.until_playing()
        proxy.cut()
        viewer.until_state("host-away")
        viewer.until(lambda: viewer.state in ("ended", "waiting"), "the end", 15)
        _forget_expected_faults(host)
        host.close()


def test_a_viewer_whose_socket_drops_keeps_the_picture(
    host: HostPage, viewer_browser: Browser, server: RunningServer, room: str
):
    host.go_live()
    with running_proxy(server.url) as proxy:
        viewer = ViewerPage(viewer_browser, proxy.url, room)
        viewer.until_playing()
        proxy.cut()
        viewer.until_frames(viewer.statistics("video")["framesDecoded"] + 30)
        proxy.mend()
        viewer.until_state("live")
        viewer.until_frames(viewer.statistics("video")["framesDecoded"] + 30)
        _forget_expected_faults(viewer)
        viewer.close()
