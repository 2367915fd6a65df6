"""Payload descriptors of RFC 9628 section 4.2, written bit by bit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay import vp9

PICTURE, INTER, LAYERS, FLEXIBLE, BEGINS, ENDS = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04


def layer(temporal=0, spatial=0, *, up=False, depends=False):
    return temporal << 5 | up << 4 | spatial << 1 | depends


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        ([BEGINS], True),
        ([BEGINS | ENDS], True),
        ([BEGINS | PICTURE, 5], True),
        ([BEGINS | FLEXIBLE], True),
        # Not the first packet of its frame.
        ([ENDS], False),
        ([PICTURE, 5], False),
        # Another picture is needed for it.
        ([BEGINS | INTER], False),
        ([BEGINS | INTER | LAYERS, layer(), 0], False),
        # Its layer comes behind a picture id of 0, 7 or 15 bits.
        ([BEGINS | LAYERS, layer(), 0], True),
        ([BEGINS | LAYERS | PICTURE, 0x05, layer(), 0], True),
        ([BEGINS | LAYERS | PICTURE, 0x85, 0x02, layer(), 0], True),
        ([BEGINS | LAYERS, layer(temporal=2, up=True), 0], True),
        # The keyframe of a higher spatial layer needs the one below.
        ([BEGINS | LAYERS, layer(spatial=1, depends=True), 0], False),
        ([BEGINS | LAYERS | PICTURE, 0x05, layer(spatial=2), 0], False),
        ([BEGINS | LAYERS | PICTURE, 0x82, 0x00, layer(spatial=1), 0], False),
        # Cut off.
        ([], False),
        ([BEGINS | LAYERS], False),
        ([BEGINS | LAYERS | PICTURE], False),
        ([BEGINS | LAYERS | PICTURE, 0x05], False),
        ([BEGINS | LAYERS | PICTURE, 0x85, 0x02], False),
    ],
)
def test_a_decoder_starts_at_the_first_packet_of_a_keyframes_lowest_layer(payload, starts):
    assert vp9.starts_keyframe(bytes(payload)) is starts


@given(st.binary(max_size=8))
def test_any_bytes_are_read(payload):
    starts = vp9.starts_keyframe(payload)
    assert not starts or (payload[0] & BEGINS and not payload[0] & INTER)
