"""Tests of filtering a file from the command line."""

import av
import numpy as np
import pytest

from filters.presets import PRESETS
from mediasrv import cli
from mediasrv.commands import filter as filter_module
from mediasrv.config import STARTING_PARAMETERS
from mediasrv.offline import pictures


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
        (["--preset", "none"], 0, False),
        (["--preset", "natural"], PRESETS["natural"].smooth, False),
        (["--preset", "natural", "--params", '{"smooth": 7}'], 7, False),
    ],
)
def test_options_reach_the_pipeline(monkeypatch, picture, arguments, smooth, compare):
    seen = {}

    def filter_file(source, target, parameters, *, compare, look, on_progress):
        assert look is None
        on_progress(1, 2)
        seen.update(smooth=parameters.smooth, compare=compare)

    monkeypatch.setattr(filter_module, "filter_file", filter_file)
    assert cli.run(["filter", str(picture), "out.png", *arguments]) == 0
    assert seen == {"smooth": smooth, "compare": compare}


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path, capsys):
    assert cli.run(["filter", str(tmp_path / "in.png"), str(tmp_path / "out.png")]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("mediasrv: there is no file")


def test_a_preset_keeps_what_params_do_not_name(monkeypatch, picture):
    seen = []
    monkeypatch.setattr(
        filter_module,
        "filter_file",
        lambda source, target, parameters, **_: seen.append(parameters),
    )
    arguments = ["--preset", "glam", "--params", '{"smooth": 1}']
    assert cli.run(["filter", str(picture), "out.png", *arguments]) == 0
    assert seen[0].as_dict() == {**PRESETS["glam"].as_dict(), "smooth": 1}


def test_an_unknown_preset_is_one_clear_line(picture, capsys):
    assert cli.run(["filter", str(picture), "out.png", "--preset", "galm"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("mediasrv: unknown preset 'galm'; there are: none, natural")


def test_all_presets_make_one_sheet(picture):
    target = picture.with_name("sheet.png")
    assert cli.run(["filter", str(picture), str(target), "--all-presets"]) == 0
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
    assert frame.width == 3 * 160
    assert frame.height == 2 * (96 + pictures.LABEL_PX)


def test_all_presets_go_with_no_other_option(picture, capsys):
    arguments = ["--all-presets", "--preset", "glam"]
    assert cli.run(["filter", str(picture), "out.png", *arguments]) == 2
    assert "goes with no other option" in capsys.readouterr().err


def test_a_clip_makes_no_sheet(media, tmp_path, capsys):
    clip = media / "clip_woman_1280x720.mp4"
    assert cli.run(["filter", str(clip), str(tmp_path / "out.mp4"), "--all-presets"]) == 1
    assert "needs a picture, not a clip" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_look_of_ones_own_colours_the_picture(picture):
    cube, target = picture.with_name("red.cube"), picture.with_name("out.png")
    cube.write_text("LUT_3D_SIZE 2\n" + "1 0 0\n" * 8)
    arguments = ["filter", str(picture), str(target), "--preset", "none", "--look", str(cube)]
    assert cli.run(arguments) == 0
    with av.open(str(target)) as container:
        rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert rgb[..., 0].mean() > rgb[..., 1].mean() + 60


def test_a_broken_look_is_one_clear_line(picture, capsys):
    cube = picture.with_name("broken.cube")
    cube.write_text("LUT_3D_SIZE 2\n1 0\n")
    assert cli.run(["filter", str(picture), "out.png", "--look", str(cube)]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1] == "mediasrv: line 2 of the look is not three numbers"
