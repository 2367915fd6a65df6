"""The fixed stream of the load: 720p30 VP8 and Opus, encoded once, the same on every machine."""

from dataclasses import dataclass

import av
import cv2
import numpy as np

from mediasrv.client.sources.base import AUDIO_FRAME_SAMPLES, AUDIO_RATE_HZ, TimedImage
from mediasrv.client.sources.encoded import encode_frames
from mediasrv.client.sources.pattern import Tone
from mediasrv.media import Codec

FPS = 30
VIDEO_TICKS = 90_000 // FPS
AUDIO_TICKS = AUDIO_FRAME_SAMPLES
AUDIO_PACKETS_PER_S = 50
AUDIO_BPS = 40_000
SEED = 7


@dataclass(frozen=True, slots=True)
class Stream:
    """What is sent in a loop; a keyframe request begins the loop again.

    Attributes:
        frames: Encoded VP8 frames; the first is the only keyframe.
        sounds: Opus packets of 20 ms.
        tempo: At how many times their rate both are sent.
    """

    frames: tuple[bytes, ...]
    sounds: tuple[bytes, ...]
    tempo: float = 1.0

    @property
    def video_bps(self) -> float:
        """The video's bitrate over the loop as it is sent, in bits per second."""
        return 8 * self.tempo * sum(map(len, self.frames)) * FPS / len(self.frames)


class MovingTexture:
    """A textured picture that drifts, so that an encoder has something to spend bits on."""

    fps = float(FPS)
    paced = True

    def __init__(self, width: int, height: int) -> None:
        random = np.random.default_rng(SEED)
        coarse = random.integers(40, 216, (height // 16 + 40, width // 16 + 40), dtype=np.uint8)
        size = (coarse.shape[1] * 16, coarse.shape[0] * 16)
        self._luma = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        fine = random.integers(0, 16, self._luma.shape, dtype=np.uint8)
        self._luma = cv2.add(self._luma, fine)
        self._width, self._height, self._count = width, height, 0

    def next_image(self) -> TimedImage:
        """Draw the next image."""
        count = self._count
        self._count += 1
        x, y = round(150 + 140 * np.sin(count / 40)), round(150 + 140 * np.cos(count / 55))
        planes = np.full((self._height * 3 // 2, self._width), 128, np.uint8)
        planes[: self._height] = self._luma[y : y + self._height, x : x + self._width]
        return TimedImage(count / FPS, av.VideoFrame.from_ndarray(planes, format="yuv420p"))

    def close(self) -> None:
        """Nothing to release."""


def encode_stream(*, frames: int = 300, bitrate_bps: int = 1_500_000) -> Stream:
    """Encode ten seconds of moving picture and a second of sound."""
    encoded = encode_frames(
        MovingTexture(1280, 720),
        Codec.VP8,
        count=frames,
        keyframe_every=frames,
        bitrate_bps=bitrate_bps,
    )
    return Stream(tuple(f.payload for f in encoded), _encode_sounds())


def _encode_sounds() -> tuple[bytes, ...]:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = AUDIO_RATE_HZ, "stereo", "s16"
    encoder.bit_rate = AUDIO_BPS
    tone = Tone()
    packets: list[bytes] = []
    while len(packets) < AUDIO_PACKETS_PER_S:
        packets += [bytes(packet) for packet in encoder.encode(tone.next_sound())]
    return tuple(packets[:AUDIO_PACKETS_PER_S])
