"""Tests of how a source is named."""

from pathlib import Path

import pytest

from mediasrv.client import (
    CameraSource,
    Encoding,
    FileSource,
    PatternSource,
    SourceUnavailable,
    parse_source,
)


def test_sources_are_known_by_their_names(tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.touch()
    assert parse_source("pattern") == PatternSource()
    assert parse_source("camera") == CameraSource(Path("/dev/video0"))
    assert parse_source("camera:/dev/video2") == CameraSource(Path("/dev/video2"))
    assert parse_source(str(clip)) == FileSource(clip)


@pytest.mark.parametrize("text", ["nowhere.mp4", "", "cameras", "/"])
def test_what_is_no_source_is_refused_with_the_choices(text):
    with pytest.raises(SourceUnavailable, match="camera, pattern"):
        parse_source(text)


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(SourceUnavailable, match="no camera at /dev/video-none"):
        CameraSource(Path("/dev/video-none")).open(Encoding())


def test_a_camera_that_is_none_is_refused(tmp_path):
    device = tmp_path / "video0"
    device.write_bytes(b"not a device")
    with pytest.raises(SourceUnavailable, match="cannot open the camera"):
        CameraSource(device).open(Encoding())
