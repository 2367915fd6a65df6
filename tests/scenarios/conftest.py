"""What scenarios with real workers get: a clip, and shows that end with their test."""

import psutil
import pytest

from mediasrv.media import Codec
from mediasrv.processing import (
    BeautyStream,
    SpareWorkers,
)
from tests.encoded_clips import read_clip
from tests.scenarios.worker_show import STAND_IN, Show, is_worker


@pytest.fixture(params=Codec, ids=str)
def codec(request):
    return request.param


@pytest.fixture(scope="module")
def clip(media):
    return read_clip(media / "clip_man_glasses_512x480.mp4", 120, size=(320, 300))


@pytest.fixture
async def open_show(clip):
    shows, all_spares = [], []

    async def open_show(
        codec,
        config=STAND_IN,
        images=clip,
        parameters=None,
        spares=None,
        stream_class=BeautyStream,
    ):
        if spares is None:
            spares = SpareWorkers(config)
            all_spares.append(spares)
        show = Show(config, spares, codec, images, parameters, stream_class)
        shows.append(show)
        await show.stream.open()
        return show

    yield open_show
    for show in shows:
        await show.stream.close()
    for spares in all_spares:
        await spares.close()
    assert not [child for child in psutil.Process().children() if is_worker(child)]
