from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from prometheus_client.parser import text_string_to_metric_families

from mediasrv.delays import BOUNDS_S, DelayHistogram
from mediasrv.http.metrics import metrics_router
from mediasrv.transport.burst import BurstCounters
from mediasrv.transport.endpoint import EndpointCounters
from tests.studio import Studio


def node(**studios: Studio) -> SimpleNamespace:
    return SimpleNamespace(
        rooms={
            name: SimpleNamespace(broadcast=studio.broadcast, forward_delay=DelayHistogram())
            for name, studio in studios.items()
        },
        endpoint_counters=EndpointCounters(unknown_path=7),
        burst_counters=BurstCounters(packets_sent=11),
        peer_count=3,
    )


async def scrape(observed: SimpleNamespace) -> dict[tuple[str, str, str], float]:
    """Samples by name, room and kind (or fate, or bound)."""
    app = FastAPI()
    app.include_router(metrics_router(lambda: observed))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = dict(sample.labels)
            room = labels.pop("room", "")
            found[sample.name, room, next(iter(labels.values()), "")] = sample.value
    return found


@pytest.fixture
def studio() -> Studio:
    studio = Studio()
    studio.publish()
    studio.join("v")
    studio.shoot(3, keyframe=True, count=2)
    return studio


async def test_every_room_and_track_tells_what_was_sent(studio):
    samples = await scrape(node(otter=studio, empty=Studio()))
    assert samples["mediasrv_packets_sent_total", "otter", "video"] == 6
    assert samples["mediasrv_packets_in_total", "otter", "video"] == 6
    assert samples["mediasrv_packets_sent_total", "otter", "audio"] == 0
    assert samples["mediasrv_packets_sent_total", "empty", "video"] == 0
    assert samples["mediasrv_viewers", "otter", ""] == 1


async def test_counters_do_not_fall_when_a_viewer_leaves(studio):
    studio.broadcast.unsubscribe("v")
    samples = await scrape(node(otter=studio))
    assert samples["mediasrv_packets_sent_total", "otter", "video"] == 6
    assert samples["mediasrv_viewers", "otter", ""] == 0


async def test_repairs_and_keyframe_requests_are_counted(studio):
    numbers = [packet.sequence for packet in studio.video("v")]
    studio.pass_time(2)
    studio.shoot(1)
    studio.broadcast.tracks["video"].resend("v", [numbers[-1] + 2], studio.now, 0.1)
    studio.join("late")
    samples = await scrape(node(otter=studio))
    assert samples["mediasrv_repaired_total", "otter", "video"] == 1
    assert samples["mediasrv_keyframe_requests_sent_total", "otter", ""] == 1


async def test_dropped_datagrams_and_bursts_are_counted(studio):
    samples = await scrape(node(otter=studio))
    assert samples["mediasrv_datagrams_total", "", "unknown_path"] == 7
    assert samples["mediasrv_burst_packets_sent_total", "", ""] == 11
    assert samples["mediasrv_peers", "", ""] == 3


async def test_the_delay_histogram_is_cumulative(studio):
    observed = node(otter=studio)
    for delay_s in (0.00001, 0.0005, 0.0005, 5.0):
        observed.rooms["otter"].forward_delay.note(delay_s)
    samples = await scrape(observed)
    name = "mediasrv_forward_delay_seconds"
    assert samples[f"{name}_bucket", "otter", repr(BOUNDS_S[0])] == 1
    assert samples[f"{name}_bucket", "otter", "0.001"] == 3
    assert samples[f"{name}_bucket", "otter", "+Inf"] == 4
    assert samples[f"{name}_count", "otter", ""] == 4
    assert samples[f"{name}_sum", "otter", ""] == pytest.approx(5.00101)


async def test_what_the_host_loses_is_told_until_it_comes(studio):
    lost, *kept = studio.camera.shoot(keyframe=False, count=3)
    studio.receive(*kept)
    studio.pass_time(0.03)
    samples = await scrape(node(otter=studio, empty=Studio()))
    assert samples["mediasrv_packets_lost", "otter", "video"] == 1
    assert samples["mediasrv_packets_asked_again", "otter", "video"] == 1
    assert samples["mediasrv_packets_given_up", "otter", "video"] == 0
    studio.receive(lost)
    samples = await scrape(node(otter=studio))
    assert samples["mediasrv_packets_lost", "otter", "video"] == 0
