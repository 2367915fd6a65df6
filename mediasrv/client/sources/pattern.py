"""A moving test pattern with a frame counter that programs can read back, and a tone.

The counter is drawn twice: as digits for people and as a row of black and white blocks, most
significant bit first, followed by the same bits inverted. Both rows together tell a counter from
any other picture, and survive encoding at every bitrate at which the blocks can be told apart.
"""

import av
import cv2
import numpy as np

from mediasrv.client.sources.base import AUDIO_FRAME_SAMPLES, AUDIO_RATE_HZ, TimedImage
from mediasrv.client.sources.clip import sound_of

COUNTER_BITS = 20
DEFAULT_WIDTH_PX = 1280
DEFAULT_HEIGHT_PX = 720
DEFAULT_FPS = 30.0

TONE_HZ = 440.0
TONE_AMPLITUDE = 0.2 * 32767

# Video range luma (ITU-R BT.601): black and white as decoders expect them.
BLACK, WHITE, GREY = 16, 235, 128

Plane = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


class PatternImages:
    """Colour gradients, a bouncing box and the counter; the size must be even, 160x96 at least."""

    paced = True

    def __init__(
        self,
        width: int = DEFAULT_WIDTH_PX,
        height: int = DEFAULT_HEIGHT_PX,
        fps: float = DEFAULT_FPS,
    ) -> None:
        if width % 2 or height % 2 or width < 160 or height < 96:
            raise ValueError("the pattern needs an even size of at least 160x96")
        self.fps = fps
        self._width, self._height = width, height
        self._count = 0
        self._background = self._draw_background()

    def next_image(self) -> TimedImage:
        """Draw the next image."""
        count = self._count
        self._count += 1
        planes = self._background.copy()
        luma = planes[: self._height]
        self._draw_box(luma, count)
        _draw_counter(luma, count)
        image = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        return TimedImage(count / self.fps, image)

    def close(self) -> None:
        """Nothing to release."""

    def _draw_background(self) -> Plane:
        width, height = self._width, self._height
        luma = np.tile(np.linspace(60, 180, width), (height, 1))
        across = np.tile(np.linspace(70, 190, width // 2), (height // 2, 1))
        down = np.tile(np.linspace(190, 70, height // 2)[:, None], (1, width // 2))
        chroma = [plane.reshape(-1, width) for plane in (across, down)]
        background: Plane = np.concatenate([luma, *chroma]).astype(np.uint8)
        return background

    def _draw_box(self, luma: Plane, count: int) -> None:
        side = self._height // 6
        left = _bounce(count * 7, self._width - side)
        top = self._height // 2 + _bounce(count * 3, self._height // 2 - side)
        luma[top : top + side, left : left + side] = WHITE
        digits_px = self._height / 360
        cv2.putText(
            luma,
            f"{count:06d}",
            (self._width // 20, self._height * 2 // 5),
            cv2.FONT_HERSHEY_DUPLEX,
            digits_px,
            (WHITE,),
            max(1, round(digits_px)),
        )


class Tone:
    """A quiet sine on both channels, without a click between frames."""

    def __init__(self, frequency_hz: float = TONE_HZ) -> None:
        self._frequency_hz = frequency_hz
        self._sample = 0

    def next_sound(self) -> av.AudioFrame:
        """Produce the next 20 ms."""
        times_s = (self._sample + np.arange(AUDIO_FRAME_SAMPLES)) / AUDIO_RATE_HZ
        self._sample += AUDIO_FRAME_SAMPLES
        wave = (TONE_AMPLITUDE * np.sin(2 * np.pi * self._frequency_hz * times_s)).astype(np.int16)
        return sound_of(np.column_stack([wave, wave]))

    def close(self) -> None:
        """Nothing to release."""


def luma_of(image: av.VideoFrame) -> Plane:
    """Copy the luma plane of a planar YUV image: shape (height, width), uint8."""
    plane = image.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    luma: Plane = rows[:, : plane.width].copy()
    return luma


def read_counter(luma: Plane) -> int | None:
    """Read the frame counter from a luma plane of the pattern, encoded, decoded or scaled.

    Args:
        luma: Shape (height, width), uint8; not modified.

    Returns:
        The counter modulo 2 ** COUNTER_BITS, or None when this is no picture of the pattern.
    """
    block_px = luma.shape[1] // COUNTER_BITS
    rows: list[list[bool]] = []
    for row in range(2):
        middle = block_px // 2 + row * block_px
        inner = luma[middle - block_px // 4 : middle + block_px // 4 + 1]
        centres = range(block_px // 2, block_px * COUNTER_BITS, block_px)
        quarter = block_px // 4
        rows.append([bool(inner[:, x - quarter : x + quarter + 1].mean() > GREY) for x in centres])
    plain, inverted = rows
    if any(bit == opposite for bit, opposite in zip(plain, inverted, strict=True)):
        return None
    return sum(1 << place for place, bit in enumerate(reversed(plain)) if bit)


def _draw_counter(luma: Plane, count: int) -> None:
    block_px = luma.shape[1] // COUNTER_BITS
    for place in range(COUNTER_BITS):
        bit = count >> (COUNTER_BITS - 1 - place) & 1
        columns = slice(place * block_px, (place + 1) * block_px)
        luma[:block_px, columns] = WHITE if bit else BLACK
        luma[block_px : 2 * block_px, columns] = BLACK if bit else WHITE


def _bounce(position: int, limit: int) -> int:
    """Fold an ever growing position into 0..limit, back and forth."""
    folded = position % (2 * limit)
    return folded if folded <= limit else 2 * limit - folded
