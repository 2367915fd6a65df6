"""What a viewer measured: first frame, frame rate, freezes, bitrate, loss. Pure arithmetic."""

from dataclasses import asdict, dataclass, field, replace

# A gap that people notice as a stutter: five frames at 25 Hz.
FREEZE_THRESHOLD_S = 0.2


@dataclass(slots=True)
class FrameTimeline:
    """Counts video frames by arrival time, and the freezes between them.

    Attributes:
        frames: Frames seen.
        first_s: Arrival of the first frame on the monotonic clock, or None.
        last_s: Arrival of the latest.
        freezes: Gaps longer than ``FREEZE_THRESHOLD_S``.
        frozen_s: Sum of those gaps.
        longest_gap_s: The longest gap of all.
    """

    frames: int = 0
    first_s: float | None = None
    last_s: float | None = None
    freezes: int = 0
    frozen_s: float = 0.0
    longest_gap_s: float = 0.0

    def add(self, now_s: float) -> None:
        """Count one frame that arrived now."""
        if self.last_s is None:
            self.first_s = now_s
        else:
            self._count_gap(now_s - self.last_s)
        self.frames += 1
        self.last_s = now_s

    def ended(self, now_s: float) -> "FrameTimeline":
        """A copy that ends now: silence since the last frame counts as a freeze too."""
        copy = replace(self)
        if copy.last_s is not None:
            copy._count_gap(now_s - copy.last_s)
        return copy

    @property
    def fps(self) -> float:
        """Frames per second between the first and the last frame; 0 below two frames."""
        if self.first_s is None or self.last_s is None or self.last_s <= self.first_s:
            return 0.0
        return (self.frames - 1) / (self.last_s - self.first_s)

    def _count_gap(self, gap_s: float) -> None:
        self.longest_gap_s = max(self.longest_gap_s, gap_s)
        if gap_s > FREEZE_THRESHOLD_S:
            self.freezes += 1
            self.frozen_s += gap_s


@dataclass(slots=True)
class StreamFigures:
    """What arrived of one stream.

    Attributes:
        codec: Codec name in lower case, or None while nothing arrived.
        packets: RTP packets received.
        lost: Packets missing by sequence number; retransmitted ones are not missing.
        bitrate_bps: Payload bits per second of the measured time.
    """

    codec: str | None = None
    packets: int = 0
    lost: int = 0
    bitrate_bps: int = 0


@dataclass(slots=True)
class ViewerReport:
    """One viewing, as ``mediasrv view --json`` prints it.

    Attributes:
        room: The room watched.
        seconds: How long the measurement took.
        decoded: True when frames were decoded; False when packets were only counted.
        connected_ms: From creating the offer to a connected transport.
        first_frame_ms: From creating the offer to the first video frame, or None.
        frames: Video frames received.
        fps: Video frames per second between the first and the last.
        width: Width of the latest frame in pixels; 0 when not decoded.
        height: Height of the latest frame in pixels; 0 when not decoded.
        freezes: Gaps between frames longer than 200 ms.
        frozen_ms: Sum of those gaps.
        longest_gap_ms: The longest gap between frames.
        audio_frames: Audio frames received.
        subscriptions: How often media was negotiated; 1 when nothing broke.
        joins: How often the room was joined; 1 when the socket never dropped.
        video: Figures of the video stream.
        audio: Figures of the audio stream.
    """

    room: str
    seconds: float
    decoded: bool
    connected_ms: float | None = None
    first_frame_ms: float | None = None
    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    freezes: int = 0
    frozen_ms: float = 0.0
    longest_gap_ms: float = 0.0
    audio_frames: int = 0
    subscriptions: int = 0
    joins: int = 0
    video: StreamFigures = field(default_factory=StreamFigures)
    audio: StreamFigures = field(default_factory=StreamFigures)

    def as_dict(self) -> dict[str, object]:
        """The report as plain values for JSON."""
        return asdict(self)
