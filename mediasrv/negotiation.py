"""Which codecs and header extensions a session uses: the offer, met by what the relay can carry."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediasrv.errors import NegotiationError, UnsupportedCodec
from mediasrv.media import Codec
from mediasrv.relay.forwarder import FIRST_SEQUENCE_MAX
from mediasrv.relay.outlet import Retransmission
from mediasrv.relay.packets import ExtensionIds
from mediasrv.relay.publisher import IncomingTrack
from mediasrv.relay.rtp import (
    ABS_SEND_TIME_URI,
    AUDIO_LEVEL_URI,
    MID_URI,
    PLAYOUT_DELAY_URI,
    RID_URI,
    TRANSPORT_SEQUENCE_URI,
)
from mediasrv.relay.subscription import OutgoingTrack
from mediasrv.transport.answer import AcceptedMedia, SentTrack
from mediasrv.transport.offer import Offer, OfferedCodec, OfferedMedia

AUDIO_CODECS = ("opus",)
# What the beauty worker decodes and encodes, and every browser plays. The rest passes untouched.
FILTERED_CODECS = frozenset(codec.value for codec in Codec)
# RFC 6184 section 8.1: profile_idc, first byte of profile-level-id. A decoder of one profile need
# not know the others, so each is a codec of its own here; "h264" alone is (constrained) baseline.
_H264_PROFILES = {"42": "h264", "4d": "h264-main", "64": "h264-high"}
_VIDEO_CODECS = frozenset({"vp8", "vp9", "av1", *_H264_PROFILES.values()})

# nack: packets lost on the way in are asked for again; they come back on the same SSRC, because
# RTX is not accepted. Of transport-cc and goog-remb the host gets the better one it knows.
_HOST_FEEDBACK = {
    "video": frozenset({"nack", "nack pli", "ccm fir"}),
    "audio": frozenset({"nack"}),
}
_VIEWER_FEEDBACK = {
    "video": frozenset({"nack", "nack pli", "ccm fir", "goog-remb"}),
    "audio": frozenset({"nack"}),
}
_HOST_EXTENSIONS = {
    "video": (ABS_SEND_TIME_URI, TRANSPORT_SEQUENCE_URI),
    "audio": (AUDIO_LEVEL_URI, TRANSPORT_SEQUENCE_URI),
}
_VIEWER_EXTENSIONS = {
    "video": (ABS_SEND_TIME_URI, PLAYOUT_DELAY_URI),
    "audio": (AUDIO_LEVEL_URI,),
}

# Chromium starts at 300 kb/s and climbs slowly; these fmtp hints (kb/s) make it start where a
# 720p picture is watchable. Other browsers ignore them.
_START_BITRATE = {"x-google-start-bitrate": "1500", "x-google-min-bitrate": "300"}
# In-band FEC lets a decoder mend the loss of one packet from the next (RFC 6716 section 2.1.7).
_OPUS_PARAMETERS = {"useinbandfec": "1"}


@dataclass(frozen=True, slots=True)
class HostSession:
    """What was agreed with a host."""

    tracks: tuple[IncomingTrack, ...]
    accepted: dict[str, AcceptedMedia]

    @property
    def video_codec(self) -> str | None:
        """Our name of the video's codec, None without video."""
        return next((track.codec for track in self.tracks if track.kind == "video"), None)


@dataclass(frozen=True, slots=True)
class ViewerSession:
    """What was agreed with a viewer."""

    tracks: tuple[OutgoingTrack, ...]
    accepted: dict[str, AcceptedMedia]
    cname: str


