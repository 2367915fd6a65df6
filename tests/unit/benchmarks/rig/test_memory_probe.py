import gc

import pytest

from benchmarks.rig.memory_probe import count_memory, plant_leak
from benchmarks.soak import slopes_of
from mediasrv.transport.peer import PeerTransport

JOINS_PER_MINUTE = 100


class Leaving:
    """A transport that is about to end."""

    is_closed = False


@pytest.fixture
def settled():
    """Nothing that was there before is looked at again and again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def soaked(joins_per_point=5, count=20):
    """Count memory while viewers leave, for a minute that takes no time."""
    samples = {}
    for n in range(count):
        for _ in range(joins_per_point):
            PeerTransport._finish(Leaving(), "gone")
        for name, value in count_memory().items():
            samples.setdefault(name, []).append((n / count, value))
    return {row["what"]: row["verdict"] for row in slopes_of(samples, JOINS_PER_MINUTE)}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(("leak", "verdict"), [(None, "kept"), ("1024", "GROWS")])
def test_a_leak_of_a_kilobyte_for_each_who_leaves_is_found(monkeypatch, leak, verdict):
    if "heap_kib" not in count_memory():
        pytest.skip("the C library does not tell")
    monkeypatch.setattr(PeerTransport, "_finish", lambda peer, reason: None)
    if leak is not None:
        plant_leak(leak)
    assert soaked()["heap_kib"] == verdict


@pytest.mark.usefixtures("settled")
def test_objects_that_are_kept_are_found_among_the_blocks(monkeypatch):
    kept = []
    monkeypatch.setattr(
        PeerTransport, "_finish", lambda peer, reason: kept.extend(object() for _ in range(10))
    )
    assert soaked()["blocks"] == "GROWS"


@pytest.mark.usefixtures("settled")
def test_garbage_that_waits_for_the_collector_is_no_growth(monkeypatch):
    def leave_a_circle(peer, reason):
        circle = [object() for _ in range(10)]
        circle.append(circle)

    monkeypatch.setattr(PeerTransport, "_finish", leave_a_circle)
    assert soaked()["blocks"] == "kept"
