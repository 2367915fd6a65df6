"""Malformed media from an authenticated peer: only counters move, and good packets go on."""

import random

import pytest

from mediasrv.relay import rtcp, rtp
from mediasrv.relay.broadcast import VideoPath
from tests.relay_fakes import (
    AUDIO_SSRC,
    AUDIO_TYPE,
    H264_TRACKS,
    HOST_TRACKS,
    VIDEO_SSRC,
    VIDEO_TYPE,
    viewer_tracks,
)
from tests.studio import Studio

ROUNDS = 2500


class Attacker:
    """Writes RTP, payloads and RTCP that are nearly right, from one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def mangled(self, good, most=4):
        data = bytearray(good)
        for _ in range(self.random.randint(0, most)):
            data[self.random.randrange(len(data))] = self.random.randrange(256)
        if self.random.random() < 0.3:
            del data[self.random.randrange(len(data) + 1) :]
        return bytes(data)

    def rtp(self, payload, ssrc=VIDEO_SSRC, payload_type=VIDEO_TYPE):
        extensions = {n: self.random.randbytes(self.random.randint(1, 16)) for n in (1, 14)}
        return rtp.write_rtp(
            rtp.RtpPacket(
                payload_type,
                self.random.random() < 0.5,
                self.random.getrandbits(16),
                self.random.getrandbits(32),
                ssrc,
                extensions if self.random.random() < 0.5 else {},
                payload,
            )
        )

    def packet(self):
        """A mangled packet, on our streams or on new ones."""
        ssrc, kind = self.random.choice(
            ((VIDEO_SSRC, VIDEO_TYPE), (AUDIO_SSRC, AUDIO_TYPE), (7, VIDEO_TYPE), (7, AUDIO_TYPE))
        )
        return self.mangled(self.rtp(self.random.randbytes(self.random.randint(0, 60)), ssrc, kind))

    def video_payload(self, first_bytes):
        head = bytes([self.random.choice(first_bytes)])
        return head + self.random.randbytes(self.random.randint(0, 12))

    def compound(self):
        ssrc = self.random.choice((AUDIO_SSRC, VIDEO_SSRC, 1000, 1001))
        good = self.random.choice(
            (
                rtcp.write_sender_report(
                    rtcp.SenderReport(
                        ssrc, self.random.getrandbits(64), self.random.getrandbits(32), 1, 2
                    )
                ),
                rtcp.write_pli(1, ssrc),
                rtcp.write_nack(1, ssrc, sorted(self.random.choices(range(65536), k=9))),
                rtcp.write_remb(1, self.random.getrandbits(60), [ssrc]),
                rtcp.write_receiver_report(1, [rtcp.ReportBlock(ssrc, 1, 2, 3, 4, 5, 6)]),
            )
        )
        return self.mangled(good + self.random.choice((b"", good)))


def staffed(tracks=HOST_TRACKS, path=VideoPath.DIRECT):
    studio = Studio()
    studio.publish(tracks)
    studio.join("v")
    if path is VideoPath.FILTERED:
        studio.broadcast.require_filter(studio.now)
    return studio


def check_that_good_packets_go_on(studio):
    """The host publishes as if nothing had been; the viewer sees what it sends."""
    if studio.broadcast.path is VideoPath.FILTERED:
        fed = len(studio.fed)
        studio.shoot(5, keyframe=True)
        assert len(studio.fed) == fed + 5
        for frame in studio.fed[fed:]:
            studio.give_filtered(frame, keyframe=frame.keyframe)
        assert studio.tags("v")[-5:] == [b"fil"] * 5
    else:
        seen = len(studio.video("v"))
        studio.shoot(5, keyframe=True)
        assert studio.tags("v")[seen:] == [b"raw"] * 10
    heard = len(studio.viewers["v"].of(1000))
    studio.receive(studio.microphone.packet(b"good"))
    assert [p.payload for p in studio.viewers["v"].of(1000)[heard:]] == [b"good"]


def check_that_a_good_access_unit_goes_on(studio):
    fed, seen = len(studio.fed), len(studio.video("v"))
    good = [b"\x78\x00\x02\x67a\x00\x02\x68b", b"\x7c\x85idr", b"\x7c\x45end"]
    studio.receive(*studio.camera.pack(good))
    if studio.broadcast.path is VideoPath.FILTERED:
        unit = b"\0\0\0\1\x67a\0\0\0\1\x68b\0\0\0\1\x65idrend"
        assert [f.payload for f in studio.fed[fed:]] == [unit]
    else:
        assert [p.payload for p in studio.video("v")[seen:]] == good


@pytest.mark.parametrize("path", [VideoPath.DIRECT, VideoPath.FILTERED])
def test_malformed_rtp_is_survived(path):
    attacker, studio = Attacker(1), staffed(path=path)
    # On streams of their own: what is done to a stream's numbers, only that stream suffers.
    for _ in range(ROUNDS):
        studio.receive(attacker.packet())
        if attacker.random.random() < 0.05:
            studio.pass_time(0.02)
    assert studio.broadcast.counters.malformed_rtp > ROUNDS / 20
    studio.publish()
    check_that_good_packets_go_on(studio)


@pytest.mark.parametrize("path", [VideoPath.DIRECT, VideoPath.FILTERED])
@pytest.mark.parametrize("kind", ["vp8", "h264"])
def test_malformed_payloads_between_good_frames_are_survived(path, kind):
    first_bytes = {
        "vp8": (0x10, 0x90, 0x80, 0x00, 0xFF),
        "h264": (0x67, 0x65, 0x41, 0x78, 0x7C, 0x7D, 0x18, 0x60),
    }[kind]
    attacker = Attacker(2)
    studio = staffed(HOST_TRACKS if kind == "vp8" else H264_TRACKS, path)
    for _ in range(ROUNDS):
        payloads = [attacker.video_payload(first_bytes) for _ in range(2)]
        studio.receive(*studio.camera.pack(payloads))
        if attacker.random.random() < 0.1:
            studio.pass_time(0.03)
    for frame in studio.fed:
        studio.broadcast.write_filtered(frame, studio.now)
    if kind == "vp8":
        check_that_good_packets_go_on(studio)
    else:
        check_that_a_good_access_unit_goes_on(studio)


@pytest.mark.parametrize("path", [VideoPath.DIRECT, VideoPath.FILTERED])
def test_malformed_rtcp_of_host_and_viewers_is_survived(path):
    attacker, studio = Attacker(3), staffed(path=path)
    studio.shoot(1, keyframe=True)
    studio.receive(studio.microphone.packet())
    for _ in range(ROUNDS):
        studio.broadcast.receive_rtcp(attacker.compound(), studio.now)
        studio.broadcast.receive_viewer_rtcp("v", attacker.compound(), studio.now)
        if attacker.random.random() < 0.1:
            studio.pass_time(0.02)
    assert studio.broadcast.counters.malformed_rtcp > ROUNDS / 10
    check_that_good_packets_go_on(studio)
    studio.pass_time(3)


def test_a_viewer_cannot_disturb_another_viewers_packets():
    attacker, studio = Attacker(4), staffed()
    studio.join("hostile", viewer_tracks(2000))
    studio.shoot(1, keyframe=True)
    for _ in range(200):
        studio.broadcast.receive_viewer_rtcp("hostile", attacker.compound(), studio.now)
        studio.shoot(1)
    assert studio.frames_seen("v") == list(range(201))
    assert [p.sequence for p in studio.video("v")] == [100 + i for i in range(402)]
