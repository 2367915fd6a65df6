"""VP9 in RTP: only what a relay that passes it untouched must know (RFC 9628)."""

_HAS_PICTURE_ID, _INTER_PICTURE, _HAS_LAYERS, _STARTS_FRAME = 0x80, 0x40, 0x20, 0x08


def starts_keyframe(payload: bytes) -> bool:
    """Tell whether this packet is the first of a keyframe (RFC 9628 section 4.2).

    That is a frame of the lowest spatial layer that no other picture is needed for.
    """
    if not payload or payload[0] & _INTER_PICTURE or not payload[0] & _STARTS_FRAME:
        return False
    if not payload[0] & _HAS_LAYERS:
        return True
    offset = 1
    if payload[0] & _HAS_PICTURE_ID:
        if len(payload) < 2:
            return False
        offset += 2 if payload[1] & 0x80 else 1
    return len(payload) > offset and not payload[offset] >> 1 & 0x07
