"""Encoded video for tests of the media path: drawn or real images in, encoded frames out, back."""

from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.frame import PictureType

from filters.image import YuvImage
from mediasrv.media import Codec, EncodedFrame

TICKS_PER_FRAME = 3000
OPTIONS = {
    Codec.VP8: {"deadline": "realtime", "cpu-used": "-12", "lag-in-frames": "0"},
    Codec.H264: {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
    },
}
ENCODERS = {Codec.VP8: "libvpx", Codec.H264: "libx264"}
DECODERS = {Codec.VP8: "libvpx", Codec.H264: "h264"}


def draw_images(width_px: int, height_px: int, count: int) -> list[YuvImage]:
    """A soft gradient over which a bright square travels; never fully still."""
    rows = np.linspace(60, 140, height_px)[:, None]
    columns = np.linspace(0, 40, width_px)[None, :]
    side = max(4, min(width_px, height_px) // 6)
    images = []
    for number in range(count):
        image = YuvImage.blank(width_px, height_px)
        image.y[:] = rows + columns
        left = number * 5 % max(1, width_px - side)
        top = height_px // 2
        image.y[top : top + side, left : left + side] = 220
        image.u[:] = 110
        image.v[:] = 140
        images.append(image)
    return images


def read_clip(path: Path, count: int, size: tuple[int, int] | None = None) -> list[YuvImage]:
    """The first images of a clip, scaled to (width, height) if one is given."""
    images = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            width_px, height_px = size or (frame.width, frame.height)
            images.append(to_image(frame.reformat(width_px, height_px, "yuv420p")))
            if len(images) == count:
                break
    return images


def encode(
    codec: Codec,
    images: Sequence[YuvImage],
    *,
    keyframes: Collection[int] = (0,),
    first_ticks: int = 0,
    bitrate_bps: int = 2_000_000,
    layout: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> list[EncodedFrame]:
    """Encode images of one size as a host would, keyframes only where asked for."""
    context = cast(av.VideoCodecContext, av.CodecContext.create(ENCODERS[codec], "w"))
    context.width, context.height = images[0].width_px, images[0].height_px
    context.pix_fmt = layout
    context.bit_rate = bitrate_bps
    context.time_base = Fraction(1, 30)
    context.framerate = Fraction(30)
    context.thread_count = 1
    never = str(2**30)
    context.options = {**OPTIONS[codec], "g": never, "keyint_min": never, **(options or {})}
    frames = []
    for number, image in enumerate(images):
        frame = from_image(image).reformat(format=layout)
        frame.pts = number
        frame.pict_type = PictureType.I if number in keyframes else PictureType.NONE
        (packet,) = context.encode(frame)
        ticks = first_ticks + number * TICKS_PER_FRAME
        frames.append(EncodedFrame(codec, ticks, packet.is_keyframe, bytes(packet)))
    return frames


def decode(codec: Codec, frames: Sequence[EncodedFrame]) -> Iterator[YuvImage]:
    """Decode as a viewer would; fails on the first frame that does not decode to one image."""
    context = cast(av.VideoCodecContext, av.CodecContext.create(DECODERS[codec], "r"))
    context.thread_count = 1
    context.flags |= av.codec.context.Flags.low_delay
    for frame in frames:
        (image,) = context.decode(av.Packet(frame.payload))
        assert not image.is_corrupt
        yield to_image(image)


def to_image(frame: av.VideoFrame) -> YuvImage:
    """Copy a frame's planes."""
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8)
        rows = rows.reshape(-1, plane.line_size)[: plane.height, : plane.width]
        planes.append(rows.copy())
    return YuvImage(*planes)


def from_image(image: YuvImage) -> av.VideoFrame:
    """Copy an image into a new frame."""
    frame = av.VideoFrame(image.width_px, image.height_px, "yuv420p")
    for plane, pixels in zip(frame.planes, (image.y, image.u, image.v), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8)
        rows.reshape(-1, plane.line_size)[: plane.height, : plane.width] = pixels
    return frame


def psnr_db(first: YuvImage, second: YuvImage) -> float:
    """Peak signal to noise ratio of luma."""
    error = np.square(first.y.astype(np.float64) - second.y).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
