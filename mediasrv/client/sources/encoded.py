"""Frames encoded beforehand as a source, so that what arrives can be compared byte for byte."""

import asyncio
from collections.abc import Sequence

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from mediasrv.client.encoder import (
    DEFAULT_BITRATE_BPS,
    VIDEO_CLOCK,
    EncodedPacket,
    VideoEncoder,
)
from mediasrv.client.sources.base import ImageSource
from mediasrv.client.tracks import MediaClock
from mediasrv.media import Codec, EncodedFrame


class EncodedTrack(MediaStreamTrack):
    """Encoded frames in a loop, at a fixed rate; a keyframe request jumps to the next keyframe.

    Attributes:
        keyframe_requests: How often the other side asked for a keyframe.
        skipped: Always 0; nothing here comes too late.
        failure: Always None.
    """

    kind = "video"

    def __init__(self, frames: Sequence[EncodedFrame], fps: float, clock: MediaClock) -> None:
        if not frames or not frames[0].keyframe:
            raise ValueError("the frames must begin with a keyframe")
        super().__init__()
        self._frames = frames
        self._fps = fps
        self._clock = clock
        self._position = 0
        self._sent = 0
        self.keyframe_requests = 0
        self.skipped = 0
        self.failure: Exception | None = None

    def request_keyframe(self) -> None:
        """Go on at the next keyframe."""
        self.keyframe_requests += 1
        while not self._frames[self._position].keyframe:
            self._position = (self._position + 1) % len(self._frames)

    async def recv(self) -> EncodedPacket:
        """Wait until the next frame is due."""
        wait_s = self._clock.until(self._sent / self._fps)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        if self.readyState != "live":
            raise MediaStreamError
        packet: EncodedPacket = av.Packet(self._frames[self._position].payload)
        packet.pts = round(self._sent / self._fps / VIDEO_CLOCK)
        packet.time_base = VIDEO_CLOCK
        self._position = (self._position + 1) % len(self._frames)
        self._sent += 1
        return packet


def encode_frames(
    source: ImageSource,
    codec: Codec,
    *,
    count: int,
    keyframe_every: int,
    bitrate_bps: int = DEFAULT_BITRATE_BPS,
) -> list[EncodedFrame]:
    """Encode the next ``count`` images of a source, a keyframe every ``keyframe_every``."""
    encoder = VideoEncoder(codec, bitrate_bps, source.fps)
    frames = []
    for position in range(count):
        timed = source.next_image()
        keyframe = position % keyframe_every == 0
        for packet in encoder.encode(timed.image, timed.time_s, keyframe=keyframe):
            frames.append(  # noqa: PERF401 - two nested loops read better as loops
                EncodedFrame(codec, packet.pts or 0, packet.is_keyframe, bytes(packet))
            )
    return frames
