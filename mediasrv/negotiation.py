"""Which codecs and header extensions a session uses: the offer, met by what the relay can carry."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from mediasrv.errors import NegotiationError, UnsupportedCodec
from mediasrv.relay.broadcast import OutgoingTrack
from mediasrv.relay.fanout import FIRST_SEQUENCE_MAX, ExtensionIds
from mediasrv.relay.publisher import IncomingTrack
from mediasrv.relay.rtp import ABS_SEND_TIME_URI, AUDIO_LEVEL_URI
from mediasrv.transport.answer import AcceptedMedia, SentTrack
from mediasrv.transport.offer import Offer, OfferedCodec, OfferedMedia

# What the beauty worker can decode and encode, and every browser plays.
VIDEO_CODECS = ("vp8", "h264")
AUDIO_CODECS = ("opus",)

# nack: packets lost on the way in are asked for again; they come back on the same SSRC, because
# RTX is not accepted. goog-remb tells the browser how much it may send.
_HOST_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "goog-remb"})
_VIEWER_FEEDBACK = frozenset({"nack pli", "ccm fir", "goog-remb"})

# Chromium starts at 300 kb/s and climbs slowly; these fmtp hints (kb/s) make it start where a
# 720p picture is watchable. Other browsers ignore them.
_START_BITRATE = {"x-google-start-bitrate": "1500", "x-google-min-bitrate": "300"}

# RFC 6184 section 8.1 with the bits of profile-iop that matter: constrained baseline is what the
# beauty worker encodes and what every browser decodes.
_BASELINE_PROFILES = ("42e0", "4200", "42c0")


@dataclass(frozen=True, slots=True)
class HostSession:
    """What was agreed with a host."""

    tracks: tuple[IncomingTrack, ...]
    accepted: dict[str, AcceptedMedia]


@dataclass(frozen=True, slots=True)
class ViewerSession:
    """What was agreed with a viewer."""

    tracks: tuple[OutgoingTrack, ...]
    accepted: dict[str, AcceptedMedia]
    cname: str


def negotiate_host(offer: Offer) -> HostSession:
    """Accept at most one audio and one video track that the host sends.

    One codec is chosen, the host's first that we carry, so that the room has one codec until the
    host comes back with another.

    Raises:
        UnsupportedCodec: A track has no codec that we carry.
        NegotiationError: The host offers to send nothing, or tracks that cannot be told apart.
    """
    tracks: list[IncomingTrack] = []
    accepted = {}
    for media in _usable(offer, sends=True):
        codec = _first_carried(media)
        if any(track.payload_type == codec.payload_type for track in tracks):
            raise NegotiationError("audio and video share one payload type")
        audio_level = media.extensions.get(AUDIO_LEVEL_URI, 0) if media.kind == "audio" else 0
        tracks.append(
            IncomingTrack(media.kind, codec.name, codec.payload_type, codec.clock_hz, audio_level)
        )
        uris = (AUDIO_LEVEL_URI,) if media.kind == "audio" else (ABS_SEND_TIME_URI,)
        accepted[media.mid] = AcceptedMedia(
            codecs=(codec,),
            extensions={uri: media.extensions[uri] for uri in uris if uri in media.extensions},
            feedback=_HOST_FEEDBACK if media.kind == "video" else frozenset(),
            direction="recvonly",
            extra_parameters=dict.fromkeys(VIDEO_CODECS, _START_BITRATE),
        )
    if not tracks:
        raise NegotiationError("the offer sends neither audio nor video")
    return HostSession(tuple(tracks), accepted)


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
        names = {codec.name for codec in codecs}
        if media.kind == "video" and room_codec is not None and room_codec not in names:
            raise UnsupportedCodec(f"the room sends {room_codec}, which the offer does not accept")
        if not codecs:
            raise UnsupportedCodec(f"no {media.kind} codec in common")
        codecs.sort(key=lambda codec: codec.name != room_codec)
        uri = AUDIO_LEVEL_URI if media.kind == "audio" else ABS_SEND_TIME_URI
        ids = {uri: media.extensions[uri]} if uri in media.extensions else {}
        ssrc = secrets.randbelow(0xFFFFFFFE) + 1
        tracks.append(_outgoing(media.kind, ssrc, codecs, ids))
        accepted[media.mid] = AcceptedMedia(
            codecs=tuple(codecs),
            extensions=ids,
            feedback=_VIEWER_FEEDBACK if media.kind == "video" else frozenset(),
            direction="sendonly",
            sent=SentTrack(ssrc, cname, stream),
        )
    if not tracks:
        raise NegotiationError("the offer receives neither audio nor video")
    return ViewerSession(tuple(tracks), accepted, cname)


def _outgoing(
    kind: str, ssrc: int, codecs: Sequence[OfferedCodec], ids: dict[str, int]
) -> OutgoingTrack:
    types: dict[str, int] = {}
    for codec in codecs:
        types.setdefault(codec.name, codec.payload_type)
    extension_ids = ExtensionIds(ids.get(AUDIO_LEVEL_URI, 0), ids.get(ABS_SEND_TIME_URI, 0))
    return OutgoingTrack(kind, ssrc, types, extension_ids, secrets.randbelow(FIRST_SEQUENCE_MAX))


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


def _first_carried(media: OfferedMedia) -> OfferedCodec:
    carried = _all_carried(media)
    if not carried:
        raise UnsupportedCodec(f"no {media.kind} codec in common")
    return carried[0]


def _all_carried(media: OfferedMedia) -> list[OfferedCodec]:
    """Return the offered payload types that we carry, one per encoding, in the peer's order."""
    names = VIDEO_CODECS if media.kind == "video" else AUDIO_CODECS
    found: dict[str, OfferedCodec] = {}
    for codec in media.codecs:
        if codec.name in names and _fits(codec):
            found.setdefault(codec.name, codec)
    return list(found.values())


def _fits(codec: OfferedCodec) -> bool:
    if codec.name == "opus":
        return codec.clock_hz == 48_000
    if codec.clock_hz != 90_000:
        return False
    if codec.name == "h264":
        profile = codec.parameters.get("profile-level-id", "42e01f").lower()
        mode = codec.parameters.get("packetization-mode", "0")
        return mode == "1" and profile.startswith(_BASELINE_PROFILES)
    return True
