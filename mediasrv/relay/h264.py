"""H.264 in RTP, packetization mode 1: single units, STAP-A and FU-A (RFC 6184)."""

from mediasrv.relay.vp8 import PayloadRefused

START_CODE = b"\0\0\0\1"
NAL_TYPE_MASK = 0x1F
IDR_SLICE, SPS, PPS = 5, 7, 8
STAP_A, FU_A = 24, 28
_FU_START, _FU_END = 0x80, 0x40


def starts_keyframe(payload: bytes) -> bool:
    """Tell whether a decoder can start at this packet: it carries an SPS, alone or in a STAP-A.

    Browsers and x264 put the parameter sets before every IDR picture. An IDR without them is of
    no use to a viewer who has just joined.
    """
    if not payload:
        return False
    kind = payload[0] & NAL_TYPE_MASK
    if kind == SPS:
        return True
    if kind == STAP_A:
        try:
            return any(unit[0] & NAL_TYPE_MASK == SPS for unit in _split_stap(payload))
        except PayloadRefused:
            return False
    return False


def _split_stap(payload: bytes) -> list[bytes]:
    units, offset = [], 1
    while offset < len(payload):
        size = int.from_bytes(payload[offset : offset + 2], "big")
        unit = payload[offset + 2 : offset + 2 + size]
        if not size or len(unit) != size:
            raise PayloadRefused("a STAP-A unit runs past the end")
        units.append(unit)
        offset += 2 + size
    return units


def depacketize(payloads: list[bytes]) -> bytes:
    """Join the payloads of one access unit, in order, into Annex-B form.

    Raises:
        PayloadRefused: A payload is malformed, of an unknown type, or a fragment is missing.
    """
    out: list[bytes] = []
    fragmented = False
    for payload in payloads:
        if not payload:
            raise PayloadRefused("an empty H.264 payload")
        kind = payload[0] & NAL_TYPE_MASK
        if kind == FU_A:
            fragmented = _join_fragment(payload, out, fragmented)
        elif fragmented:
            raise PayloadRefused("a fragmented unit has no end")
        elif kind == STAP_A:
            for unit in _split_stap(payload):
                out += (START_CODE, unit)
        elif 1 <= kind <= 23:
            out += (START_CODE, payload)
        else:
            raise PayloadRefused(f"H.264 packet type {kind} is not in packetization mode 1")
    if fragmented:
        raise PayloadRefused("a fragmented unit has no end")
    return b"".join(out)


def _join_fragment(payload: bytes, out: list[bytes], fragmented: bool) -> bool:
    """Append one FU-A; returns whether more of the unit must follow."""
    if len(payload) < 3:
        raise PayloadRefused("an FU-A without data")
    flags = payload[1]
    if bool(flags & _FU_START) == fragmented:
        raise PayloadRefused("fragments of a unit are out of order")
    if flags & _FU_START:
        header = payload[0] & ~NAL_TYPE_MASK & 0xFF | flags & NAL_TYPE_MASK
        out += (START_CODE, bytes([header]))
    out.append(payload[2:])
    return not flags & _FU_END


def split_annex_b(access_unit: bytes) -> list[bytes]:
    """Split an Annex-B access unit at its start codes into units without them."""
    units = []
    start = _next_start(access_unit, 0)
    while start is not None:
        begin = start + 3
        start = _next_start(access_unit, begin)
        end = len(access_unit) if start is None else start
        unit = access_unit[begin:end].rstrip(b"\0")
        if unit:
            units.append(unit)
    return units


def _next_start(access_unit: bytes, offset: int) -> int | None:
    found = access_unit.find(b"\0\0\1", offset)
    return None if found < 0 else found


def frame_is_keyframe(access_unit: bytes) -> bool:
    """Tell whether an Annex-B access unit carries an IDR picture."""
    return any(unit[0] & NAL_TYPE_MASK == IDR_SLICE for unit in split_annex_b(access_unit))


def packetize(access_unit: bytes, max_bytes: int) -> list[bytes]:
    """Split an Annex-B access unit into payloads of at most ``max_bytes``.

    Parameter sets share one STAP-A with what follows when it fits; a large unit becomes FU-A
    fragments of nearly equal size, which the kernel can segment in one call.
    """
    payloads: list[bytes] = []
    gathered: list[bytes] = []
    for unit in split_annex_b(access_unit):
        joined = 1 + sum(2 + len(u) for u in gathered) + 2 + len(unit)
        if gathered and joined > max_bytes:
            payloads.append(_aggregate(gathered))
            gathered = []
        if len(unit) > max_bytes:
            payloads += _fragment(unit, max_bytes)
        else:
            gathered.append(unit)
    if gathered:
        payloads.append(_aggregate(gathered))
    return payloads


def _aggregate(units: list[bytes]) -> bytes:
    if len(units) == 1:
        return units[0]
    importance = max(unit[0] & 0x60 for unit in units)
    body = b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
    return bytes([importance | STAP_A]) + body


def _fragment(unit: bytes, max_bytes: int) -> list[bytes]:
    indicator = unit[0] & 0xE0 | FU_A
    body, room = unit[1:], max_bytes - 2
    count = -(-len(body) // room)
    size = -(-len(body) // count)
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    last = len(pieces) - 1
    return [
        bytes([indicator, (_FU_START * (i == 0)) | (_FU_END * (i == last)) | unit[0] & 0x1F])
        + piece
        for i, piece in enumerate(pieces)
    ]
