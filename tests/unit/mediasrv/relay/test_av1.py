"""Aggregation headers of the AV1 RTP specification, section 4.4: Z, Y, W (2 bits), N."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay import av1

CONTINUES, GOES_ON, NEW_SEQUENCE = 0x80, 0x40, 0x08


@pytest.mark.parametrize(
    ("header", "starts"),
    [
        (NEW_SEQUENCE, True),
        (NEW_SEQUENCE | GOES_ON, True),
        (NEW_SEQUENCE | 0x30, True),
        (NEW_SEQUENCE | 0x07, True),  # reserved bits
        (0, False),
        (GOES_ON | 0x10, False),
        (CONTINUES, False),
        (NEW_SEQUENCE | CONTINUES, False),
    ],
)
def test_a_decoder_starts_where_a_coded_sequence_begins(header, starts):
    assert av1.starts_keyframe(bytes([header, 1, 2, 3])) is starts


def test_an_empty_payload_starts_nothing():
    assert not av1.starts_keyframe(b"")


@given(st.binary(max_size=4))
def test_any_bytes_are_read(payload):
    assert av1.starts_keyframe(payload) in (True, False)
