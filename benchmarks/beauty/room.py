"""A room with the filter on, from the host's packets to a viewer's, without a network.

Everything between is the real thing: the relay joins packets to frames, a locked worker decodes,
filters and encodes, the relay makes packets of that and lays them out for a viewer. SRTP and
sockets are left out; with the filter off they are the same.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import av

from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import BeautyStream, FilterState, ProcessingConfig, SpareWorkers
from mediasrv.processing.encoder import VideoEncoder
from mediasrv.processing.planes import LAYOUT
from mediasrv.processing.stream_counters import StreamCounters
from mediasrv.relay import h264, rtp, vp8
from mediasrv.relay.broadcast import VIDEO_HZ, Broadcast
from mediasrv.relay.layout import OUTLET_BUFFER_MIN_BYTES
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.publisher import IncomingTrack
from mediasrv.relay.subscription import OutgoingTrack

FPS = 30
TICKS_PER_FRAME = VIDEO_HZ // FPS
WIDTH_PX, HEIGHT_PX = 1280, 720
HOST_BPS = 2_000_000
PAYLOAD_TYPE, SSRC = 96, 1
PAYLOAD_MAX_BYTES = 1200


def read_images(clip: Path) -> list[av.VideoFrame]:
    """The clip's first five seconds at 720p."""
    images = []
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            images.append(frame.reformat(WIDTH_PX, HEIGHT_PX, LAYOUT))
            if len(images) == 5 * FPS:
                break
    return images


def encode_loop(codec: Codec, images: Sequence[av.VideoFrame]) -> list[EncodedFrame]:
    """Frames of a host, a keyframe first."""
    encoder = VideoEncoder(codec)
    encoder.aim_at(HOST_BPS)
    frames = []
    for number, image in enumerate(images):
        encoded = encoder.encode(image, number * TICKS_PER_FRAME, keyframe=number == 0)
        frames.append(EncodedFrame(codec, 0, encoded.keyframe, encoded.payload))
    return frames


@dataclass
class Door:
    """Where packets leave for somebody; notes when the last one did."""

    overhead_bytes: int = 16
    route: int = 0
    buffer: bytearray = field(default_factory=lambda: bytearray(OUTLET_BUFFER_MIN_BYTES))
    packets: int = 0
    left_s: float = 0.0

    def send_packets(
        self, spans: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int]]
    ) -> bool:
        """Take packets."""
        del runs
        self.packets += len(spans)
        self.left_s = time.perf_counter()
        return True

    def send_rtcp(self, packet: bytes) -> None:
        """Take a report."""


class Room:
    """One host, one worker, one viewer.

    Attributes:
        came_in: When the first packet of each frame came in, by timestamp.
        delays_ms: From there to the last packet of the filtered frame.
    """

    def __init__(self, frames: Sequence[EncodedFrame]) -> None:
        self.frames = frames
        self.codec = frames[0].codec
        self.state = FilterState.OFF
        self.came_in: dict[int, float] = {}
        self.delays_ms: list[float] = []
        self.stream: BeautyStream | None = None
        self._number = 0
        self._sequence = 0
        self._viewer = Door()
        self._broadcast = Broadcast(on_frame=self._feed, on_filter_keyframe=self._make_keyframe)
        self._connect()

    def _connect(self) -> None:
        now = time.monotonic()
        track = IncomingTrack("video", self.codec, PAYLOAD_TYPE, VIDEO_HZ)
        self._broadcast.publish((track,), Door(), SSRC)
        self._broadcast.require_filter(now)
        types = {str(self.codec): PAYLOAD_TYPE}
        outgoing = OutgoingTrack("video", SSRC, types, ExtensionIds(), first_sequence=0)
        self._broadcast.subscribe("viewer", (outgoing,), self._viewer, "room", now)

    async def open(
        self, config: ProcessingConfig, spares: SpareWorkers, parameters: dict[str, int]
    ) -> None:
        """Start its worker."""
        self.stream = BeautyStream(
            config,
            spares,
            self.codec,
            parameters,
            on_frame=self._came_out,
            on_state=self._changed,
            on_keyframe_needed=self._begin_again,
        )
        await self.stream.open()

    @property
    def pid(self) -> int | None:
        """Its worker, once there is one."""
        return None if self.stream is None else self.stream.worker_pid

    def send(self) -> None:
        """Let the packets of the host's next frame come in."""
        frame = self.frames[self._number % len(self.frames)]
        ticks = self._number * TICKS_PER_FRAME
        packets = self._packets(replace(frame, timestamp_ticks=ticks))
        self._number += 1
        self.came_in[ticks] = time.perf_counter()
        for packet in packets:
            self._broadcast.receive_rtp(packet, time.monotonic())

    def begin(self) -> None:
        """Count from now on."""
        self.came_in.clear()
        self.delays_ms.clear()
        if self.stream is not None:
            self.stream.counters = StreamCounters()

    async def close(self) -> None:
        """End its worker."""
        if self.stream is not None:
            await self.stream.close()

    def _packets(self, frame: EncodedFrame) -> list[bytes]:
        if frame.codec is Codec.VP8:
            payloads = vp8.packetize(frame.payload, self._number & 0x7FFF, PAYLOAD_MAX_BYTES)
        else:
            payloads = h264.packetize(frame.payload, PAYLOAD_MAX_BYTES)
        packets = []
        ticks = frame.timestamp_ticks & 0xFFFFFFFF
        for number, payload in enumerate(payloads, start=1):
            is_last = number == len(payloads)
            packet = rtp.RtpPacket(PAYLOAD_TYPE, is_last, self._sequence, ticks, SSRC, {}, payload)
            packets.append(rtp.write_rtp(packet))
            self._sequence = (self._sequence + 1) & 0xFFFF
        return packets

    def _feed(self, frame: EncodedFrame) -> None:
        if self.stream is not None:
            self.stream.feed(frame)

    def _make_keyframe(self) -> None:
        if self.stream is not None:
            self.stream.request_keyframe()

    def _begin_again(self) -> None:
        self._number += -self._number % len(self.frames)

    def _changed(self, state: FilterState, reason: str | None) -> None:
        del reason
        self.state = state

    def _came_out(self, frame: EncodedFrame) -> None:
        packets = self._viewer.packets
        self._broadcast.write_filtered(frame, time.monotonic())
        began_s = self.came_in.get(frame.timestamp_ticks)
        if began_s is not None and self._viewer.packets > packets:
            self.delays_ms.append((self._viewer.left_s - began_s) * 1000)
