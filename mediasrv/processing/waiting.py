"""Images that wait for their turn in the worker; when there is time for one, the newest wins."""

from dataclasses import dataclass

import av

from mediasrv.processing.messages import Counters

# Of the time between two images: an image that has waited for longer gives way to the next one.
# Filtering takes a third of that time, so the second of two that came together is still young.
PATIENCE = 0.6


@dataclass(slots=True)
class DecodedImage:
    """A decoded image of the host.

    Attributes:
        frame: The picture; the decoder may still need its planes.
        timestamp_ticks: Of its encoded frame.
        began_ns: When its decoding began, on ``time.perf_counter_ns``.
        decode_us: What that took.
    """

    frame: av.VideoFrame
    timestamp_ticks: int
    began_ns: int
    decode_us: int


class WaitingImages:
    """At most two images, in order.

    A browser that thinks its way narrow spreads a frame over more than a frame's time, and then two
    arrive at once. There is time for both. A third shows that there is not: the worker is behind.

    Args:
        counters: Of the worker; those that give way to newer ones are counted there.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._images: list[DecodedImage] = []
        self._is_behind = False

    def __len__(self) -> int:
        """Count those that wait."""
        return len(self._images)

    def add(self, image: DecodedImage) -> None:
        """Take a newer image."""
        self._is_behind = self._is_behind or len(self._images) == 2
        if self._is_behind:
            self._counters.skipped += len(self._images)
            self._images.clear()
        self._images.append(image)

    def take(self, now_ns: int, interval_s: float) -> DecodedImage | None:
        """Return the image whose turn it is; None when none waits.

        Args:
            now_ns: On the clock of ``began_ns``.
            interval_s: Between two images of the host.
        """
        self._is_behind = False
        if len(self._images) == 2:
            waited_ns = now_ns - self._images[0].began_ns
            if waited_ns > PATIENCE * interval_s * 1e9:
                self._counters.skipped += 1
                del self._images[0]
        return self._images.pop(0) if self._images else None
