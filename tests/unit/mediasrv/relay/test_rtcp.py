import random
import struct

import pytest
from aiortc import rtp as aiortc_rtp
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay import rtcp

WORD = st.integers(0, 0xFFFFFFFF)
REPORT_BLOCKS = st.builds(
    rtcp.ReportBlock,
    ssrc=WORD,
    fraction_lost=st.integers(0, 255),
    packets_lost=st.integers(-0x800000, 0x7FFFFF),
    highest_sequence=WORD,
    jitter_ticks=WORD,
    last_report=WORD,
    delay=WORD,
)
SENDER_REPORTS = st.builds(
    rtcp.SenderReport,
    ssrc=WORD,
    ntp=st.integers(0, 2**64 - 1),
    timestamp=WORD,
    packets=WORD,
    octets=WORD,
    reports=st.lists(REPORT_BLOCKS, max_size=31).map(tuple),
)


def only(messages):
    (message,) = messages
    return message


def theirs(block):
    return aiortc_rtp.RtcpReceiverInfo(
        ssrc=block.ssrc,
        fraction_lost=block.fraction_lost,
        packets_lost=block.packets_lost,
        highest_sequence=block.highest_sequence,
        jitter=block.jitter_ticks,
        lsr=block.last_report,
        dlsr=block.delay,
    )


def their_sender_report(report):
    return aiortc_rtp.RtcpSrPacket(
        ssrc=report.ssrc,
        sender_info=aiortc_rtp.RtcpSenderInfo(
            ntp_timestamp=report.ntp,
            rtp_timestamp=report.timestamp,
            packet_count=report.packets,
            octet_count=report.octets,
        ),
        reports=[theirs(block) for block in report.reports],
    )


@given(SENDER_REPORTS)
def test_sender_reports_are_those_of_aiortc_both_ways(report):
    written = rtcp.write_sender_report(report)
    assert aiortc_rtp.RtcpPacket.parse(written) == [their_sender_report(report)]
    assert written == bytes(their_sender_report(report))
    assert rtcp.parse_rtcp(written) == [report]


@given(WORD, st.lists(REPORT_BLOCKS, max_size=31))
def test_receiver_reports_are_those_of_aiortc_both_ways(ssrc, blocks):
    written = rtcp.write_receiver_report(ssrc, blocks)
    their = aiortc_rtp.RtcpRrPacket(ssrc=ssrc, reports=[theirs(b) for b in blocks])
    assert aiortc_rtp.RtcpPacket.parse(written) == [their]
    assert written == bytes(their)
    assert rtcp.parse_rtcp(written) == [rtcp.ReceiverReport(ssrc, tuple(blocks))]


# aiortc does not let sequence numbers wrap within one entry, so it is an oracle only below that.
@given(WORD, WORD, st.sets(st.integers(0, 65000), min_size=1, max_size=60).map(sorted))
def test_nacks_are_those_of_aiortc_both_ways(ssrc, media_ssrc, sequences):
    written = rtcp.write_nack(ssrc, media_ssrc, sequences)
    their = aiortc_rtp.RtcpRtpfbPacket(
        fmt=rtcp.NACK_FORMAT, ssrc=ssrc, media_ssrc=media_ssrc, lost=sequences
    )
    assert aiortc_rtp.RtcpPacket.parse(written) == [their]
    assert written == bytes(their)
    assert rtcp.parse_rtcp(written) == [rtcp.Nack(ssrc, media_ssrc, tuple(sequences))]


@given(
    st.integers(0, 2**20),
    st.lists(st.integers(1, 40), min_size=1, max_size=40),
)
def test_a_nack_across_the_wrap_names_what_is_missing(start, steps):
    sequences = [start + sum(steps[:i]) for i in range(len(steps))]
    nack = only(rtcp.parse_rtcp(rtcp.write_nack(1, 2, sequences)))
    assert list(nack.sequences) == [s & 0xFFFF for s in sequences]


def test_seventeen_neighbours_share_one_entry():
    assert len(rtcp.write_nack(1, 2, range(65530, 65547))) == 16
    assert len(rtcp.write_nack(1, 2, range(65530, 65548))) == 20


@given(WORD, WORD)
def test_keyframe_requests_are_those_of_aiortc(ssrc, media_ssrc):
    their = aiortc_rtp.RtcpPsfbPacket(
        fmt=aiortc_rtp.RTCP_PSFB_PLI, ssrc=ssrc, media_ssrc=media_ssrc
    )
    assert rtcp.write_pli(ssrc, media_ssrc) == bytes(their)
    assert rtcp.parse_rtcp(bytes(their)) == [rtcp.KeyframeRequest(ssrc, (media_ssrc,))]


@given(WORD, st.lists(WORD, max_size=5))
def test_a_full_intra_request_may_name_several_streams(ssrc, media_ssrcs):
    their = aiortc_rtp.RtcpPsfbPacket(
        fmt=aiortc_rtp.RTCP_PSFB_FIR,
        ssrc=ssrc,
        media_ssrc=0,
        fci=b"".join(struct.pack("!IBxxx", s, 7) for s in media_ssrcs),
    )
    assert rtcp.parse_rtcp(bytes(their)) == [rtcp.KeyframeRequest(ssrc, tuple(media_ssrcs))]


