from benchmarks.load.pacing import AUDIO_TYPE, VIDEO_TYPE, PacedSender
from benchmarks.load.stream import Stream
from mediasrv.relay.rtp import parse_rtp
from mediasrv.relay.vp8 import starts_keyframe

KEYFRAME, DELTA = b"\x10" + bytes(3000), b"\x11" + bytes(10)
SSRCS = {"audio": 1, "video": 2}


class Sent:
    def __init__(self, tempo=1.0):
        self.packets = []
        self.sender = PacedSender(
            Stream((KEYFRAME, DELTA, DELTA), (b"sound",), tempo),
            SSRCS,
            lambda kind, packet: self.packets.append((kind, parse_rtp(packet))),
            lambda kind, packet: None,
        )

    def frame(self):
        self.packets.clear()
        self.sender._send_frame()
        return [packet for _, packet in self.packets]


def test_a_frame_is_cut_into_packets_that_fit_and_ends_with_a_marker():
    packets = Sent().frame()
    assert [p.marker for p in packets] == [False, False, True]
    assert {p.payload_type for p in packets} == {VIDEO_TYPE}
    assert [p.sequence for p in packets] == [1000, 1001, 1002]
    assert len({p.timestamp for p in packets}) == 1


def test_a_wanted_keyframe_begins_the_loop_again():
    sent = Sent()
    assert starts_keyframe(sent.frame()[0].payload)
    assert not starts_keyframe(sent.frame()[0].payload)
    sent.sender.request_keyframe()
    assert starts_keyframe(sent.frame()[0].payload)
    assert not starts_keyframe(sent.frame()[0].payload)
    assert sent.sender.log.restarts == 1


def test_timestamps_and_the_log_follow_the_frames():
    sent = Sent()
    stamps = [sent.frame()[0].timestamp for _ in range(3)]
    assert stamps == [0, 3000, 6000]
    assert [ticks for ticks, _ in sent.sender.log.frames] == stamps


def test_sound_has_numbers_of_its_own():
    sent = Sent()
    sent.frame()
    sent.packets.clear()
    sent.sender._send_sound()
    [(kind, packet)] = sent.packets
    assert (kind, packet.payload_type, packet.ssrc, packet.sequence) == (
        "audio",
        AUDIO_TYPE,
        1,
        2000,
    )
    assert packet.payload == b"sound"


def test_at_half_the_tempo_the_same_frames_are_twice_as_far_apart():
    sent = Sent(tempo=0.5)
    assert [sent.frame()[0].timestamp for _ in range(3)] == [0, 6000, 12000]
