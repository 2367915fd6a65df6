"""A browser as host that sends its picture in three qualities, as far as they are wanted."""

from functools import partial

from mediasrv.relay import rtcp, rtp
from mediasrv.relay.publisher import IncomingTrack
from tests.relay_fakes import AUDIO_LEVEL_ID, AUDIO_TYPE, VIDEO_SSRC, VIDEO_TYPE
from tests.scenarios.marked_video import LayeredCamera
from tests.scenarios.network_room import CarriedLink, ModelHost, NetworkRoom
from tests.virtual_time import VirtualTime

RID_ID = 5
RATES_BPS = {"f": 2_500_000, "h": 500_000, "q": 150_000}
# From the server's word by way of the page to the first frame: signalling, and a new encoder.
ACTIVATION_S = 0.25

SIMULCAST_TRACKS = (
    IncomingTrack("audio", "opus", AUDIO_TYPE, 48_000, AUDIO_LEVEL_ID),
    IncomingTrack("video", "vp8", VIDEO_TYPE, 90_000, rid_id=RID_ID, rids=tuple(RATES_BPS)),
)


class QualityCamera(LayeredCamera):
    """One quality: an SSRC, a clock and a picture id of its own, and the rid in each packet."""

    def __init__(self, time: VirtualTime, rid: str) -> None:
        super().__init__(time, RATES_BPS[rid], layers=3)
        number = list(RATES_BPS).index(rid)
        self.rid = rid
        self.ssrc = VIDEO_SSRC + 16 * number
        self.first_timestamp = self.timestamp = (self.timestamp + 1_234_567 * number) % (1 << 32)
        self.picture_id = (self.picture_id + 5000 * number) & 0x7FFF
        self._tl0 = 100 * number & 0xFF

    def packet(self, payload: bytes, *, marker: bool) -> bytes:
        packet = rtp.parse_rtp(super().packet(payload, marker=marker))
        packet.extensions = {RID_ID: self.rid.encode()}
        return rtp.write_rtp(packet)


class SimulcastHost(ModelHost):
    """As libvpx does, it makes all its streams begin anew when one of them has to."""

    def __init__(self, time: VirtualTime, link: CarriedLink) -> None:
        self.cameras = {rid: QualityCamera(time, rid) for rid in RATES_BPS}
        self.active: set[str] = {"f"}
        self.told: list[tuple[float, tuple[str, ...]]] = []
        super().__init__(time, link, self.cameras["f"])

    def want(self, rids: tuple[str, ...]) -> None:
        self.told.append((self.time.now, rids))
        self.time.call_at(self.time.now + ACTIVATION_S, partial(self._activate, set(rids)))

    def _activate(self, rids: set[str]) -> None:
        self._keyframe_wanted = self._keyframe_wanted or bool(rids - self.active)
        self.active = rids

    def _shoot(self) -> None:
        keyframe, self._keyframe_wanted = self._keyframe_wanted, False
        self.keyframes += keyframe
        at = self.time.now
        best = self.cameras["f"]
        shot, clock = best.frame, best.timestamp
        for rid in reversed(RATES_BPS):
            camera = self.cameras[rid]
            # All qualities are of the same images, whichever were left out meanwhile.
            elapsed = clock - best.first_timestamp
            camera.frame, camera.timestamp = shot, (camera.first_timestamp + elapsed) % (1 << 32)
            if rid not in self.active:
                continue
            for packet in camera.next_frame(keyframe=keyframe):
                self._remember(packet)
                self.time.call_at(at, partial(self.link.send, packet))
                at += 0.0003

    def _report(self) -> None:
        super()._report()
        elapsed = self.time.now - self._began
        for rid in self.active - {"f"}:
            camera = self.cameras[rid]
            ntp = int((3.9e9 + elapsed) * 2**32)
            timestamp = int(camera.first_timestamp + elapsed * 90_000) & 0xFFFFFFFF
            report = rtcp.SenderReport(camera.ssrc, ntp, timestamp, 1, 1)
            self.link.send(rtcp.write_sender_report(report))


class SimulcastRoom(NetworkRoom):
    """A room whose host sends three qualities."""

    host: SimulcastHost
    host_tracks = SIMULCAST_TRACKS

    def _make_host(self, bitrate_bps: int, layers: int) -> SimulcastHost:
        return SimulcastHost(self.time, self.from_host)

    def _tell_qualities(self, rids: tuple[str, ...]) -> None:
        self.host.want(rids)
