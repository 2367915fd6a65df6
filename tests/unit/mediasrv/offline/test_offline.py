import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import skimage.data

from filters import mediapipe_wheel
from filters.errors import FilterError
from filters.image import YuvImage
from filters.parameters import Parameters
from filters.pipeline import Pipeline
from mediasrv.errors import MediaError
from mediasrv.offline import filter_file
from mediasrv.offline.frames import side_by_side, turned
from tests.filter_faces import grainy_image

FULL = Parameters(smooth=100, brighten=100)
FACE = (slice(60, 200), slice(170, 270))  # of the astronaut
CORNER = (slice(400, 512), slice(0, 110))


def write_picture(path: Path, pixels: np.ndarray, codec: str = "png", layout: str = "") -> Path:
    source = "rgba" if pixels.shape[2] == 4 else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=source)
    frame = frame.reformat(format=layout or source)
    encoder: Any = av.VideoCodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base = Fraction(1, 25)
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))
    return path


def write_clip(
    path: Path,
    size: tuple[int, int] = (256, 256),
    *,
    times_ms: list[int] | None = None,
    sound: bool = False,
) -> Path:
    """The astronaut, drifting slowly; 25 pictures a second unless told otherwise."""
    times_ms = times_ms if times_ms is not None else [40 * n for n in range(8)]
    width_px, height_px = size
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = width_px, height_px, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for number, at_ms in enumerate(times_ms):
            pixels = np.roll(skimage.data.astronaut(), number, axis=1)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(width_px, height_px, "yuv420p")
            frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
            container.mux(video.encode(frame))
            if audio is not None:
                samples = np.sin(np.arange(1920) / 9)[None].astype(np.float32)
                tone = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                tone.sample_rate, tone.pts = 48000, number * 1920
                tone.time_base = Fraction(1, 48000)
                container.mux(audio.encode(tone))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def read_pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def times_s(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    return [round(time - times[0], 3) for time in times]


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    return write_picture(tmp_path / "astronaut.png", skimage.data.astronaut())


def test_a_picture_changes_on_the_face_and_nowhere_else(astronaut, tmp_path):
    filter_file(astronaut, tmp_path / "out.png", FULL)
    (before,), (after,) = read_pictures(astronaut), read_pictures(tmp_path / "out.png")
    assert after.shape == before.shape
    assert (after[FACE] != before[FACE]).mean() > 0.3
    assert np.array_equal(after[CORNER], before[CORNER])


def test_with_everything_off_a_picture_comes_out_bit_for_bit(astronaut, tmp_path):
    filter_file(astronaut, tmp_path / "out.png", Parameters())
    assert np.array_equal(read_pictures(tmp_path / "out.png"), read_pictures(astronaut))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".PNG"])
def test_every_picture_format_can_be_written(astronaut, tmp_path, suffix):
    filter_file(astronaut, tmp_path / f"out{suffix}", FULL)
    (before,), (after,) = read_pictures(astronaut), read_pictures(tmp_path / f"out{suffix}")
    assert after.shape == before.shape
    assert np.abs(after[CORNER].astype(int) - before[CORNER]).mean() < 4


def test_odd_pictures_and_transparency_are_kept(tmp_path):
    pixels = np.dstack([skimage.data.astronaut()[:411, :333], np.full((411, 333), 77, np.uint8)])
    source = write_picture(tmp_path / "in.png", pixels)
    filter_file(source, tmp_path / "out.png", FULL)
    with av.open(str(tmp_path / "out.png")) as container:
        after = next(container.decode(video=0)).to_ndarray(format="rgba")
    assert after.shape == pixels.shape
    assert (after[..., 3] == 77).all()
    assert (after[60:200, 170:270, :3] != pixels[60:200, 170:270, :3]).any()


def turned_by_exif(path: Path, orientation: int) -> None:
    """Give a JPEG the EXIF tag with which cameras say how they were held."""
    entry = struct.pack("<HHII", 0x0112, 3, 1, orientation)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    segment = b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff
    whole = path.read_bytes()
    path.write_bytes(whole[:2] + segment + whole[2:])