def negotiate_host(offer: Offer, *, to_filter: bool = False) -> HostSession:
    """Accept at most one audio and one video track that the host sends.

    One codec is chosen, the host's first that we carry, so that the room has one codec until the
    host comes back with another.

    Args:
        offer: Of the host.
        to_filter: True when the video is to pass the filter, which not every codec can.

    Raises:
        UnsupportedCodec: A track has no codec that we carry.
        NegotiationError: The host offers to send nothing, or tracks that cannot be told apart.
    """
    tracks: list[IncomingTrack] = []
    accepted = {}
    for media in _usable(offer, sends=True):
        name, codec = _first_carried(media, to_filter=to_filter)
        if any(track.payload_type == codec.payload_type for track in tracks):
            raise NegotiationError("audio and video share one payload type")
        track, accepted[media.mid] = _receive(media, name, codec)
        tracks.append(track)
    if not tracks:
        raise NegotiationError("the offer sends neither audio nor video")
    return HostSession(tuple(tracks), accepted)


def _receive(
    media: OfferedMedia, name: str, codec: OfferedCodec
) -> tuple[IncomingTrack, AcceptedMedia]:
    extensions = _common(media, _HOST_EXTENSIONS)
    controlled = "transport-cc" in codec.feedback and TRANSPORT_SEQUENCE_URI in extensions
    if not controlled:
        extensions.pop(TRANSPORT_SEQUENCE_URI, None)
    # One quality is told from another by the rid in its packets.
    has_rids = media.kind == "video" and RID_URI in media.extensions
    simulcast = media.simulcast if has_rids else ()
    if simulcast:
        extensions |= {u: media.extensions[u] for u in (MID_URI, RID_URI) if u in media.extensions}
    track = IncomingTrack(
        media.kind,
        name,
        codec.payload_type,
        codec.clock_hz,
        extensions.get(AUDIO_LEVEL_URI, 0),
        repaired="nack" in codec.feedback,
        transport_sequence_id=extensions.get(TRANSPORT_SEQUENCE_URI, 0),
        rid_id=extensions.get(RID_URI, 0),
        # Hosts list their qualities from the lowest to the best.
        rids=tuple(stream.rid for stream in reversed(simulcast)),
    )
    accepted = AcceptedMedia(
        codecs=(codec,),
        extensions=extensions,
        feedback=_HOST_FEEDBACK[media.kind] | {"transport-cc" if controlled else "goog-remb"},
        direction="recvonly",
        extra_parameters={
            "opus": _OPUS_PARAMETERS,
            **dict.fromkeys(("vp8", "vp9", "av1", "h264"), _START_BITRATE),
        },
        simulcast=simulcast,
    )
    return track, accepted


def negotiate_viewer(offer: Offer, room_codec: str | None) -> ViewerSession:
    """Accept to send audio and video; every codec in common, so that the host may change its own.

    Args:
        offer: Of the viewer.
        room_codec: The room's present video codec, None without video.

    Raises:
        UnsupportedCodec: The viewer cannot decode what the room sends.
        NegotiationError: The viewer offers to receive nothing.
    """
    tracks, accepted = [], {}
    cname, stream = secrets.token_hex(8), secrets.token_hex(8)
    for media in _usable(offer, sends=False):
        codecs = _all_carried(media)
        if media.kind == "video" and room_codec is not None and room_codec not in codecs:
            raise UnsupportedCodec(f"the room sends {room_codec}, which the offer does not accept")
        if not codecs:
            raise UnsupportedCodec(f"no {media.kind} codec in common")
        names = sorted(codecs, key=lambda name: name != room_codec)
        extensions = _common(media, _VIEWER_EXTENSIONS)
        repairs = {name: _repair_of(media, codecs[name]) for name in names}
        track = _outgoing(media.kind, codecs, extensions, repairs)
        tracks.append(track)
        accepted[media.mid] = AcceptedMedia(
            codecs=tuple(
                codec for name in names for codec in (codecs[name], repairs[name]) if codec
            ),
            extensions=extensions,
            feedback=_VIEWER_FEEDBACK[media.kind],
            direction="sendonly",
            sent=SentTrack(
                track.ssrc,
                cname,
                stream,
                track.retransmission.ssrc if track.retransmission else None,
            ),
        )
    if not tracks:
        raise NegotiationError("the offer receives neither audio nor video")
    return ViewerSession(tuple(tracks), accepted, cname)


