"""``/metrics``: what the node has carried, dropped and repaired, for Prometheus.

Counters are kept where things happen, as plain integers; they are read only when somebody asks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Protocol

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from mediasrv.delays import BOUNDS_S, DelayHistogram
from mediasrv.relay.broadcast import Broadcast, BroadcastCounters
from mediasrv.relay.outlet import ForwarderCounters
from mediasrv.relay.reception import Reception
from mediasrv.transport.burst import BurstCounters
from mediasrv.transport.endpoint import EndpointCounters

_FORWARDED = {
    "packets_sent": "RTP packets sent to viewers, repairs not counted.",
    "octets_sent": "Their payload bytes.",
    "sends_failed": "Sends that the kernel refused; such viewers wait for a keyframe.",
    "layered_out": "Packets left out for viewers with little bandwidth.",
    "repaired": "Packets sent again because viewers had lost them.",
    "repairs_refused": "Requests for packets that would have come too late or too often.",
    "repairs_missed": "Requests for packets that were forgotten or never sent.",
}
_INCOMING = {
    "malformed_rtp": "RTP packets of the host that were dropped as malformed.",
    "malformed_rtcp": "RTCP packets that were dropped as malformed.",
    "foreign_packets": "RTP packets of the host that belong to no track.",
    "frames_to_filter": "Encoded frames that went to the filter.",
}


# Of the host's present streams: gauges, because each stream begins at 0 and lost packets may come.
_RECEIVED: dict[str, tuple[str, Callable[[Reception], int]]] = {
    "packets_lost": ("RTP packets of the host that have not come.", lambda r: max(0, r.lost)),
    "packets_asked_again": ("Packets that the host was asked for again.", lambda r: r.nacks.asked),
    "packets_given_up": ("Packets that it was asked for in vain.", lambda r: r.nacks.gave_up),
}


class RoomMediaView(Protocol):
    """What the metrics read of a room."""

    broadcast: Broadcast
    forward_delay: DelayHistogram


class NodeView(Protocol):
    """What the metrics read of a node."""

    @property
    def rooms(self) -> Mapping[str, RoomMediaView]:
        """The media of each room."""

    @property
    def endpoint_counters(self) -> EndpointCounters:
        """Datagrams by fate."""

    @property
    def burst_counters(self) -> BurstCounters:
        """What left in bursts."""

    @property
    def peer_count(self) -> int:
        """Transports that are not closed."""


def metrics_router(node: Callable[[], NodeView]) -> APIRouter:
    """Build ``/metrics``.

    Args:
        node: Returns the node, asked at every request.
    """
    registry = CollectorRegistry()
    registry.register(_NodeCollector(node))
    router = APIRouter()

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


class _NodeCollector:
    """Reads the node's counters into metric families."""

    def __init__(self, node: Callable[[], NodeView]) -> None:
        self._node = node

    def describe(self) -> Iterable[Metric]:
        """Name nothing in advance: before the server runs there is no node to read."""
        return []

    def collect(self) -> Iterator[Metric]:
        node = self._node()
        yield from _endpoint_metrics(node)
        yield from _incoming_metrics(node.rooms)
        yield from _received_metrics(node.rooms)
        yield from _forwarded_metrics(node.rooms)
        yield from _room_metrics(node.rooms)
        yield _forward_delay(node.rooms)


def _counter(name: str, help_text: str, labels: list[str]) -> CounterMetricFamily:
    return CounterMetricFamily(f"mediasrv_{name}", help_text, labels=labels)


def _endpoint_metrics(node: NodeView) -> Iterator[Metric]:
    datagrams = _counter("datagrams", "Datagrams by fate; all but checks were dropped.", ["fate"])
    for fate, count in node.endpoint_counters.as_dict().items():
        datagrams.add_metric([fate], count)
    yield datagrams
    bursts = node.burst_counters
    for field in fields(bursts):
        family = _counter(f"burst_{field.name}", "Of sends to many viewers at once.", [])
        family.add_metric([], getattr(bursts, field.name))
        yield family
    yield GaugeMetricFamily("mediasrv_peers", "Transports that are open.", value=node.peer_count)


def _incoming_metrics(rooms: Mapping[str, RoomMediaView]) -> Iterator[Metric]:
    for name, help_text in _INCOMING.items():
        family = _counter(name, help_text, ["room"])
        for room, media in rooms.items():
            counters: BroadcastCounters = media.broadcast.counters
            family.add_metric([room], getattr(counters, name))
        yield family
    packets = _counter("packets_in", "RTP packets accepted from the host or filter.", _TRACK)
    duplicates = _counter("duplicates", "RTP packets that came twice or too late.", _TRACK)
    asked = _counter("keyframes_asked", "Wishes of viewers for a keyframe.", _TRACK)
    sent = _counter("keyframe_requests_sent", "Keyframe requests sent to the host.", ["room"])
    for room, media in rooms.items():
        for kind, track in media.broadcast.tracks.items():
            packets.add_metric([room, kind], track.packets_in)
            duplicates.add_metric([room, kind], track.duplicates)
            asked.add_metric([room, kind], track.keyframes.asked)
        sent.add_metric([room], media.broadcast.keyframe_requests_sent)
    yield from (packets, duplicates, asked, sent)


def _received_metrics(rooms: Mapping[str, RoomMediaView]) -> Iterator[Metric]:
    for name, (help_text, read) in _RECEIVED.items():
        family = GaugeMetricFamily(f"mediasrv_{name}", help_text, labels=_TRACK)
        for room, media in rooms.items():
            for kind, reception in media.broadcast.receptions.items():
                family.add_metric([room, kind], read(reception))
        yield family


_TRACK = ["room", "kind"]


def _forwarded_metrics(rooms: Mapping[str, RoomMediaView]) -> Iterator[Metric]:
    totals: dict[tuple[str, str], ForwarderCounters] = {}
    for room, media in rooms.items():
        for kind, counters in media.broadcast.forwarded().items():
            totals[room, kind] = counters
    for name, help_text in _FORWARDED.items():
        family = _counter(name, help_text, _TRACK)
        for (room, kind), counters in totals.items():
            family.add_metric([room, kind], getattr(counters, name))
        yield family


def _room_metrics(rooms: Mapping[str, RoomMediaView]) -> Iterator[Metric]:
    viewers = GaugeMetricFamily("mediasrv_viewers", "Viewers that are sent to.", labels=["room"])
    for room, media in rooms.items():
        viewers.add_metric([room], len(media.broadcast.subscriptions))
    yield viewers


def _forward_delay(rooms: Mapping[str, RoomMediaView]) -> Metric:
    family = HistogramMetricFamily(
        "mediasrv_forward_delay_seconds",
        "From a datagram's arrival to the last viewer's send, waiting for its frame included.",
        labels=["room"],
    )
    for room, media in rooms.items():
        cumulated, buckets = 0, []
        bounds = [*(repr(bound) for bound in BOUNDS_S), "+Inf"]
        for bound, count in zip(bounds, media.forward_delay.counts, strict=True):
            cumulated += count
            buckets.append((bound, cumulated))
        family.add_metric([room], buckets, media.forward_delay.total_s)
    return family
