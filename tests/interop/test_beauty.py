"""The filter as a viewer's browser sees it: smoother skin, sharp eyes, never a broken frame."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmarks.browsers import HostPage, Pixels, RecordedFrame, ViewerPage
from tests.interop.conftest import CAPTURE_FRAMES

pytestmark = pytest.mark.browser

TOGGLES = 10
TOGGLE_EVERY_S = 2.0
FREEZE_LIMIT_MS = 500.0
# Two different moments of the clip correlate with 0.9 and more; a green, grey or torn frame with
# none of them.
LIKENESS_MIN = 0.9


@pytest.fixture(scope="module")
def moments(media: Path) -> Pixels:
    """Thumbnails of the clip that the host's camera plays, (N, 36, 64, 3) RGB."""
    with av.open(str(media / "clip_woman_1280x720.mp4")) as clip:
        frames = [
            cv2.resize(frame.to_ndarray(format="rgb24"), (64, 36), interpolation=cv2.INTER_AREA)
            for frame, _ in zip(clip.decode(video=0), range(CAPTURE_FRAMES), strict=False)
        ]
    return np.stack(frames[::4])


def test_toggling_ten_times_never_freezes_and_never_breaks_a_frame(
    host: HostPage, viewer: ViewerPage, moments: Pixels
):
    host.go_live()
    viewer.until_playing()
    viewer.until_size(1280, 720)
    subscriptions = viewer.page.evaluate("() => window.mediasrv.subscriptions")
    viewer.wait(2)
    viewer.record()
    for _ in range(TOGGLES):
        host.toggle_beauty()
        viewer.wait(TOGGLE_EVERY_S)
    frames = viewer.recorded()
    gaps_ms = np.diff([frame.at_ms for frame in frames])
    assert gaps_ms.max() < FREEZE_LIMIT_MS
    assert min(_likeness(frame, moments) for frame in frames) > LIKENESS_MIN
    assert viewer.page.evaluate("() => window.mediasrv.subscriptions") == subscriptions
    assert viewer.statistics("video")["packetsLost"] == 0


def test_sliders_move_while_live_and_the_server_says_so(host: HostPage, viewer: ViewerPage):
    host.go_live()
    host.toggle_beauty()
    host.until_filter("on")
    for value in (10, 90):
        host.set_slider("smooth", value)
        host.until(
            lambda wanted=value: (
                host.page.evaluate("() => window.mediasrv.filter.params.smooth") == wanted
            ),
            f"smooth {value}",
        )
    viewer.until_playing()


def _likeness(frame: RecordedFrame, moments: Pixels) -> float:
    """Return the correlation with the moment of the clip that fits best, colours included."""
    seen = _normalised(frame.thumbnail[None])
    return float((_normalised(moments) @ seen.T).max())


def _normalised(pictures: Pixels) -> np.ndarray:
    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)
