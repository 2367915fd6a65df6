"""Moving pictures with as many faces as wanted, made from one portrait, and clips of one's own."""

import math
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import skimage.data

from benchmarks.beauty.quality import image_of_rgb
from filters.image import YuvImage

Rgb = npt.NDArray[np.uint8]

# Head and shoulders in scikit-image's astronaut (NASA, public domain).
HEAD = (slice(20, 250), slice(110, 340))
# A single face is about this part of the picture's height, as in front of a laptop.
TILE_HEIGHT = {1: 0.75, 2: 0.6, 4: 0.49}
SWAY = 0.02
NOISE = 2.0
FRAMES = 30


def scene(width_px: int, height_px: int, faces: int, count: int = FRAMES) -> list[YuvImage]:
    """Pictures in which ``faces`` heads sway a little before a wall, with a camera's noise."""
    random = np.random.default_rng(7)
    side_px = round(height_px * TILE_HEIGHT[faces])
    head = astronaut()[HEAD]
    tile = np.asarray(cv2.resize(head, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)
    wall = np.full((height_px, width_px, 3), (168, 160, 158), np.uint8)
    pictures = []
    for n in range(count):
        picture = wall.copy()
        for face in range(faces):
            phase = 2 * math.pi * n / count + face
            sway_px = round(SWAY * side_px * math.sin(phase))
            _place(picture, tile, face, faces, sway_px)
        noisy = picture + random.normal(0, NOISE, picture.shape[:2])[..., None]
        pictures.append(image_of_rgb(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)))
    return pictures


def portrait() -> YuvImage:
    """The astronaut, 512x512."""
    return image_of_rgb(astronaut())


def astronaut() -> Rgb:
    """The picture as it comes with scikit-image, shape (512, 512, 3)."""
    return np.asarray(skimage.data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]


def in_tone(rgb: Rgb, area: npt.NDArray[np.bool_], tone: Sequence[int]) -> Rgb:
    """The picture in a light in which the skin of ``area`` has on average the colour ``tone``.

    Linear light is scaled per channel, as another pigment or lamp would.
    """
    linear = (rgb.astype(np.float64) / 255) ** 2.2
    wanted = (np.asarray(tone, np.float64) / 255) ** 2.2
    gain = wanted / linear[area].mean(axis=0)
    return np.asarray(np.rint(np.clip(linear * gain, 0, 1) ** (1 / 2.2) * 255), np.uint8)


def read_clip(path: Path, count: int) -> list[YuvImage]:
    """The first pictures of a clip, or the one of a still."""
    with av.open(str(path)) as container:
        frames = zip(container.decode(video=0), range(count), strict=False)
        return [
            image_of_rgb(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            for frame, _ in frames
        ]


def rgb_of(image: YuvImage) -> Rgb:
    """The picture as RGB, shape (H, W, 3)."""
    i420 = np.concatenate([plane.ravel() for plane in (image.y, image.u, image.v)])
    shaped = i420.reshape(image.height_px * 3 // 2, image.width_px)
    return np.asarray(cv2.cvtColor(shaped, cv2.COLOR_YUV2RGB_I420), np.uint8)


def _place(picture: Rgb, tile: Rgb, face: int, faces: int, sway_px: int) -> None:
    height_px, width_px = picture.shape[:2]
    columns = math.ceil(math.sqrt(faces)) if faces > 1 else 1
    rows = math.ceil(faces / columns)
    row, column = divmod(face, columns)
    side_px = tile.shape[0]
    left = round((column + 0.5) * width_px / columns - side_px / 2) + sway_px
    top = round((row + 0.5) * height_px / rows - side_px / 2)
    left, top = max(0, min(left, width_px - side_px)), max(0, min(top, height_px - side_px))
    picture[top : top + side_px, left : left + side_px] = tile
