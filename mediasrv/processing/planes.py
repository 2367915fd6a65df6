"""Bridges PyAV frames and the filters' images: views without copies, and one frame of our own."""

from typing import Self

import av
import numpy as np
from av.video.plane import VideoPlane

from filters.image import Plane, YuvImage

# The one layout that decoders give us, filters work on and encoders take. yuvj420p is the same
# bytes with the full-range flag in its name (H.264 from cameras and screen capture).
LAYOUT = "yuv420p"
ACCEPTED_LAYOUTS = frozenset({LAYOUT, "yuvj420p"})


def view_planes(frame: av.VideoFrame) -> YuvImage:
    """View the planes of an 8-bit 4:2:0 frame; writing into them writes into the frame.

    Rows may be padded: a plane's line size can exceed its width. The views keep the frame alive.
    """
    y, u, v = (_view(plane) for plane in frame.planes)
    return YuvImage(y, u, v)


def _view(plane: VideoPlane) -> Plane:
    pixels = np.frombuffer(memoryview(plane), np.uint8)
    rows = pixels.reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


class OwnPicture:
    """A frame that belongs to us alone, to be filtered in place and then encoded.

    Frames of FFmpeg's own decoders must not be written to: their planes are the references from
    which the decoder predicts the next frames. (Measured: blanking every decoded frame spoils 89
    of the next 89 images.) So they are copied; one allocation serves all frames of a size.
    Encoders have copied or consumed it when ``encode`` returns, as they run without look-ahead.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        """Take over ``frame``, of which nobody else may read."""
        self.frame = frame
        self.image = view_planes(frame)

    @classmethod
    def blank(cls, width_px: int, height_px: int) -> Self:
        """Allocate one, not initialised."""
        return cls(av.VideoFrame(width_px, height_px, LAYOUT))

    def fits(self, decoded: av.VideoFrame) -> bool:
        """Whether ``decoded`` has this picture's size."""
        return (decoded.width, decoded.height) == (self.frame.width, self.frame.height)

    def take(self, decoded: av.VideoFrame) -> None:
        """Copy pixels and colour description of a decoded frame of the same size."""
        source = view_planes(decoded)
        np.copyto(self.image.y, source.y)
        np.copyto(self.image.u, source.u)
        np.copyto(self.image.v, source.v)
        self.frame.color_range = decoded.color_range
        self.frame.colorspace = decoded.colorspace
        self.frame.color_primaries = decoded.color_primaries
        self.frame.color_trc = decoded.color_trc
