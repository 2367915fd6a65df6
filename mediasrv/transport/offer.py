"""Read a peer's SDP offer into the few facts that a media server needs.

Limits are checked on the text before anything is parsed: aiortc's parser compares lines with lines,
so that hostile SDP costs CPU and memory by the square of its length. Whatever is malformed raises
NegotiationError and nothing else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiortc import RTCRtpCodecParameters
from aiortc.sdp import MediaDescription, SessionDescription

from mediasrv.errors import NegotiationError
from mediasrv.transport.simulcast import SimulcastStream, read_simulcast

SDP_MAX_BYTES = 64 * 1024
SDP_CANDIDATES_MAX = 32
SDP_SECTIONS_MAX = 4
# Chromium's offer of two sections has 200 lines, one of four with simulcast 300.
SDP_LINES_MAX = 1000
# An rtcp-fb line for "*" is multiplied by the payload types; browsers write none.
SDP_FEEDBACK_FOR_ALL_MAX = 8
# RFC 3550 section 5.1: seven bits.
PAYLOAD_TYPE_MAX = 127
# RFC 7845 section 5.1.1: what an Opus stream can have at most; every other codec has fewer.
CHANNELS_MAX = 255
# The longest fmtp that browsers write has 150 characters; answers echo it, so it is bounded.
FMTP_MAX = 1024

# RFC 8122 section 5: sha-1 and weaker must not prove an identity.
FINGERPRINT_ALGORITHMS = frozenset({"sha-256", "sha-384", "sha-512"})

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}")
# RFC 8839 section 5.4, and the "-", "_" and "=" that some clients draw from as well.
_ICE_FRAGMENT = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")
# In one form only, so that "96" and "096" cannot pass for two.
_PAYLOAD_TYPE = re.compile(r"0|[1-9][0-9]{0,2}")
_PRINTABLE = re.compile(r"[ -~]*")


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
    """One media section of an offer, in the order of the offer.

    Attributes:
        kind: ``"audio"``, ``"video"`` or what else the peer wrote, such as ``"application"``.
        protocol: The transport protocol of the m-line, for the answer to repeat.
        formats: The formats of the m-line, for the answer to repeat.
        mid: The section's name.
        sends: Whether the peer would send.
        receives: Whether the peer would receive.
        codecs: Payload types, the peer's favourite first; none unless audio or video.
        extensions: Header extensions, URI to id.
        in_bundle: Whether the section may share one transport with the others.
        simulcast: The qualities that the peer would send; empty when it is one stream.
    """

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str
    sends: bool
    receives: bool
    codecs: tuple[OfferedCodec, ...]
    extensions: dict[str, int]
    in_bundle: bool
    simulcast: tuple[SimulcastStream, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """What a peer proposed.

    Attributes:
        media: All sections, disabled ones included: an answer has as many.
        ice_fragment: Of the peer; its password is of no use to us, who send no checks.
        fingerprints: Of the peer's certificate, as algorithm and value.
    """

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
        return _read(description, _sections(sdp))
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
    if len(lines) > SDP_LINES_MAX:
        raise NegotiationError(f"more than {SDP_LINES_MAX} lines")
    if _count(lines, "a=candidate") > SDP_CANDIDATES_MAX:
        raise NegotiationError(f"more than {SDP_CANDIDATES_MAX} candidates")
    sections = _count(lines, "m=")
    if sections > SDP_SECTIONS_MAX:
        raise NegotiationError(f"more than {SDP_SECTIONS_MAX} media sections")
    if not sections:
        raise NegotiationError("no media section")
    if _count(lines, "a=rtcp-fb:*") > SDP_FEEDBACK_FOR_ALL_MAX:
        raise NegotiationError("too many rtcp-fb lines for all payload types")
    _check_payload_types(lines)


def _count(lines: Sequence[str], prefix: str) -> int:
    return sum(line.startswith(prefix) for line in lines)


def _check_payload_types(lines: Sequence[str]) -> None:
    """Let no section describe a payload type twice: every rtcp-fb line would count for each."""
    seen: set[str] = set()
    for line in lines:
        if line.startswith("m="):
            seen.clear()
        elif line.startswith("a=rtpmap:"):
            number = line.removeprefix("a=rtpmap:").partition(" ")[0]
            if not _PAYLOAD_TYPE.fullmatch(number) or int(number) > PAYLOAD_TYPE_MAX:
                raise NegotiationError("a payload type is malformed")
            if number in seen:
                raise NegotiationError("a payload type is described twice")
            seen.add(number)


def _sections(sdp: str) -> list[list[str]]:
    """Return the lines of each media section."""
    sections: list[list[str]] = []
    for line in sdp.splitlines():
        if line.startswith("m="):
            sections.append([])
        if sections:
            sections[-1].append(line)
    return sections


def _read(description: SessionDescription, sections: Sequence[Sequence[str]]) -> Offer:
    bundled = {
        str(mid) for group in description.group if group.semantic == "BUNDLE" for mid in group.items
    }
    media = tuple(
        _read_media(section, bundled, lines)
        for section, lines in zip(description.media, sections, strict=True)
    )
    mids = [section.mid for section in media]
    if len(set(mids)) != len(mids):
        raise NegotiationError("two media sections share one mid")
    first = next((s for s in description.media if s.port != 0), None)
    if first is None:
        raise NegotiationError("every media section is disabled")
    if first.ice is None or not first.ice.usernameFragment or not first.ice.password:
        raise NegotiationError("no ICE credentials")
    if not _ICE_FRAGMENT.fullmatch(first.ice.usernameFragment):
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


def _read_media(section: MediaDescription, bundled: set[str], lines: Sequence[str]) -> OfferedMedia:
    mid = section.rtp.muxId
    if not _TOKEN.fullmatch(mid):
        raise NegotiationError("a media section has no valid mid")
    formats = tuple(str(f) for f in section.fmt)
    # An answer repeats these, even when it rejects the section.
    if len(formats) > PAYLOAD_TYPE_MAX + 1 or not all(
        _TOKEN.fullmatch(word) for word in (section.kind, *formats)
    ):
        raise NegotiationError("a media line is malformed")
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
        formats=formats,
        mid=mid,
        sends=live and direction in ("sendonly", "sendrecv"),
        receives=live and direction in ("recvonly", "sendrecv"),
        codecs=_read_codecs(section) if live else (),
        extensions={e.uri: e.id for e in section.rtp.headerExtensions if 1 <= e.id <= 14},
        in_bundle=mid in bundled,
        simulcast=read_simulcast(lines) if live else (),
    )


def _read_codecs(section: MediaDescription) -> tuple[OfferedCodec, ...]:
    by_type = {codec.payloadType: codec for codec in section.rtp.codecs}
    # A payload type without an rtpmap is one of the static ones of RFC 3551: none that we carry.
    return tuple(
        _read_codec(payload_type, by_type[payload_type])
        for payload_type in dict.fromkeys(section.fmt)
        if payload_type in by_type
    )


def _read_codec(payload_type: int, codec: RTCRtpCodecParameters) -> OfferedCodec:
    channels = codec.channels or 1
    if not 1 <= channels <= CHANNELS_MAX:
        raise NegotiationError("a number of channels is out of range")
    # Some clients write a blank after each semicolon.
    parameters = {k.strip(): "" if v is None else str(v) for k, v in codec.parameters.items()}
    text = "".join(part for pair in parameters.items() for part in pair)
    if len(text) > FMTP_MAX or not _PRINTABLE.fullmatch(text):
        raise NegotiationError("a format parameter is malformed")
    return OfferedCodec(
        name=codec.name.lower(),
        payload_type=payload_type,
        clock_hz=codec.clockRate,
        channels=channels,
        parameters=parameters,
        feedback=frozenset(
            f"{f.type} {f.parameter}" if f.parameter else f.type for f in codec.rtcpFeedback
        ),
    )
