"""One packet of a track, and the header extension that a viewer gets with it."""

from dataclasses import dataclass

# In units of 10 ms: on a bad path a viewer's jitter buffer may grow to where repair comes in time.
PLAYOUT_DELAY_MAX = 50


@dataclass(frozen=True, slots=True)
class ExtensionIds:
    """Header-extension ids that a viewer negotiated for one track; 0 where it did not."""

    audio_level: int = 0
    abs_send_time: int = 0
    playout_delay: int = 0


@dataclass(slots=True)
class TrackPacket:
    """One packet of a track, in the track's own numbering.

    Attributes:
        sequence: Growing integer.
        ticks: Timestamp, growing integer.
        codec: Lower-case encoding name.
        audio_level: Value of the extension, empty when absent.
        starts_keyframe: True when a decoder can begin here; always True for audio.
        layer: Temporal layer, 0 when there are none.
        layer_sync: True when the frame builds on layer 0 alone, so that its layer can begin here.
        picture_id: VP8 picture id, None when absent.
        picture_id_bits: 7 or 15; 0 when absent.
        sent_at: When it first left, in seconds.
    """

    sequence: int
    ticks: int
    marker: bool
    codec: str
    payload: bytes
    audio_level: bytes = b""
    starts_keyframe: bool = False
    layer: int = 0
    layer_sync: bool = False
    picture_id: int | None = None
    picture_id_bits: int = 0
    sent_at: float = 0.0


def extension_elements(
    packet: TrackPacket, ids: ExtensionIds, now: float, patience: int = 0
) -> list[tuple[int, bytes]]:
    """Return the header extension of a packet that leaves at ``now``, as ids and values.

    With ``patience`` 0 a viewer shows each frame as soon as it can; else it waits for repairs for
    this many units of 10 ms.
    """
    elements = []
    if ids.audio_level and packet.audio_level:
        elements.append((ids.audio_level, packet.audio_level))
    if ids.abs_send_time:
        # 24 bits of seconds in 6.18 fixed point.
        elements.append((ids.abs_send_time, (int(now * (1 << 18)) & 0xFFFFFF).to_bytes(3, "big")))
    if ids.playout_delay and (packet.starts_keyframe or patience):
        # It holds until it is changed, so the packets that a decoder begins at are enough; where
        # packets are lost, each says it.
        delay = (patience << 12 | PLAYOUT_DELAY_MAX).to_bytes(3, "big")
        elements.append((ids.playout_delay, delay))
    return elements
