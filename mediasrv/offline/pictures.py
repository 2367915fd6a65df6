"""Filters one still picture at full resolution."""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer

from filters.landmarks import FaceDetector
from filters.parameters import Parameters
from filters.pipeline import Pipeline
from filters.stages import Stage
from mediasrv.errors import MediaError
from mediasrv.offline.frames import Rgb, quarter_turns, to_rgb, to_yuv

# The detector follows a face from picture to picture, and its first look is its worst.
LOOKS = 3
PICTURE_CODECS = {".png": "png", ".jpg": "mjpeg", ".jpeg": "mjpeg", ".webp": "libwebp"}
# Near the best the codecs can do: JPEG's quantiser 2 of 31, WebP's quality 95 of 100.
CODEC_OPTIONS = {"mjpeg": {"qmin": "1", "qmax": "2"}, "libwebp": {"quality": "95"}}
# Of one picture on a contact sheet, and of the line with its name.
TILE_WIDTH_PX, LABEL_PX = 640, 28
LAYOUTS = {"mjpeg": "yuvj444p", "libwebp": "bgra"}


def filter_picture(
    container: InputContainer,
    path: Path,
    detector: FaceDetector,
    parameters: Parameters,
    stages: Sequence[Stage] | None = None,
    *,
    compare: bool,
) -> None:
    """Filter the first picture of ``container`` into ``path``, whose suffix is one of ours.

    Raises:
        MediaError: There is no picture in the container.
    """
    codec = PICTURE_CODECS[path.suffix.lower()]
    pixels = _read(container, keep_alpha=codec != "mjpeg")
    changed = pixels.copy()
    changed[..., :3] = filter_rgb(
        np.ascontiguousarray(pixels[..., :3]), detector, parameters, stages
    )
    _write(np.hstack([pixels, changed]) if compare else changed, codec, path)


def write_sheet(
    container: InputContainer,
    path: Path,
    detector: FaceDetector,
    presets: Mapping[str, Parameters],
    *,
    on_progress: Callable[[int, int | None], None],
) -> None:
    """Write one sheet with the picture under every preset, each with its name, into ``path``.

    Raises:
        MediaError: There is no picture in the container.
    """
    pixels = _read(container, keep_alpha=False)
    tiles = []
    for name, parameters in presets.items():
        tiles.append(_labelled(_fitted(filter_rgb(pixels, detector, parameters)), name))
        on_progress(len(tiles), len(presets))
    columns = math.ceil(math.sqrt(len(tiles)))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[n : n + columns]) for n in range(0, len(tiles), columns)]
    _write(np.vstack(rows), PICTURE_CODECS[path.suffix.lower()], path)


def _fitted(pixels: Rgb) -> Rgb:
    """The picture, scaled down to a tile's width where it is wider."""
    scale = TILE_WIDTH_PX / pixels.shape[1]
    if scale >= 1:
        return pixels
    size = (TILE_WIDTH_PX, max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _labelled(pixels: Rgb, name: str) -> Rgb:
    """A copy with a line above it that says ``name``."""
    tile = np.pad(pixels, ((LABEL_PX, 0), (0, 0), (0, 0)), constant_values=24)
    place, white = (8, LABEL_PX - 8), (235, 235, 235)
    cv2.putText(tile, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, white, 1, cv2.LINE_AA)
    return tile


def _read(container: InputContainer, *, keep_alpha: bool) -> Rgb:
    """The first picture, upright, shape (H, W, 3), or (H, W, 4) when it has alpha to keep."""
    frame = next(container.decode(video=0), None)
    if frame is None:
        raise MediaError("the source holds no picture that can be decoded")
    stored = frame.to_ndarray(format="rgba" if keep_alpha and _has_alpha(frame) else "rgb24")
    return np.ascontiguousarray(np.rot90(stored, quarter_turns(frame)), np.uint8)


def filter_rgb(
    pixels: Rgb,
    detector: FaceDetector,
    parameters: Parameters,
    stages: Sequence[Stage] | None = None,
) -> Rgb:
    """Filter an RGB picture, shape (H, W, 3), into a new one.

    Only the change passes through YUV and its halved chroma: where a filter changes nothing, the
    result is exact.
    """
    image = to_yuv(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
    before = to_rgb(image).astype(np.int16)
    if not parameters.are_all_off:
        for _ in range(LOOKS - 1):
            detector.detect(image)
    Pipeline(detector, stages, look_every=1).apply(image, parameters)
    change = to_rgb(image) - before
    return np.clip(pixels + change, 0, 255).astype(np.uint8)


def _has_alpha(frame: av.VideoFrame) -> bool:
    name = frame.format.name
    return name in ("pal8", "ya8", "ya16be", "ya16le") or "rgba" in name or name in ("argb", "bgra")


def _write(pixels: Rgb, codec: str, path: Path) -> None:
    stored = "rgba" if pixels.shape[2] == 4 else "rgb24"
    layout = LAYOUTS.get(codec, stored)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=stored)
    frame = frame.reformat(format=layout)
    frame.pts = 0
    encoder: Any = av.VideoCodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, layout
    encoder.time_base = Fraction(1, 25)
    encoder.options = CODEC_OPTIONS.get(codec, {})
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))
