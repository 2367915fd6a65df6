"""One negotiated subscription: reads what arrives, decoded or not, into a measurement."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from mediasrv.client.packets import PacketLog
from mediasrv.client.path import MediaPath, negotiated_codecs
from mediasrv.client.statistics import FrameTimeline, StreamFigures
from mediasrv.transport.aiortc_seam import tap_received, without_decoder


class MediaSink(Protocol):
    """Takes decoded media; called on the event loop and must not block it."""

    def take_image(self, image: av.VideoFrame, now_s: float) -> None:
        """Take one image that arrived now."""

    def take_sound(self, sound: av.AudioFrame, now_s: float) -> None:
        """Take 20 ms of sound that arrived now."""


@dataclass(slots=True)
class Measurement:
    """What a viewer saw, over all its subscriptions.

    Attributes:
        images: Video frames by arrival.
        sounds: Audio frames.
        width: Of the latest image, 0 before.
        height: Of the latest image, 0 before.
        logs: The packets of every subscription, oldest first.
        connected_ms: From the first offer to a connected transport.
        first_frame_ms: From the first offer to its first video frame.
    """

    images: FrameTimeline = field(default_factory=FrameTimeline)
    sounds: int = 0
    width: int = 0
    height: int = 0
    logs: list[PacketLog] = field(default_factory=list)
    connected_ms: float | None = None
    first_frame_ms: float | None = None

    def figures(self, kind: str, now_s: float) -> StreamFigures:
        """Sum up one kind; the bitrate counts from the first image."""
        began_s = self.images.first_s
        elapsed_s = now_s - began_s if began_s is not None else 0.0
        total = StreamFigures()
        for log in self.logs:
            if kind in log.streams:
                part = log.streams[kind].figures(elapsed_s)
                total.codec = part.codec
                total.packets += part.packets
                total.lost += part.lost
                total.bitrate_bps += part.bitrate_bps
        return total


class Subscription:
    """Receives audio and video on a path of its own.

    Attributes:
        path: The connection.
        received: Every RTP packet that arrived.
    """

    def __init__(
        self,
        url: str,
        measurement: Measurement,
        changed: Callable[[], None],
        *,
        sinks: tuple[MediaSink, ...],
        decode: bool,
        keep_packets: bool,
    ) -> None:
        self.path = MediaPath(url, changed)
        # Frames are counted where they are whole: decoded, or at their marked packet.
        timeline = None if decode else measurement.images
        self.received = PacketLog(timeline, keep=keep_packets)
        self._measurement = measurement
        self._changed = changed
        self._sinks = sinks
        self._decode = decode
        self._readers: list[asyncio.Task[None]] = []
        measurement.logs.append(self.received)
        for kind in ("audio", "video"):
            transceiver = self.path.add_receiving(kind)
            if not decode:
                without_decoder(transceiver.receiver)
        tap_received(self.path.transport, self._see, forward=decode)
        if decode:
            self.path.connection.on("track", self._read)

    async def open(self, exchange: Callable[[str], Awaitable[str]]) -> None:
        """Offer, apply the answer, and wait until media can flow.

        Args:
            exchange: Takes the offer to the server and returns its answer.

        Raises:
            MediaNotConnected: No media path came up.
        """

        async def exchange_and_learn(offer: str) -> str:
            answer = await exchange(offer)
            self.received.negotiated(*negotiated_codecs(answer))
            return answer

        await self.path.negotiate(exchange_and_learn)
        await self.path.connect()
        if self._measurement.connected_ms is None:
            self._measurement.connected_ms = self.path.connect_ms

    async def close(self) -> None:
        """Stop reading and close the connection."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self.path.close()

    def _see(self, packet: bytes) -> None:
        before = self._measurement.images.frames
        self.received.add(packet, monotonic())
        if self._measurement.images.frames != before:
            self._count_first()

    def _read(self, track: MediaStreamTrack) -> None:
        read = self._read_images if track.kind == "video" else self._read_sounds
        self._readers.append(asyncio.create_task(read(track)))

    async def _read_images(self, track: MediaStreamTrack) -> None:
        while (image := await _next(track)) is not None:
            if isinstance(image, av.VideoFrame):
                self._count_image(image, monotonic())

    async def _read_sounds(self, track: MediaStreamTrack) -> None:
        while (sound := await _next(track)) is not None:
            if isinstance(sound, av.AudioFrame):
                self._measurement.sounds += 1
                for sink in self._sinks:
                    sink.take_sound(sound, monotonic())

    def _count_image(self, image: av.VideoFrame, now_s: float) -> None:
        measurement = self._measurement
        measurement.images.add(now_s)
        measurement.width, measurement.height = image.width, image.height
        self._count_first()
        for sink in self._sinks:
            sink.take_image(image, now_s)

    def _count_first(self) -> None:
        measurement = self._measurement
        if measurement.first_frame_ms is not None:
            return
        if self.path.offered_s is not None and measurement.images.first_s is not None:
            waited_s = measurement.images.first_s - self.path.offered_s
            measurement.first_frame_ms = round(1000 * waited_s, 1)
            self._changed()


async def _next(track: MediaStreamTrack) -> object | None:
    try:
        return await track.recv()
    except MediaStreamError:
        return None
