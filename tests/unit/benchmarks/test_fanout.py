import pytest

from benchmarks.fanout import _line, ratio_of
from benchmarks.load.crowd import CrowdResult
from benchmarks.load.measuring import Cores, Reading, distrust, summarize
from benchmarks.load.pacing import SentLog
from benchmarks.load.recording import Recording
from benchmarks.reporting.knee import knee_of
from tests.crowd_notes import BEGAN_NS, Notes, play, sent_frames

CORES = Cores(0, 1)
FPS = 30


def crowd(recording=None, *, drops=0, decrypted=5, forged=0):
    return CrowdResult(recording or Recording(), drops, decrypted, forged, ["GCM"])


def reading(at_ns, *, server_s=0.0, load_s=0.0, busy_s=(0.0, 0.0), forward=None):
    return Reading(at_ns, server_s, load_s, dict(enumerate(busy_s)), forward or {})


def row(notes, **after):
    window = (BEGAN_NS, BEGAN_NS + 1_000_000_000)
    log = SentLog(frames=sent_frames(40))
    ended = reading(window[1], **after)
    return summarize(reading(window[0]), ended, crowd(notes.recording), log, 2, CORES)


@pytest.fixture
def notes():
    notes = Notes()
    play(notes, 0, [2.0] * 10)
    play(notes, 1, [4.0] * 10)
    return notes


def test_cpu_time_is_divided_by_the_packets_that_arrived(notes):
    found = row(notes, server_s=0.003, load_s=0.2, busy_s=(0.103, 0.2))
    assert found["cpu_us_per_packet"] == 50  # 3 ms by 60 packets
    assert found["packets_per_s"] == 60
    assert found["viewers_per_core"] == round(2 / 0.003)
    assert found["neighbours_share"] == {"server_core": 0.1, "load_core": 0.0}
    assert found["viewers_watching"] == 2


def test_without_the_servers_histogram_the_delay_is_that_of_the_last_viewer(notes):
    found = row(notes, server_s=0.1)
    assert found["forward_ms"]["p99"] == 4
    assert found["forward_source"] == "arrival at the last viewer"


def test_the_servers_own_histogram_goes_first(notes):
    found = row(notes, server_s=0.1, forward={0.001: 50.0, float("inf"): 50.0})
    assert found["forward_ms"] == {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    assert found["forward_source"] == "server histogram"
    assert found["arrival_ms"]["last"]["p50"] == 4


def test_a_load_that_was_busy_shows_no_figures(notes):
    found = row(notes, server_s=0.1, load_s=0.95)
    assert "95 %" in found["refused"]
    assert "cpu_us_per_packet" not in found
    assert "refused" in _line({"server": "mediasrv", **found})


@pytest.mark.parametrize(
    ("load_share", "result", "packets", "word"),
    [
        (0.5, crowd(drops=3), 10, "full 3 times"),
        (0.5, crowd(forged=1), 10, "decrypted"),
        (0.5, crowd(decrypted=0), 10, "decrypted"),
        (0.5, crowd(), 0, "no packet"),
    ],
)
def test_figures_are_refused_when_the_load_is_not_to_be_trusted(load_share, result, packets, word):
    assert word in (distrust(load_share, result, packets) or "")


def test_a_sound_load_is_trusted():
    assert distrust(0.5, crowd(), 10) is None


def test_the_knee_is_where_the_core_is_full_or_packets_are_lost_or_late():
    fine = {"server_core_share": 0.5, "loss": 0.0}
    assert knee_of(fine, FPS) is None
    assert "96 %" in (knee_of({**fine, "server_core_share": 0.96}, FPS) or "")
    assert "lost" in (knee_of({**fine, "loss": 0.01}, FPS) or "")
    late = {"last": {"p50": 50.0}}
    assert "50 ms late" in (knee_of({**fine, "arrival_ms": late}, FPS) or "")
    assert knee_of({**fine, "arrival_ms": {"last": {"p50": 30.0}}}, FPS) is None
    assert knee_of({"failed": "nobody came"}, FPS) == "nobody came"


def test_a_ratio_needs_both_figures():
    assert ratio_of({"cpu_us_per_packet": 2.0}, {"cpu_us_per_packet": 8.0}) == 0.25
    assert ratio_of({"refused": "busy"}, {"cpu_us_per_packet": 8.0}) is None
    assert ratio_of({"cpu_us_per_packet": 2.0}, {"failed": "no"}) is None
