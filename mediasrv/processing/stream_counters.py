"""What one filtered stream has done, and where its time went."""

from dataclasses import dataclass

from mediasrv.processing.messages import OutputFrame


@dataclass(slots=True)
class StreamCounters:
    """Totals of one stream, over all its workers; durations are sums over ``frames_out``.

    ``latency_us`` is the time from :meth:`BeautyStream.feed` to ``on_frame``, the others are what
    the workers measured.
    """

    frames_in: int = 0
    frames_dropped: int = 0
    frames_out: int = 0
    workers_lost: int = 0
    latency_us: int = 0
    decode_us: int = 0
    landmarks_us: int = 0
    filter_us: int = 0
    encode_us: int = 0

    def note(self, frame: OutputFrame, fed_s: float, now_s: float) -> None:
        """Count a frame that came out.

        Args:
            frame: With what the worker measured.
            fed_s: When its input was given to the worker.
            now_s: Now, on the same clock.
        """
        self.frames_out += 1
        self.latency_us += round((now_s - fed_s) * 1e6)
        self.decode_us += frame.decode_us
        self.landmarks_us += frame.landmarks_us
        self.filter_us += frame.filter_us
        self.encode_us += frame.encode_us
