import argparse

import numpy as np
import pytest

from benchmarks import filters
from benchmarks.beauty.figures import measure
from benchmarks.beauty.measure import Quality
from benchmarks.beauty.page import write_report
from benchmarks.beauty.scenes import astronaut, in_tone, scene
from mediasrv.processing.face_pipeline import open_detector


@pytest.mark.parametrize("faces", [1, 2, 4])
def test_a_scene_shows_as_many_faces_as_it_says(faces):
    detector = open_detector(faces)
    try:
        for image in scene(1280, 720, faces, 12):
            found = detector.detect(image)
    finally:
        detector.close()
    assert len(found) == faces


def test_a_tone_is_met_on_the_area_it_is_meant_for():
    area = np.zeros((512, 512), bool)
    area[130:160, 200:230] = True
    changed = in_tone(astronaut(), area, (96, 65, 52))
    assert np.abs(changed[area].mean(axis=0) - (96, 65, 52)).max() < 12


def test_timings_and_quality_have_the_rows_that_readers_expect(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(filters, "measure", lambda media: [Quality("one", 0.5, "< 1", True)])
    parser = argparse.ArgumentParser()
    filters.add_options(parser)
    options = parser.parse_args(
        [
            "--sizes",
            "360p",
            "--faces",
            "1",
            "--presets",
            "natural,all",
            "--html",
            str(tmp_path / "report.html"),
        ]
    )
    options.seconds = 2 / filters.FPS
    result = filters.run(options)
    rows = result["timings"]
    assert [(row["preset"], row["faces"]) for row in rows] == [
        ("natural", 1),
        ("all", 1),
        ("natural", 0),
    ]
    for row in rows:
        assert set(row) == {"preset", "size", "faces", "p50_ms", "p95_ms", "stages"}
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert "landmarks" in row["stages"]
    *times, one = result["quality"]
    assert one == {"metric": "one", "value": 0.5, "limit": "< 1", "passed": True}
    assert [row["metric"] for row in times] == ["time_no_face_p50_ms"]
    assert "natural" in capsys.readouterr().out
    assert (tmp_path / "report.html").read_text().count("<img") == 6


def test_limits_on_time_are_for_one_face_at_720p():
    def row(preset: str, faces: int, p50_ms: float, p95_ms: float) -> dict[str, object]:
        spent = {"p50_ms": p50_ms, "p95_ms": p95_ms, "stages": {}}
        return {"preset": preset, "size": "720p", "faces": faces, **spent}

    rows = [
        row("natural", 1, 3, 7),
        row("all", 1, 13, 14),
        row("natural+blur", 1, 8, 9),
        row("natural", 0, 2, 3),
        row("natural", 4, 99, 99),
    ]
    kept = {quality.metric: quality.passed for quality in filters._times_kept(rows)}
    assert kept == {
        "time_natural_p50_ms": True,
        "time_natural_p95_ms": False,
        "time_all_p50_ms": False,
        "time_of_blur_p50_ms": True,
        "time_no_face_p50_ms": True,
    }


def test_a_short_soak_finds_memory_flat():
    row = filters.soak(0.02)
    assert row.metric == "memory_growth_0.02_minutes_mb"
    assert row.passed


def test_a_missed_limit_is_marked(tmp_path):
    write_report(tmp_path / "report.html", [], [Quality("one", 2, "< 1", False)])
    assert "class=missed" in (tmp_path / "report.html").read_text()


def test_every_quality_limit_is_kept(media):
    missed = [row for row in measure(media) if not row.passed]
    assert missed == []
