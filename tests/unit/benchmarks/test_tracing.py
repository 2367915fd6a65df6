import argparse

import pytest

from benchmarks import tracing
from benchmarks.latency.hookless import hookless_relay
from mediasrv.relay.track import TrackRelay


class Watching:
    """Notes that it was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str):
        return lambda *arguments: self.calls.append(name)


@pytest.mark.parametrize(("kind", "is_watched"), [(TrackRelay, True), (hookless_relay(), False)])
def test_the_relay_without_hooks_carries_the_same_and_calls_nobody(kind, is_watched):
    relay = kind(90_000, seekable=True)
    relay.observer = watching = Watching()
    for packet, _, now in tracing._datagrams(3):
        relay.write_packet(packet, now)
    assert relay.packets_in == 3 * tracing.PACKETS_A_FRAME
    assert relay.left_since is not None
    assert bool(watching.calls) == is_watched


def test_work_done_on_purpose_counts_for_the_packets_that_were_wanted(monkeypatch):
    ticks = iter([0, 600_000])
    monkeypatch.setattr(tracing, "thread_time_ns", lambda: next(ticks))
    sent = []
    monkeypatch.setattr(tracing, "_feed", lambda relay, tracer, packets: sent.extend(packets))
    us = tracing._round_us(TrackRelay(90_000, seekable=True), None, 1.2)
    assert len(sent) == 1.2 * tracing.FRAMES * tracing.PACKETS_A_FRAME
    assert us == pytest.approx(600 / (tracing.FRAMES * tracing.PACKETS_A_FRAME))


def test_all_three_take_turns():
    result = tracing.run(argparse.Namespace(seconds=0.0, slower=0.0))
    assert [row["mode"] for row in result["runs"]] == list(tracing.MODES)
    assert len({row["rounds"] for row in result["runs"]}) == 1
    assert result["pace"]["during_us"] > 0