def _common(media: OfferedMedia, ours: Mapping[str, Sequence[str]]) -> dict[str, int]:
    return {uri: media.extensions[uri] for uri in ours[media.kind] if uri in media.extensions}


def _repair_of(media: OfferedMedia, codec: OfferedCodec) -> OfferedCodec | None:
    """Find the RTX payload type that repairs ``codec`` (RFC 4588 section 8.1)."""
    for other in media.codecs:
        if other.name == "rtx" and other.parameters.get("apt") == str(codec.payload_type):
            return other
    return None


def _outgoing(
    kind: str,
    codecs: dict[str, OfferedCodec],
    extensions: dict[str, int],
    repairs: dict[str, OfferedCodec | None],
) -> OutgoingTrack:
    ids = ExtensionIds(
        extensions.get(AUDIO_LEVEL_URI, 0),
        extensions.get(ABS_SEND_TIME_URI, 0),
        extensions.get(PLAYOUT_DELAY_URI, 0),
    )
    ssrc = secrets.randbelow(0xFFFFFFFE) + 1
    types = {name: rtx.payload_type for name, rtx in repairs.items() if rtx is not None}
    retransmission = None
    if types:
        rtx_ssrc = secrets.randbelow(0xFFFFFFFE) + 1
        if rtx_ssrc == ssrc:
            rtx_ssrc = ssrc ^ 1
        retransmission = Retransmission(rtx_ssrc, types, secrets.randbelow(FIRST_SEQUENCE_MAX))
    return OutgoingTrack(
        kind,
        ssrc,
        {name: codec.payload_type for name, codec in codecs.items()},
        ids,
        secrets.randbelow(FIRST_SEQUENCE_MAX),
        retransmission,
    )


def _usable(offer: Offer, *, sends: bool) -> list[OfferedMedia]:
    """Return the first audio and the first video section of the wanted direction.

    Both only if they share one transport: what is not bundled would need a second one.
    """
    chosen: dict[str, OfferedMedia] = {}
    for media in offer.media:
        wanted = media.sends if sends else media.receives
        shares = all(m.in_bundle for m in (media, *chosen.values())) or not chosen
        if wanted and shares and media.kind not in chosen:
            chosen[media.kind] = media
    return list(chosen.values())


def _first_carried(media: OfferedMedia, *, to_filter: bool) -> tuple[str, OfferedCodec]:
    carried = _all_carried(media)
    for name, codec in carried.items():
        if media.kind == "audio" or not to_filter or name in FILTERED_CODECS:
            return name, codec
    if carried:
        raise UnsupportedCodec(
            f"the filter is on, and it can process {' and '.join(sorted(FILTERED_CODECS))} only"
        )
    raise UnsupportedCodec(f"no {media.kind} codec in common")


def _all_carried(media: OfferedMedia) -> dict[str, OfferedCodec]:
    """Return the offered payload types that we carry, one per codec, in the peer's order."""
    found: dict[str, OfferedCodec] = {}
    for codec in media.codecs:
        name = _carried_name(media.kind, codec)
        if name is not None:
            found.setdefault(name, codec)
    return found


def _carried_name(kind: str, codec: OfferedCodec) -> str | None:
    """Return our name of a codec, which tells H264's profiles apart; None if we do not carry it."""
    if kind == "audio":
        return codec.name if codec.name in AUDIO_CODECS and codec.clock_hz == 48_000 else None
    if codec.clock_hz != 90_000:
        return None
    name: str | None = codec.name
    if codec.name == "h264":
        # RFC 6184 section 8.1: without a word it is baseline, in single NAL unit mode.
        profile = codec.parameters.get("profile-level-id", "42e01f").lower()
        mode = codec.parameters.get("packetization-mode", "0")
        name = _H264_PROFILES.get(profile[:2]) if mode == "1" else None
    elif codec.name == "vp9" and codec.parameters.get("profile-id", "0") != "0":
        return None
    return name if name in _VIDEO_CODECS else None
