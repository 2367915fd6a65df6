"""Tests of filtering a file from the command line."""

import av
import numpy as np
import pytest

from mediasrv import cli
from mediasrv.commands import filter as filter_module
from mediasrv.config import STARTING_PARAMETERS


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in.png"
    noise = np.random.default_rng(1).integers(0, 255, (96, 160, 3), np.uint8)
    av.VideoFrame.from_ndarray(noise).to_image().save(path)
    return path


def test_a_picture_is_filtered_into_another_file(picture, capsys):
    target = picture.with_name("out.png")
    status = cli.run(["filter", str(picture), str(target), "--params", '{"smooth": 50}'])
    captured = capsys.readouterr()
    assert (status, captured.out) == (0, "")
    assert f"Wrote {target}" in captured.err
    assert target.is_file()


@pytest.mark.parametrize(
    ("arguments", "smooth", "compare"),
    [
        ([], STARTING_PARAMETERS["smooth"], False),
        (["--params", "{}"], 0, False),
        (["--params", '{"smooth": 7}', "--compare"], 7, True),
    ],
)
def test_options_reach_the_pipeline(monkeypatch, picture, arguments, smooth, compare):
    seen = {}

    def filter_file(source, target, parameters, *, compare, on_progress):
        on_progress(1, 2)
        seen.update(smooth=parameters.smooth, compare=compare)

    monkeypatch.setattr(filter_module, "filter_file", filter_file)
    assert cli.run(["filter", str(picture), "out.png", *arguments]) == 0
    assert seen == {"smooth": smooth, "compare": compare}


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path, capsys):
    assert cli.run(["filter", str(tmp_path / "in.png"), str(tmp_path / "out.png")]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("mediasrv: there is no file")
