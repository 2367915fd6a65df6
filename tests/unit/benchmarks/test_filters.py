import argparse

import numpy as np
import pytest

from benchmarks import filters
from benchmarks.filter_quality import Quality, measure
from benchmarks.filter_report import write_report
from benchmarks.filter_scenes import astronaut, in_tone, scene
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
            "--frames",
            "2",
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
    assert result["quality"] == [{"metric": "one", "value": 0.5, "limit": "< 1", "passed": True}]
    assert "natural" in capsys.readouterr().out
    assert (tmp_path / "report.html").read_text().count("<img") == 6


def test_a_missed_limit_is_marked(tmp_path):
    write_report(tmp_path / "report.html", [], [Quality("one", 2, "< 1", False)])
    assert "class=missed" in (tmp_path / "report.html").read_text()


def test_every_quality_limit_is_kept(media):
    missed = [row for row in measure(media) if not row.passed]
    assert missed == []