@pytest.mark.parametrize(("orientation", "quarters"), [(1, 0), (6, 1), (3, 2), (8, 3)])
def test_a_picture_taken_sideways_comes_out_upright_and_filtered(tmp_path, orientation, quarters):
    pixels = skimage.data.astronaut()[:, :400]
    source = write_picture(tmp_path / "in.jpg", np.rot90(pixels, quarters), "mjpeg", "yuvj444p")
    turned_by_exif(source, orientation)
    for name, parameters in (("off.png", Parameters()), ("on.png", FULL)):
        filter_file(source, tmp_path / name, parameters)
    (off,), (on,) = read_pictures(tmp_path / "off.png"), read_pictures(tmp_path / "on.png")
    assert off.shape == on.shape == (512, 400, 3)
    assert np.abs(off.astype(int) - pixels).mean() < 8
    assert (on[FACE] != off[FACE]).mean() > 0.3


def test_compare_puts_the_original_on_the_left(astronaut, tmp_path):
    filter_file(astronaut, tmp_path / "out.png", FULL, compare=True)
    (before,), (after,) = read_pictures(astronaut), read_pictures(tmp_path / "out.png")
    assert after.shape == (512, 1024, 3)
    assert np.array_equal(after[:, :512], before)
    assert (after[:, 512:][FACE] != before[FACE]).any()


def test_a_clip_keeps_size_timing_and_sound(tmp_path):
    times_ms = [0, 40, 80, 200, 240, 280, 500]  # no constant rate
    source = write_clip(tmp_path / "in.mp4", (322, 254), times_ms=times_ms, sound=True)
    seen: list[tuple[int, int | None]] = []
    filter_file(
        source,
        tmp_path / "out.mp4",
        FULL,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    before, after = read_pictures(source), read_pictures(tmp_path / "out.mp4")
    assert [picture.shape for picture in after] == [(254, 322, 3)] * len(times_ms)
    assert times_s(tmp_path / "out.mp4") == times_s(source) == [t / 1000 for t in times_ms]
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(source)
    assert seen == [(n + 1, len(times_ms)) for n in range(len(times_ms))]
    change = [np.abs(a.astype(int) - b).mean(axis=2) for a, b in zip(after, before, strict=True)]
    assert all(one[30:100, 110:170].mean() > 2 * one[200:, :60].mean() for one in change)


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".webm"])
def test_every_clip_format_can_be_written(tmp_path, suffix):
    source = write_clip(tmp_path / "in.mp4", times_ms=[0, 40, 80])
    filter_file(source, tmp_path / f"out{suffix}", FULL)
    assert len(read_pictures(tmp_path / f"out{suffix}")) == 3


def test_a_clip_of_odd_size_keeps_it(tmp_path):
    frames = [skimage.data.astronaut()[:201, :303]] * 2
    with av.open(str(tmp_path / "in.gif"), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 303, 201, "rgb8"
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="rgb8")))
        container.mux(stream.encode(None))
    for suffix in (".mp4", ".webm"):
        filter_file(tmp_path / "in.gif", tmp_path / f"out{suffix}", FULL)
        assert read_pictures(tmp_path / f"out{suffix}")[0].shape == (201, 303, 3)


def test_a_clip_can_be_compared(tmp_path):
    source = write_clip(tmp_path / "in.mp4", times_ms=[0, 40])
    filter_file(source, tmp_path / "out.mp4", FULL, compare=True)
    assert read_pictures(tmp_path / "out.mp4")[0].shape == (256, 512, 3)


def refusal(source: Path, target: Path) -> str:
    with pytest.raises(MediaError) as caught:
        filter_file(source, target, FULL)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    assert not list(target.parent.glob(".unfinished*"))
    return text


def test_a_missing_source_and_directory_are_named(astronaut, tmp_path):
    assert "there is no file" in refusal(tmp_path / "nothing.png", tmp_path / "out.png")
    assert "there is no file" in refusal(tmp_path, tmp_path / "out.png")
    assert "there is no directory" in refusal(astronaut, tmp_path / "none" / "out.png")


def test_a_result_never_replaces_its_source(astronaut, tmp_path):
    before = astronaut.read_bytes()
    (tmp_path / "link.png").symlink_to(astronaut)
    assert "its own source" in refusal(astronaut, astronaut)
    assert "its own source" in refusal(astronaut, tmp_path / "link.png")
    assert astronaut.read_bytes() == before


