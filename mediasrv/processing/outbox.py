"""What waits to be sent to one worker: bounded; whole groups of pictures are dropped."""

from collections import deque

from mediasrv.processing.channel import pack
from mediasrv.processing.messages import MAX_FRAME_BYTES, Configure, InputFrame, KeyframeRequest


class Outbox:
    """Frames in order behind the newest settings; sans-IO.

    A delta frame is worth nothing without all frames since the last keyframe. So when one does
    not fit, it and all others up to the next keyframe are dropped; and a keyframe makes whatever
    still waits before it worthless, which keeps a slow worker from falling further behind.
    """

    def __init__(self, limit_bytes: int, limit_frames: int) -> None:
        self._limit_bytes = limit_bytes
        self._limit_frames = limit_frames
        self._current = memoryview(b"")  # being sent, cannot be taken back
        self._is_mid_message = False
        self._configure: bytes | None = None
        self._keyframe_request: bytes | None = None
        self._frames: deque[bytes] = deque()
        self._frames_bytes = 0
        self._awaits_keyframe = True
        self.dropped = 0

    @property
    def awaits_keyframe(self) -> bool:
        """Whether only a keyframe will be accepted."""
        return self._awaits_keyframe

    @property
    def is_mid_message(self) -> bool:
        """Whether part of a message is sent and its rest must come next."""
        return self._is_mid_message

    def configure(self, configure: Configure) -> None:
        """Send settings before any frame that still waits; they replace unsent ones."""
        self._configure = pack(configure)

    def request_keyframe(self) -> None:
        """Ask the worker for a keyframe; unsent requests merge."""
        self._keyframe_request = pack(KeyframeRequest())

    def offer(self, frame: InputFrame) -> bool:
        """Take one frame, or drop it and everything up to the next keyframe.

        Returns:
            Whether the frame was taken.
        """
        if frame.keyframe:
            self.dropped += len(self._frames)
            self._frames.clear()
            self._frames_bytes = 0
        elif self._awaits_keyframe:
            self.dropped += 1
            return False
        if not self._has_room(len(frame.payload)):
            self.skip_to_keyframe()
            self.dropped += 1
            return False
        self._awaits_keyframe = False
        packed = pack(frame)
        self._frames.append(packed)
        self._frames_bytes += len(packed)
        return True

    def skip_to_keyframe(self) -> None:
        """Refuse frames until a keyframe comes; what waits already is still sent."""
        self._awaits_keyframe = True

    def next_bytes(self) -> memoryview:
        """What to send next; empty when nothing waits."""
        if not self._current:
            self._current = memoryview(self._take())
        return self._current

    def mark_sent(self, count: int) -> None:
        """Note that ``count`` bytes of :meth:`next_bytes` are on their way."""
        self._current = self._current[count:]
        self._is_mid_message = bool(self._current)

    def _has_room(self, payload_bytes: int) -> bool:
        return (
            0 < payload_bytes <= MAX_FRAME_BYTES
            and len(self._frames) < self._limit_frames
            and self._frames_bytes + payload_bytes <= self._limit_bytes
        )

    def _take(self) -> bytes:
        if self._configure is not None:
            packed, self._configure = self._configure, None
        elif self._keyframe_request is not None:
            packed, self._keyframe_request = self._keyframe_request, None
        elif self._frames:
            packed = self._frames.popleft()
            self._frames_bytes -= len(packed)
        else:
            packed = b""
        return packed
