"""A room with the filter on, in virtual time: every frame of the host comes back after a while."""

from functools import partial

from mediasrv.media import Codec, EncodedFrame
from mediasrv.relay import rtp, vp8
from mediasrv.relay.track import PAYLOAD_MAX_BYTES
from tests.scenarios.marked_video import LayeredCamera, descriptor_bytes
from tests.scenarios.network_room import NetworkRoom

WORK_S = 0.012
LAYERED_DESCRIPTOR_BYTES = 6


class WorkerEncoder(LayeredCamera):
    """Makes frames that the relay cuts just between two marks."""

    def _body(self, reference, index, count, size, keyframe):
        del size
        room = PAYLOAD_MAX_BYTES - (LAYERED_DESCRIPTOR_BYTES if self.layers > 1 else 4)
        return super()._body(reference, index, count, room, keyframe)


class FilteredRoom(NetworkRoom):
    """A network room whose video is encoded anew, in layers or without."""

    def __init__(self, seed: int, *, layers: int, bitrate_bps: int = 1_500_000) -> None:
        super().__init__(seed)
        self.worker = WorkerEncoder(self.time, bitrate_bps, layers=layers)
        self._wants_keyframe = True
        self.broadcast.require_filter(self.time.now)

    def take_frame(self, frame: EncodedFrame) -> None:
        self.time.call_at(self.time.now + WORK_S, partial(self._give_back, frame.timestamp_ticks))

    def make_filter_keyframe(self) -> None:
        self._wants_keyframe = True

    def _give_back(self, ticks: int) -> None:
        keyframe, self._wants_keyframe = self._wants_keyframe, False
        packets = self.worker.next_frame(keyframe=keyframe)
        payloads = [rtp.parse_rtp(packet).payload for packet in packets]
        place = vp8.parse_descriptor(payloads[0])
        body = b"".join(payload[descriptor_bytes(payload) :] for payload in payloads)
        frame = EncodedFrame(Codec.VP8, ticks, keyframe, body, place.layer, place.layer_sync)
        self.broadcast.write_filtered(frame, self.time.now)
        self.arm()