@pytest.mark.parametrize("name", ["out.txt", "out", "out.gif", ".png"])
def test_an_unknown_suffix_is_named(astronaut, tmp_path, name):
    assert "suffix must be one of .png" in refusal(astronaut, tmp_path / name)


def test_pictures_and_clips_do_not_turn_into_each_other(astronaut, tmp_path):
    clip = write_clip(tmp_path / "in.mp4", times_ms=[0])
    assert "is a picture" in refusal(astronaut, tmp_path / "out.mp4")
    assert "is a clip" in refusal(clip, tmp_path / "out.png")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(50), bytes(4096)])
@pytest.mark.parametrize("name", ["in.png", "in.mp4", "in.jpg"])
def test_damaged_sources_are_refused_and_leave_nothing(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "out.png").write_bytes(b"earlier result")
    refusal(tmp_path / name, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == b"earlier result"


def test_a_cut_off_picture_is_refused_or_filtered_but_never_half_written(astronaut, tmp_path):
    whole = astronaut.read_bytes()
    for length in (60, 1000, len(whole) // 2, len(whole) - 20):
        (tmp_path / "cut.png").write_bytes(whole[:length])
        target = tmp_path / f"out{length}.png"
        try:
            filter_file(tmp_path / "cut.png", target, FULL)
        except MediaError:
            assert not target.exists()
        else:
            assert read_pictures(target)[0].shape == (512, 512, 3)


def test_a_file_with_sound_only_holds_no_picture(tmp_path):
    with av.open(str(tmp_path / "in.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        tone = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        tone.sample_rate = 48000
        container.mux([*stream.encode(tone), *stream.encode(None)])
    assert "holds no picture" in refusal(tmp_path / "in.m4a", tmp_path / "out.mp4")


def test_sound_that_the_target_cannot_hold_is_named(tmp_path):
    clip = write_clip(tmp_path / "in.mp4", times_ms=[0, 40], sound=True)
    assert "cannot hold the sound (aac)" in refusal(clip, tmp_path / "out.webm")


def test_a_filter_that_fails_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    source = write_clip(tmp_path / "in.mp4", times_ms=[40 * n for n in range(60)])
    original, calls = Pipeline.apply, []

    def fail_late(pipeline, image, parameters, **timing):
        calls.append(None)
        if len(calls) == 55:  # late enough for the encoder to have written something
            assert list(tmp_path.glob(".unfinished*"))
            raise FilterError("the face graph failed")
        return original(pipeline, image, parameters, **timing)

    monkeypatch.setattr(Pipeline, "apply", fail_late)
    with pytest.raises(FilterError, match="graph failed"):
        filter_file(source, tmp_path / "out.mp4", FULL)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_directory_that_cannot_be_written_is_one_line(astronaut, tmp_path, monkeypatch):
    def refuse(path: Path, content: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert "Permission denied" in refusal(astronaut, tmp_path / "out.png")


def test_a_missing_model_is_the_filters_own_error(astronaut, tmp_path, monkeypatch):
    monkeypatch.setattr(mediapipe_wheel, "VERSION", "0.0.0")
    with pytest.raises(FilterError, match="install mediapipe"):
        filter_file(astronaut, tmp_path / "out.png", FULL)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("size", [(6, 4), (7, 5), (5, 4)])
def test_turning_four_quarters_comes_back(size):
    image = grainy_image(*size)
    once = turned(image, 1)
    assert (once.width_px, once.height_px) == (size[1], size[0])
    again = turned(turned(once, 2), 1)
    assert np.array_equal(again.y, image.y)
    assert np.array_equal(again.u, image.u)


@pytest.mark.parametrize("size", [(6, 4), (7, 5)])
def test_two_odd_pictures_meet_on_an_even_column(size):
    left, right = grainy_image(*size), YuvImage.blank(*size)
    joined = side_by_side(left, right)
    assert joined.width_px == 2 * ((size[0] + 1) // 2) * 2
    assert np.array_equal(joined.y[:, : size[0]], left.y)
    half = joined.width_px // 2
    assert np.array_equal(joined.y[:, half : half + size[0]], right.y)
