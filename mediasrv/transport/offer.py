"""Read a peer's SDP offer into the few facts that a media server needs.

Limits are checked on the text before anything is parsed: parsing hostile SDP costs CPU that grows
with its candidates and sections. Whatever is malformed raises NegotiationError and nothing else.
"""

import re
from dataclasses import dataclass

from aiortc.sdp import MediaDescription, SessionDescription

from mediasrv.errors import NegotiationError

SDP_MAX_BYTES = 64 * 1024
SDP_CANDIDATES_MAX = 32
SDP_SECTIONS_MAX = 4

# RFC 8122 section 5: sha-1 and weaker must not prove an identity.
FINGERPRINT_ALGORITHMS = frozenset({"sha-256", "sha-384", "sha-512"})

_TOKEN = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}$")
_ICE_FRAGMENT = re.compile(r"^[A-Za-z0-9+/=_-]{4,256}$")
_FMTP = re.compile(r"^[ -~]{0,512}$")


@dataclass(frozen=True, slots=True)
class OfferedCodec:
    """One payload type of a media section.

    Attributes:
        name: Lower-case encoding name, such as ``"vp8"``.
        payload_type: 0..127.
        clock_hz: RTP clock rate.
        channels: Audio channels; 1 for video.
        parameters: The fmtp line as key and value; a flag has an empty value.
        feedback: The rtcp-fb values, such as ``"nack pli"``.
    """

    name: str
    payload_type: int
    clock_hz: int
    channels: int
    parameters: dict[str, str]
    feedback: frozenset[str]


@dataclass(frozen=True, slots=True)
class OfferedMedia:
    """One media section of an offer, in the order of the offer."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str
    sends: bool
    receives: bool
    codecs: tuple[OfferedCodec, ...]
    extensions: dict[str, int]
    ssrcs: tuple[int, ...]
    in_bundle: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What a peer proposed."""

    media: tuple[OfferedMedia, ...]
    ice_fragment: str
    fingerprints: tuple[tuple[str, str], ...]


def parse_offer(sdp: str) -> Offer:
    """Read an SDP offer.

    Raises:
        NegotiationError: It is too large, malformed, or asks for what WebRTC forbids.
    """
    _check_limits(sdp)
    try:
        description = SessionDescription.parse(sdp)
        return _read(description)
    except NegotiationError:
        raise
    except Exception as exc:
        # aiortc's parser fails with AssertionError, StopIteration, KeyError, IndexError,
        # AttributeError, TypeError or ValueError on hostile input; all mean the same.
        raise NegotiationError("the session description is malformed") from exc


def _check_limits(sdp: str) -> None:
    if len(sdp) > SDP_MAX_BYTES or len(sdp.encode("utf-8", "replace")) > SDP_MAX_BYTES:
        raise NegotiationError(f"the session description is larger than {SDP_MAX_BYTES} bytes")
    lines = sdp.splitlines()
    if sum(line.startswith("a=candidate") for line in lines) > SDP_CANDIDATES_MAX:
        raise NegotiationError(f"more than {SDP_CANDIDATES_MAX} candidates")
    sections = sum(line.startswith("m=") for line in lines)
    if sections > SDP_SECTIONS_MAX:
        raise NegotiationError(f"more than {SDP_SECTIONS_MAX} media sections")
    if not sections:
        raise NegotiationError("no media section")


def _read(description: SessionDescription) -> Offer:
    bundled = {
        str(mid) for group in description.group if group.semantic == "BUNDLE" for mid in group.items
    }
    media = tuple(_read_media(section, bundled) for section in description.media)
    mids = [section.mid for section in media]
    if len(set(mids)) != len(mids):
        raise NegotiationError("two media sections share one mid")
    first = next((s for s in description.media if s.port != 0), None)
    if first is None:
        raise NegotiationError("every media section is disabled")
    if first.ice is None or not first.ice.usernameFragment or not first.ice.password:
        raise NegotiationError("no ICE credentials")
    if not _ICE_FRAGMENT.match(first.ice.usernameFragment):
        raise NegotiationError("the ICE fragment is malformed")
    return Offer(media, first.ice.usernameFragment, _fingerprints(first))


def _fingerprints(section: MediaDescription) -> tuple[tuple[str, str], ...]:
    if section.dtls is None:
        raise NegotiationError("no DTLS setup attribute")
    if section.dtls.role == "server":
        raise NegotiationError("setup:passive in an offer; the server is passive itself")
    found = tuple(
        (f.algorithm.lower(), f.value.upper())
        for f in section.dtls.fingerprints
        if f.algorithm.lower() in FINGERPRINT_ALGORITHMS
    )
    if not found:
        raise NegotiationError("no certificate fingerprint with SHA-256 or better")
    return found


def _read_media(section: MediaDescription, bundled: set[str]) -> OfferedMedia:
    mid = section.rtp.muxId
    if not _TOKEN.match(mid):
        raise NegotiationError("a media section has no valid mid")
    # Firefox offers all sections but the first with port 0 and "bundle-only" (RFC 9143 section 6);
    # one that is disabled is in no bundle.
    enabled = section.port != 0 or mid in bundled
    live = enabled and section.kind in ("audio", "video")
    if live and not section.rtcp_mux:
        raise NegotiationError("rtcp-mux is required")
    direction = section.direction or "sendrecv"
    return OfferedMedia(
        kind=section.kind,
        protocol=section.profile,
        formats=tuple(str(f) for f in section.fmt),
        mid=mid,
        sends=live and direction in ("sendonly", "sendrecv"),
        receives=live and direction in ("recvonly", "sendrecv"),
        codecs=_codecs(section) if live else (),
        extensions={e.uri: e.id for e in section.rtp.headerExtensions if 1 <= e.id <= 14},
        ssrcs=tuple(s.ssrc for s in section.ssrc),
        in_bundle=mid in bundled,
    )


def _codecs(section: MediaDescription) -> tuple[OfferedCodec, ...]:
    by_type = {codec.payloadType: codec for codec in section.rtp.codecs}
    found = []
    for payload_type in section.fmt:
        codec = by_type.get(payload_type)
        if codec is None or not 0 <= payload_type <= 127:
            continue
        parameters = {k: "" if v is None else str(v) for k, v in codec.parameters.items()}
        if not all(_FMTP.match(k) and _FMTP.match(v) for k, v in parameters.items()):
            raise NegotiationError("a format parameter is malformed")
        found.append(
            OfferedCodec(
                name=codec.name.lower(),
                payload_type=payload_type,
                clock_hz=codec.clockRate,
                channels=codec.channels or 1,
                parameters=parameters,
                feedback=frozenset(
                    f"{f.type} {f.parameter}" if f.parameter else f.type for f in codec.rtcpFeedback
                ),
            )
        )
    return tuple(found)
