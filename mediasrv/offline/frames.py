"""Bridges PyAV frames and the filters' images: copies of planes, turned upright."""

import av
import numpy as np
import numpy.typing as npt
from av.video.plane import VideoPlane

from filters.image import Plane, YuvImage

Rgb = npt.NDArray[np.uint8]

QUARTER_TURNS = {90: 1, 180: 2, -180: 2, 270: 3, -90: 3}


def quarter_turns(frame: av.VideoFrame) -> int:
    """How often to turn the picture a quarter against the clock to see it upright."""
    return QUARTER_TURNS.get(round(frame.rotation), 0)


def turned(image: YuvImage, turns: int) -> YuvImage:
    """View of the image turned by quarters against the clock."""
    if not turns:
        return image
    y, u, v = (np.rot90(plane, turns) for plane in (image.y, image.u, image.v))
    return YuvImage(y, u, v)


def side_by_side(left: YuvImage, right: YuvImage) -> YuvImage:
    """Two images of one size beside each other; an odd last column is doubled."""
    half_px = left.u.shape[1]

    def joined(one: Plane, other: Plane, width_px: int) -> Plane:
        missing = ((0, 0), (0, width_px - one.shape[1]))
        return np.hstack([np.pad(plane, missing, mode="edge") for plane in (one, other)])

    return YuvImage(
        joined(left.y, right.y, 2 * half_px),
        joined(left.u, right.u, half_px),
        joined(left.v, right.v, half_px),
    )


def to_yuv(frame: av.VideoFrame) -> YuvImage:
    """The frame as I420 planes of our own; a decoder still predicts from the frame itself."""
    y, u, v = (_view(plane).copy() for plane in frame.reformat(format="yuv420p").planes)
    return YuvImage(y, u, v)


def to_frame(image: YuvImage) -> av.VideoFrame:
    """A new frame with the image's pixels."""
    frame = av.VideoFrame(image.width_px, image.height_px, "yuv420p")
    for target, plane in zip(frame.planes, (image.y, image.u, image.v), strict=True):
        np.copyto(_view(target), plane)
    return frame


def to_rgb(image: YuvImage) -> Rgb:
    """The image as RGB, shape (H, W, 3)."""
    rgb: Rgb = np.asarray(to_frame(image).to_ndarray(format="rgb24"), np.uint8)
    return rgb


def _view(plane: VideoPlane) -> Plane:
    pixels = np.frombuffer(memoryview(plane), np.uint8)
    return pixels.reshape(-1, plane.line_size)[: plane.height, : plane.width]
