"""A room's relay with everybody around it, in virtual time."""

from collections.abc import Callable, Sequence

from mediasrv.media import EncodedFrame
from mediasrv.relay import rtp
from mediasrv.relay.broadcast import Broadcast
from mediasrv.relay.publisher import IncomingTrack
from mediasrv.relay.subscription import OutgoingTrack
from tests.relay_fakes import (
    HOST_TRACKS,
    Microphone,
    StudioCamera,
    WatchingOutlet,
    read_piece,
    viewer_tracks,
    vp8_bitstream,
)


class Studio:
    """A broadcast with a host's camera and microphone, viewers, and a filter that is a list.

    Attributes:
        fed: Every frame that went to the filter.
        filter_keyframes: How often the filter was asked for a keyframe.
        on_frame: A better filter may listen here,
        on_filter_keyframe: and here.
    """

    def __init__(self, *, now: float = 50.0) -> None:
        self.now = now
        self.fed: list[EncodedFrame] = []
        self.filter_keyframes = 0
        self.on_frame: Callable[[EncodedFrame], object] | None = None
        self.on_filter_keyframe: Callable[[], object] | None = None
        self.broadcast = Broadcast(on_frame=self._feed_filter, on_filter_keyframe=self._ask_filter)
        self.host = WatchingOutlet()
        self.viewers: dict[str, WatchingOutlet] = {}
        self.camera = StudioCamera()
        self.microphone = Microphone()

    def _feed_filter(self, frame: EncodedFrame) -> None:
        self.fed.append(frame)
        if self.on_frame is not None:
            self.on_frame(frame)

    def _ask_filter(self) -> None:
        self.filter_keyframes += 1
        if self.on_filter_keyframe is not None:
            self.on_filter_keyframe()

    def publish(self, tracks: Sequence[IncomingTrack] = HOST_TRACKS) -> None:
        """The host's connection is up."""
        self.host = WatchingOutlet()
        self.broadcast.publish(tracks, self.host, 0xCAFE)

    def join(self, name: str, tracks: Sequence[OutgoingTrack] | None = None) -> WatchingOutlet:
        """A viewer's connection is up; its SSRCs are 1000 and 1001 unless ``tracks`` says else."""
        outlet = self.viewers[name] = WatchingOutlet()
        self.broadcast.subscribe(name, tracks or viewer_tracks(), outlet, name, self.now)
        return outlet

    def receive(self, *packets: bytes) -> None:
        for packet in packets:
            self.broadcast.receive_rtp(packet, self.now)

    def shoot(self, frames: int = 1, *, keyframe: bool = False, count: int = 2) -> None:
        """Let the camera's frames arrive, 1/30 s apart; only the first may be a keyframe."""
        for i in range(frames):
            self.receive(*self.camera.shoot(keyframe=keyframe and i == 0, count=count))
            self.pass_time(1 / 30)

    def pass_time(self, seconds: float) -> None:
        """Let the room's timer run as the node does, every 20 ms."""
        end = self.now + seconds
        while self.now + 0.02 <= end:
            self.now += 0.02
            self._tick()
        if self.now < end:
            self.now = end
            self._tick()

    def _tick(self) -> None:
        self.broadcast.advance(self.now)
        self.broadcast.tick(self.now)

    def give_filtered(self, frame: EncodedFrame, *, keyframe: bool = False) -> None:
        """Let the filter answer a frame that it was fed."""
        number = self.fed.index(frame)
        payload = vp8_bitstream(number, keyframe=keyframe, tag=b"fil")
        self.broadcast.write_filtered(
            EncodedFrame(frame.codec, frame.timestamp_ticks, keyframe, payload), self.now
        )

    def video(self, name: str, ssrc: int = 1001) -> list[rtp.RtpPacket]:
        return self.viewers[name].of(ssrc)

    def tags(self, name: str) -> list[bytes]:
        """Who made each video packet that a viewer got."""
        return [packet.payload[5:8] for packet in self.video(name)]

    def frames_seen(self, name: str) -> list[int]:
        """Numbers of the frames that a viewer got from the host directly, in order, each once."""
        return list(dict.fromkeys(read_piece(p.payload).frame for p in self.video(name)))
