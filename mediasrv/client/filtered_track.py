"""A video track whose pictures go through a beauty worker on this machine before they are sent."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from mediasrv.client.encoder import VIDEO_CLOCK, EncodedPacket
from mediasrv.client.tracks import VideoTrack
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import BeautyStream, FilterState, ProcessingConfig, SpareWorkers

# Frames that wait for the network: a second. More means that it is gone.
WAITING_FRAMES = 30


class FilteredTrack(MediaStreamTrack):
    """The video of another track, through a worker.

    Attributes:
        keyframe_requests: How often the other side asked for a keyframe; the worker makes it.
        state: How the filter stands.
        failure: What ended the source, or None.
    """

    kind = "video"

    def __init__(self, source: VideoTrack, codec: Codec) -> None:
        super().__init__()
        self._source = source
        self._codec = codec
        self._stream: BeautyStream | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._frames: deque[EncodedFrame] = deque()
        self._arrived = asyncio.Event()
        self._awaits_keyframe = True
        self.keyframe_requests = 0
        self.state = FilterState.OFF

    @property
    def skipped(self) -> int:
        """Images of the source that came too late to be encoded."""
        return self._source.skipped

    @property
    def failure(self) -> Exception | None:
        """What ended the source, or None."""
        return self._source.failure

    async def begin(
        self, config: ProcessingConfig, spares: SpareWorkers, parameters: Mapping[str, int]
    ) -> None:
        """Get a worker and let the source run.

        Raises:
            WorkersExhausted: This process filters another video already.
        """
        self._stream = BeautyStream(
            config,
            spares,
            self._codec,
            parameters,
            on_frame=self._take,
            on_state=self._take_state,
            on_keyframe_needed=self._source.request_keyframe,
        )
        await self._stream.open()
        self._feeding = asyncio.create_task(self._feed(self._stream))

    async def end(self) -> None:
        """Stop, release the source and end the worker; doing it twice is fine."""
        self.stop()
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.wait([self._feeding])
        if self._stream is not None:
            await self._stream.close("the publication has ended")

    def request_keyframe(self) -> None:
        """Let the worker make the next image a keyframe."""
        self.keyframe_requests += 1
        if self._stream is not None:
            self._stream.request_keyframe()

    async def recv(self) -> EncodedPacket:
        """Wait for the next filtered image."""
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._frames.popleft()
        packet: EncodedPacket = av.Packet(frame.payload)
        packet.pts = frame.timestamp_ticks
        packet.time_base = VIDEO_CLOCK
        return packet

    def stop(self) -> None:
        """End the track and its source."""
        if self.readyState == "live":
            super().stop()
            self._source.stop()
            self._arrived.set()

    async def _feed(self, stream: BeautyStream) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                packet = await self._source.recv()
                stream.feed(
                    EncodedFrame(self._codec, packet.pts or 0, packet.is_keyframe, bytes(packet))
                )
        self.stop()

    def _take(self, frame: EncodedFrame) -> None:
        if len(self._frames) >= WAITING_FRAMES:
            self._frames.clear()
            self._awaits_keyframe = True
            if self._stream is not None:
                self._stream.request_keyframe()
        if self._awaits_keyframe and not frame.keyframe:
            return
        self._awaits_keyframe = False
        self._frames.append(frame)
        self._arrived.set()

    def _take_state(self, state: FilterState, reason: str | None) -> None:
        del reason
        self.state = state
