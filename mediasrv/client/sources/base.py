"""What every source of pictures and sound offers, and how it is named on the command line."""

from dataclasses import dataclass
from typing import Protocol

import av

AUDIO_RATE_HZ = 48_000
# 20 ms, what one Opus packet carries.
AUDIO_FRAME_SAMPLES = 960


@dataclass(frozen=True, slots=True)
class TimedImage:
    """One image and when it is due.

    Attributes:
        time_s: Seconds since the source began; never falls.
        image: Any size and pixel format.
    """

    time_s: float
    image: av.VideoFrame


class ImageSource(Protocol):
    """Images in order, without end. Called from one thread at a time, not the event loop's."""

    @property
    def fps(self) -> float:
        """The nominal rate."""

    @property
    def paced(self) -> bool:
        """True when images must wait until they are due; False for a live device."""

    def next_image(self) -> TimedImage:
        """Produce the next image; may block.

        Raises:
            SourceUnavailable: The source cannot be read any more.
        """

    def close(self) -> None:
        """Release files and devices."""


class SoundSource(Protocol):
    """Sound in order, without end. Called from one thread at a time, not the event loop's."""

    def next_sound(self) -> av.AudioFrame:
        """Produce the next 20 ms: 960 samples, s16, stereo, 48 kHz.

        Raises:
            SourceUnavailable: The source cannot be read any more.
        """

    def close(self) -> None:
        """Release files and devices."""
