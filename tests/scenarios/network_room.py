"""A host, a relay and viewers in virtual time, with a bad network on either side of the relay.

Only bytes pass: what these tests demand holds for any relay behind ``Broadcast``.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from benchmarks.rig.impairment import Conditions, Link
from mediasrv.media import EncodedFrame
from mediasrv.relay import rtcp, rtp
from mediasrv.relay.broadcast import Broadcast
from mediasrv.relay.outlet import Retransmission
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.publisher import IncomingTrack
from tests.relay_fakes import (
    AUDIO_SSRC,
    HOST_TRACKS,
    VIDEO_SSRC,
    Microphone,
    WatchingOutlet,
    unwrapped,
    viewer_tracks,
)
from tests.scenarios.marked_video import FPS, LayeredCamera, descriptor_bytes
from tests.scenarios.model_viewer import ABS_SEND_TIME_ID, ModelViewer
from tests.virtual_time import VirtualTime

TICK_S = 0.02
HISTORY_PACKETS = 1000
VIEWER_SSRC = 10_000


class CarriedLink:
    """A link of ``benchmarks.rig.impairment`` in virtual time."""

    def __init__(
        self,
        time: VirtualTime,
        seed: str,
        conditions: Conditions,
        deliver: Callable[[bytes], object],
    ) -> None:
        self.time, self.deliver = time, deliver
        self.link = Link(seed, conditions)
        self._at: float | None = None

    def send(self, datagram: bytes) -> None:
        self.link.send(datagram, self.time.now)
        self._arm()

    def black_out(self, seconds: float) -> None:
        self.link.black_out(self.time.now, self.time.now + seconds)

    def _arm(self) -> None:
        due = self.link.next_due
        if due is not None and (self._at is None or due < self._at):
            self._at = due
            self.time.call_at(due, self._arrive)

    def _arrive(self) -> None:
        if self._at is not None and self._at <= self.time.now:
            self._at = None
        for datagram in self.link.due(self.time.now):
            self.deliver(datagram)
        self._arm()


class ModelHost:
    """Sends video and audio, answers NACKs from its history and keyframe requests."""

    def __init__(self, time: VirtualTime, link: CarriedLink, camera: LayeredCamera) -> None:
        self.time, self.link, self.camera = time, link, camera
        self.microphone = Microphone(sequence=65_400, timestamp=2**32 - 48_000)
        self.keyframes = 0
        self._history: dict[tuple[int, int], bytes] = {}
        self._keyframe_wanted = True
        self._began = time.now
        time.every(1 / FPS, self._shoot)
        time.every(0.02, self._listen)
        time.every(1.0, self._report)

    def _shoot(self) -> None:
        keyframe, self._keyframe_wanted = self._keyframe_wanted, False
        self.keyframes += keyframe
        for i, packet in enumerate(self.camera.next_frame(keyframe=keyframe)):
            self._remember(packet)
            self.time.call_at(self.time.now + i * 0.0003, partial(self.link.send, packet))

    def _listen(self) -> None:
        packet = self.microphone.packet()
        self._remember(packet)
        self.link.send(packet)

    def _remember(self, packet: bytes) -> None:
        read = rtp.parse_rtp(packet)
        self._history[read.ssrc, read.sequence] = packet
        for key in list(self._history)[:-HISTORY_PACKETS]:
            del self._history[key]

    def _report(self) -> None:
        elapsed = self.time.now - self._began
        for ssrc, hz, start in (
            (VIDEO_SSRC, 90_000, 2**32 - 90_000),
            (AUDIO_SSRC, 48_000, 2**32 - 48_000),
        ):
            ntp = int((3.9e9 + elapsed) * 2**32)
            timestamp = int(start + elapsed * hz) & 0xFFFFFFFF
            self.link.send(rtcp.write_sender_report(rtcp.SenderReport(ssrc, ntp, timestamp, 1, 1)))

    def receive(self, compound: bytes) -> None:
        for message in rtcp.parse_rtcp(compound):
            if isinstance(message, rtcp.KeyframeRequest):
                self._keyframe_wanted = True
            elif isinstance(message, rtcp.Nack):
                for sequence in message.sequences:
                    packet = self._history.get((message.media_ssrc, sequence))
                    if packet is not None:
                        self.link.send(packet)


class LinkedOutlet(WatchingOutlet):
    """What leaves the relay goes over a link; what has left is remembered."""

    def attach(self, link: CarriedLink) -> "LinkedOutlet":
        self.link = link
        self.asked_at: list[float] = []
        return self

    def send_packets(self, spans, runs):
        known = len(self.packets)
        taken = super().send_packets(spans, runs)
        for packet in self.packets[known:]:
            self.link.send(rtp.write_rtp(packet))
        return taken

    def send_rtcp(self, packet):
        super().send_rtcp(packet)
        if any(isinstance(m, rtcp.KeyframeRequest) for m in rtcp.parse_rtcp(packet)):
            self.asked_at.append(self.link.time.now)
        self.link.send(packet)


class ConnectedViewer(ModelViewer):
    """A model viewer with its links to and from the relay."""

    def __init__(
        self, room: "NetworkRoom", down: Conditions, up: Conditions, *, rtx: bool = True, **settings
    ) -> None:
        number = len(room.viewers)
        self.name = f"viewer {number}"
        ssrc = VIEWER_SSRC + 10 * number
        seed = f"{room.seed}/{self.name}"
        self.up = CarriedLink(
            room.time, seed + "/up", up, lambda d: room.take_viewer_rtcp(self.name, d)
        )
        super().__init__(room.time, self.up.send, ssrc, **settings)
        self.down = CarriedLink(room.time, seed + "/down", down, self.receive)
        self.outlet = LinkedOutlet().attach(self.down)
        ids = ExtensionIds(abs_send_time=ABS_SEND_TIME_ID)
        audio, video = viewer_tracks(ssrc, first_sequence=65_000, ids=ids)
        if rtx:
            video = replace(video, retransmission=Retransmission(ssrc + 5, {"vp8": 97}, 65_500))
        tracks = (audio, video)
        room.broadcast.subscribe(self.name, tracks, self.outlet, self.name, room.time.now)
        room.arm()


class NetworkRoom:
    """Everybody, and the relay between them."""

    def __init__(
        self,
        seed: int = 1,
        *,
        up: Conditions | None = None,
        bitrate_bps: int = 1_500_000,
        layers: int = 1,
    ) -> None:
        self.seed = seed
        self.time = VirtualTime()
        self.began = self.time.now
        self.viewers: list[ConnectedViewer] = []
        self._armed = False
        self.broadcast = Broadcast(
            on_frame=self.take_frame,
            on_filter_keyframe=self.make_filter_keyframe,
            on_qualities_wanted=self._tell_qualities,
        )
        conditions = up or Conditions(delay_s=0.01)
        # What goes back to the host suffers as what it sends.
        self.from_host = CarriedLink(self.time, f"{seed}/host/up", conditions, self._take_from_host)
        self.host = self._make_host(bitrate_bps, layers)
        self.to_host = CarriedLink(self.time, f"{seed}/host/down", conditions, self.host.receive)
        self.host_outlet = LinkedOutlet().attach(self.to_host)
        self.broadcast.publish(self.host_tracks, self.host_outlet, 0xCAFE)
        self.time.every(TICK_S, self._tick)

    host_tracks: Sequence[IncomingTrack] = HOST_TRACKS

    def _make_host(self, bitrate_bps: int, layers: int) -> ModelHost:
        camera = LayeredCamera(self.time, bitrate_bps, layers=layers)
        return ModelHost(self.time, self.from_host, camera)

    def take_frame(self, frame: EncodedFrame) -> None:
        """Nothing, as long as there is no filter."""

    def make_filter_keyframe(self) -> None:
        """Nothing, as long as there is no filter."""

    def _tell_qualities(self, rids: tuple[str, ...]) -> None:
        """A host without simulcast is never told."""
        raise AssertionError(rids)

    def _tick(self) -> None:
        self.broadcast.tick(self.time.now)
        self.arm()

    def _take_from_host(self, datagram: bytes) -> None:
        if 192 <= datagram[1] <= 223:
            self.broadcast.receive_rtcp(datagram, self.time.now)
        else:
            self.broadcast.receive_rtp(datagram, self.time.now)
        self.arm()

    def take_viewer_rtcp(self, viewer: str, compound: bytes) -> None:
        self.broadcast.receive_viewer_rtcp(viewer, compound, self.time.now)
        self.arm()

    def arm(self) -> None:
        """Let the relay go on when it has something due, as the node does."""
        at = self.broadcast.due_at
        if at is not None and not self._armed:
            self._armed = True
            self.time.call_at(max(at, self.time.now), self._advance)

    def _advance(self) -> None:
        self._armed = False
        self.broadcast.advance(self.time.now)
        self.arm()

    def join(
        self, down: Conditions | None = None, up: Conditions | None = None, **settings
    ) -> ConnectedViewer:
        """Let a viewer in; without ``up`` its way back is as bad as its way in, but not limited."""
        down = down or Conditions(delay_s=0.01)
        back = up or Conditions(loss=down.loss, delay_s=down.delay_s, jitter_s=down.jitter_s)
        viewer = ConnectedViewer(self, down, back, **settings)
        self.viewers.append(viewer)
        return viewer

    def run(self, seconds: float) -> None:
        self.time.run_until(self.time.now + seconds)


def numbers_sent(viewer: ConnectedViewer) -> list[int]:
    """Sequence numbers of a viewer's video as they left, unwrapped."""
    return unwrapped([p.sequence for p in viewer.outlet.of(viewer.video_ssrc)], 16)


def pictures_sent(viewer: ConnectedViewer) -> list[list[int]]:
    """Picture ids of a viewer's frames in the order of their numbers, anew at each keyframe."""
    packets = viewer.outlet.of(viewer.video_ssrc)
    by_number = dict(zip(numbers_sent(viewer), packets, strict=True))
    runs: list[list[int]] = [[]]
    for _, packet in sorted(by_number.items()):
        payload = packet.payload
        if not payload or descriptor_bytes(payload) < 4:
            continue
        if payload[0] & 0x10 and not payload[descriptor_bytes(payload)] & 1:
            runs.append([])
        runs[-1].append((payload[2] & 0x7F) << 8 | payload[3])
    return [list(dict.fromkeys(unwrapped(run, 15))) for run in runs if run]
