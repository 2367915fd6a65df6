from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay.layout import GROWTH_MAX_BYTES, Batch, LayoutKind, copy_layout
from mediasrv.relay.packets import ExtensionIds, TrackPacket, extension_elements
from mediasrv.relay.rtp import PACKET_MAX_BYTES, parse_rtp, write_extensions

ALL_IDS = ExtensionIds(audio_level=1, abs_send_time=2, playout_delay=3)


def packet(sequence=0, size=20, **fields):
    return TrackPacket(sequence, sequence * 3000, True, "vp8", bytes(size), **fields)


def read(layout, *, ssrc=9, offset=0, picture_offset=0):
    buffer = bytearray(len(layout.template))
    copy_layout(layout, buffer, ssrc, offset, picture_offset)
    return [parse_rtp(bytes(buffer[at : at + size])) for at, size in layout.spans]


def laid_out(packets, ids=ALL_IDS, overhead=16, now=1.0):
    kind = LayoutKind(ids, 96, overhead)
    return Batch(packets, now).layout(kind.key, kind)


class TestExtensions:
    def test_the_playout_delay_comes_where_a_decoder_begins(self):
        begins, goes_on = packet(starts_keyframe=True), packet()
        assert dict(extension_elements(begins, ExtensionIds(playout_delay=3), 0.0)) == {
            3: b"\x00\x00\x32"  # at least 0, at most 50 x 10 ms
        }
        assert extension_elements(goes_on, ExtensionIds(playout_delay=3), 0.0) == []

    def test_nothing_is_sent_that_was_not_negotiated(self):
        loud = packet(starts_keyframe=True, audio_level=b"\x12")
        assert extension_elements(loud, ExtensionIds(), 5.0) == []
        assert len(extension_elements(loud, ALL_IDS, 5.0)) == 3

    def test_the_largest_block_fits_into_the_room_that_is_left_for_it(self):
        loud = packet(starts_keyframe=True, audio_level=b"\x12")
        block = write_extensions(extension_elements(loud, ALL_IDS, 5.0))
        # RTX's number and the longest tag come on top.
        assert len(block) + 2 + 16 <= GROWTH_MAX_BYTES


class TestKind:
    def test_its_key_is_the_same_for_equal_kinds_only(self):
        kinds = [
            LayoutKind(ExtensionIds(level, sent, delay), payload_type, overhead)
            for level, sent, delay in product((0, 1, 14), repeat=3)
            for payload_type in range(96, 128)
            for overhead in (0, 8, 10, 16)
        ]
        keys = {kind.key for kind in kinds}
        assert len(keys) == len(kinds)
        assert LayoutKind(ExtensionIds(1, 2, 3), 96, 16).key == LayoutKind(ALL_IDS, 96, 16).key


class TestBatch:
    def test_it_knows_its_layers_and_its_bytes(self):
        batch = Batch([packet(5, 20, layer=1), packet(6, 30, layer=0), packet(7, 1, layer=2)], 1.0)
        assert (batch.first_sequence, batch.payload_bytes) == (5, 51)
        assert batch.highest_layer == 2

    def test_it_can_begin_at_its_first_keyframe(self):
        plain = [packet(i) for i in range(3)]
        assert Batch(plain, 1.0).from_keyframe() is None
        batch = Batch([*plain, packet(3, starts_keyframe=True), packet(4)], 1.5)
        part = batch.from_keyframe()
        assert part is not None
        assert [p.sequence for p in part.packets] == [3, 4]
        assert part.now == 1.5
        assert part.from_keyframe() is part


class TestLayout:
    def test_each_packet_is_there_with_room_behind_it(self):
        layout = laid_out([packet(1, 50), packet(2, 70)], ExtensionIds(), 16)
        assert layout.spans == ((0, 62), (78, 82))
        assert len(layout.template) == layout.sent_bytes == 176
        assert layout.runs == ((0, 78, 78), (78, 176, 98))

    @pytest.mark.parametrize(("bits", "picture_id"), [(15, 0x1234), (7, 0x34)])
    @pytest.mark.parametrize("offset", [0, -1, -0x40, 3])
    def test_picture_ids_move_with_the_viewer_and_keep_their_width(self, bits, picture_id, offset):
        written = (picture_id | 0x8000).to_bytes(2, "big") if bits == 15 else bytes([picture_id])
        payload = b"\x90\x80" + written + b"\x11picture"
        first = TrackPacket(3, 0, True, "vp8", payload)
        first.picture_id, first.picture_id_bits = picture_id, bits
        got, other = read(laid_out([first, packet(4)]), picture_offset=offset)
        moved = (picture_id + offset) % (1 << bits)
        wanted = (moved | 0x8000).to_bytes(2, "big") if bits == 15 else bytes([moved])
        assert got.payload == b"\x90\x80" + wanted + b"\x11picture"
        assert other.payload == bytes(20)

    @given(
        st.lists(
            st.tuples(st.integers(0, 300), st.booleans(), st.booleans()), min_size=1, max_size=9
        ),
        st.integers(0, 2**40),
        st.integers(-(2**17), 2**17),
        st.integers(0, 2**32 - 1),
    )
    def test_what_is_laid_out_is_read_back(self, plan, first, offset, ssrc):
        packets = [
            TrackPacket(
                first + i,
                (first + i) * 3000,
                marker,
                "vp8",
                bytes([i]) * size,
                b"\x12" if begins else b"",
                starts_keyframe=begins,
            )
            for i, (size, marker, begins) in enumerate(plan)
        ]
        got = read(laid_out(packets), ssrc=ssrc, offset=offset)
        for ours, theirs in zip(got, packets, strict=True):
            assert ours.sequence == (theirs.sequence + offset) % 2**16
            assert ours.timestamp == theirs.ticks % 2**32
            assert (ours.ssrc, ours.marker, ours.payload_type) == (ssrc, theirs.marker, 96)
            assert ours.payload == theirs.payload
            assert ours.extensions == dict(extension_elements(theirs, ALL_IDS, 1.0))
        assert all(len(p.payload) < PACKET_MAX_BYTES for p in got)
