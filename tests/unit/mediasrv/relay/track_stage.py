"""A track of video and its viewers, for the tests of both."""

from mediasrv.relay.forwarder import Forwarder
from mediasrv.relay.packets import ExtensionIds, TrackPacket
from mediasrv.relay.track import TrackRelay
from tests.relay_fakes import (
    WatchingOutlet,
    read_piece,
    vp8_payloads,
)

HZ = 90_000
STEP = 3000


class Stage:
    """A video track with viewers; frames of the host 1/30 s apart."""

    def __init__(self):
        self.track = TrackRelay(HZ, seekable=True)
        self.outlets = {}
        self.now = 10.0
        self.sequence = 1000
        self.frame = 0

    def join(self, name, **types):
        outlet = self.outlets[name] = WatchingOutlet()
        self.track.add(
            name,
            Forwarder(outlet, 5, types or {"vp8": 96, "h264": 97}, ExtensionIds(), 0),
            self.now,
        )
        return outlet

    def packets(self, *, keyframe=False, count=2):
        payloads = vp8_payloads(
            self.frame, keyframe=keyframe, count=count, picture_id=self.frame + 7
        )
        made = [
            TrackPacket(
                self.sequence + i,
                self.frame * STEP,
                i == count - 1,
                "vp8",
                payload,
                b"",
                keyframe and i == 0,
            )
            for i, payload in enumerate(payloads)
        ]
        self.sequence += count
        self.frame += 1
        return made

    def write(self, packets):
        for packet in packets:
            self.track.write_packet(packet, self.now)

    def shoot(self, frames=1, *, keyframe=False, count=2):
        for _ in range(frames):
            self.write(self.packets(keyframe=keyframe, count=count))
            self.now += 1 / 30

    def catch_up(self):
        """Let everybody who is on the way to the present arrive there."""
        while self.track.due_at is not None:
            self.now = self.track.due_at
            self.track.advance(self.now)

    def seen(self, name):
        return [read_piece(p.payload) for p in self.outlets[name].packets]
