"""AV1 in RTP: only what a relay that passes it untouched must know (AV1 RTP specification 1.0)."""

_CONTINUES_FRAGMENT, _NEW_SEQUENCE = 0x80, 0x08


def starts_keyframe(payload: bytes) -> bool:
    """Tell whether this packet begins a coded video sequence, where a decoder can start.

    Bit N of the aggregation header, section 4.4; such a packet never continues another one's unit.
    """
    return bool(payload) and payload[0] & (_NEW_SEQUENCE | _CONTINUES_FRAGMENT) == _NEW_SEQUENCE