@given(WORD, st.integers(0, 2**60), st.lists(WORD, max_size=4))
def test_bitrate_estimates_are_those_of_aiortc_both_ways(ssrc, bitrate_bps, media_ssrcs):
    written = rtcp.write_remb(ssrc, bitrate_bps, media_ssrcs)
    their = aiortc_rtp.RtcpPsfbPacket(
        fmt=aiortc_rtp.RTCP_PSFB_APP,
        ssrc=ssrc,
        media_ssrc=0,
        fci=aiortc_rtp.pack_remb_fci(bitrate_bps, media_ssrcs),
    )
    assert written == bytes(their)
    estimate = only(rtcp.parse_rtcp(written))
    rounded, _ = aiortc_rtp.unpack_remb_fci(their.fci)
    assert estimate == rtcp.BitrateEstimate(ssrc, rounded, tuple(media_ssrcs))


@given(WORD, st.lists(WORD, max_size=31))
def test_goodbyes_are_read(ssrc, others):
    sources = [ssrc, *others][:31]
    written = bytes(aiortc_rtp.RtcpByePacket(sources=sources))
    assert rtcp.parse_rtcp(written) == [rtcp.Goodbye(tuple(sources))]


@pytest.mark.parametrize("cname", ["", "a", "ab", "abc", "abcd", "mediasrv", "x" * 300])
def test_the_canonical_name_is_read_by_aiortc(cname):
    parsed = only(aiortc_rtp.RtcpPacket.parse(rtcp.write_cname(9, cname)))
    assert [(c.ssrc, c.items) for c in parsed.chunks] == [(9, [(1, cname.encode()[:255])])]


def test_a_compound_packet_gives_its_messages_in_order_and_skips_what_is_unknown():
    extended = struct.pack("!BBHII", 0x80, 207, 2, 1, 2)
    slice_loss = struct.pack("!BBHIII", 0x82, 206, 3, 1, 2, 3)
    transport_wide = struct.pack("!BBHIII", 0x8F, 205, 3, 1, 2, 3)
    foreign = struct.pack("!BBHII4s", 0x8F, 206, 3, 1, 2, b"DATA")
    compound = (
        rtcp.write_receiver_report(1, [])
        + rtcp.write_cname(1, "c")
        + extended
        + slice_loss
        + transport_wide
        + foreign
        + rtcp.write_pli(1, 2)
    )
    assert rtcp.parse_rtcp(compound) == [
        rtcp.ReceiverReport(1, ()),
        rtcp.KeyframeRequest(1, (2,)),
    ]


def test_a_packet_that_is_only_a_header_is_read():
    assert rtcp.parse_rtcp(b"\x80\xcb\x00\x00") == [rtcp.Goodbye(())]


def test_padding_is_taken_off():
    padded = b"\xa1\xce\x00\x03" + struct.pack("!II", 1, 2) + b"\0\0\0\x04"
    assert rtcp.parse_rtcp(padded) == [rtcp.KeyframeRequest(1, (2,))]


def test_losses_beyond_the_field_are_clamped():
    for lost, written in ((1 << 30, 0x7FFFFF), (-(1 << 30), -0x800000)):
        block = rtcp.ReportBlock(1, 0, lost, 0, 0, 0, 0)
        report = only(rtcp.parse_rtcp(rtcp.write_receiver_report(1, [block])))
        assert report.reports[0].packets_lost == written


@pytest.mark.parametrize(
    "compound",
    [
        b"\x80",
        b"\x80\xc9\x00",
        b"\x40\xc9\x00\x01\0\0\0\0",  # version 1
        b"\x80\xc9\x00\x02\0\0\0\0",  # runs past the end
        b"\x81\xc9\x00\x01\0\0\0\0",  # a block is announced and missing
        b"\x80\xc8\x00\x05" + bytes(20),  # a sender report is longer
        b"\x82\xcb\x00\x01\0\0\0\0",
        b"\x81\xcd\x00\x01\0\0\0\0",
        b"\x81\xce\x00\x01\0\0\0\0",
        b"\x8f\xce\x00\x03" + bytes(8) + b"REMB",
        b"\x8f\xce\x00\x04" + bytes(8) + b"REMB\x01\0\0\0",
        b"\xa0\xc9\x00\x01\0\0\0\x00",  # padding of nothing
        b"\xa0\xc9\x00\x01\0\0\0\x09",
        b"\xa0\xc9\x00\x00",
        rtcp.write_pli(1, 2) * (rtcp.PACKETS_MAX + 1),
    ],
)
def test_malformed_compounds_are_refused(compound):
    with pytest.raises(rtcp.RtcpRefused):
        rtcp.parse_rtcp(compound)


def test_nothing_is_a_compound_of_nothing():
    assert rtcp.parse_rtcp(b"") == []


def test_mutations_of_good_compounds_raise_nothing_else():
    random_ = random.Random(4585)
    report = rtcp.SenderReport(1, 2**40, 3, 4, 5, (rtcp.ReportBlock(1, 2, 3, 4, 5, 6, 7),))
    seeds = [
        rtcp.write_sender_report(report) + rtcp.write_cname(1, "name"),
        rtcp.write_receiver_report(1, report.reports) + rtcp.write_pli(1, 2),
        rtcp.write_nack(1, 2, [1, 5, 40, 65535]) + rtcp.write_remb(1, 10**6, [2, 3]),
        bytes(aiortc_rtp.RtcpByePacket(sources=[1, 2])),
    ]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(4000):
        compound = bytearray(random_.choice(seeds))
        for _ in range(random_.randint(1, 4)):
            compound[random_.randrange(len(compound))] = random_.randrange(256)
        cut = random_.choice((len(compound), random_.randrange(len(compound) + 1)))
        try:
            rtcp.parse_rtcp(bytes(compound[:cut]))
            outcomes["read"] += 1
        except rtcp.RtcpRefused:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 500
