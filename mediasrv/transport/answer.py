"""Write SDP answers: ICE-lite, DTLS passive, one bundle, all candidates at once (RFC 8829).

aiortc cannot answer for a server that is ICE-lite on one port, so the text is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mediasrv.transport.addresses import Candidate
from mediasrv.transport.ice import IceCredentials
from mediasrv.transport.offer import Offer, OfferedCodec, OfferedMedia
from mediasrv.transport.simulcast import SimulcastStream, write_simulcast


@dataclass(frozen=True, slots=True)
class SentTrack:
    """How a track that we send is announced: browsers join tracks of one stream for lip-sync."""

    ssrc: int
    cname: str
    stream: str
    rtx_ssrc: int | None = None


@dataclass(frozen=True, slots=True)
class AcceptedMedia:
    """Our side of one media section.

    Attributes:
        codecs: Payload types taken from the offer, the preferred one first.
        extensions: Header extensions taken from the offer, URI to id.
        feedback: rtcp-fb values to allow where the offer has them too.
        direction: ``"recvonly"``, ``"sendonly"`` or ``"inactive"``.
        sent: Set when we send.
        extra_parameters: fmtp additions per encoding name.
        simulcast: The qualities that we receive.
    """

    codecs: tuple[OfferedCodec, ...]
    extensions: dict[str, int]
    feedback: frozenset[str]
    direction: str
    sent: SentTrack | None = None
    extra_parameters: dict[str, dict[str, str]] | None = None
    simulcast: tuple[SimulcastStream, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What every section of an answer carries."""

    credentials: IceCredentials
    fingerprint: tuple[str, str]
    candidates: Sequence[Candidate]
    session_id: int


def write_answer(offer: Offer, accepted: dict[str, AcceptedMedia], identity: ServerIdentity) -> str:
    """Answer ``offer``; sections whose mid is not in ``accepted`` are rejected with port 0.

    Args:
        offer: Of the peer.
        accepted: Our side of each accepted section, by mid: one bundle, or a single section.
        identity: What the sections share.
    """
    chosen = [media for media in offer.media if media.mid in accepted]
    bundled = [media.mid for media in chosen if media.in_bundle]
    lines = ["v=0", f"o=- {identity.session_id} 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite"]
    if bundled:
        # RFC 9143 section 7.3: never a section that the offer had not bundled.
        lines.append(f"a=group:BUNDLE {' '.join(bundled)}")
    lines.append("a=msid-semantic: WMS *")
    for media in offer.media:
        choice = accepted.get(media.mid)
        if choice is None:
            lines += _rejected(media)
        else:
            lines += _section(media, choice, identity, with_candidates=media is chosen[0])
    return "\r\n".join(lines) + "\r\n"


def _rejected(media: OfferedMedia) -> list[str]:
    return [
        f"m={media.kind} 0 {media.protocol} {' '.join(media.formats)}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{media.mid}",
        "a=inactive",
    ]


def _section(
    media: OfferedMedia, choice: AcceptedMedia, identity: ServerIdentity, *, with_candidates: bool
) -> list[str]:
    types = " ".join(str(codec.payload_type) for codec in choice.codecs)
    algorithm, value = identity.fingerprint
    lines = [
        f"m={media.kind} 9 {media.protocol} {types}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{media.mid}",
        f"a={choice.direction}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        f"a=ice-ufrag:{identity.credentials.fragment}",
        f"a=ice-pwd:{identity.credentials.password}",
        f"a=fingerprint:{algorithm} {value}",
        "a=setup:passive",
    ]
    lines += [f"a=extmap:{number} {uri}" for uri, number in choice.extensions.items()]
    for codec in choice.codecs:
        lines += _codec_lines(media.kind, codec, choice)
    lines += write_simulcast(choice.simulcast)
    if choice.sent is not None:
        lines += _sent_lines(media.kind, choice.sent)
    if with_candidates:
        lines += [f"a=candidate:{c.to_sdp(i)}" for i, c in enumerate(identity.candidates, 1)]
        lines.append("a=end-of-candidates")
    return lines


def _codec_lines(kind: str, codec: OfferedCodec, choice: AcceptedMedia) -> list[str]:
    names = {"vp8": "VP8", "vp9": "VP9", "av1": "AV1", "h264": "H264"}
    rtpmap = f"{names.get(codec.name, codec.name)}/{codec.clock_hz}"
    if kind == "audio" and codec.channels > 1:
        rtpmap += f"/{codec.channels}"
    lines = [f"a=rtpmap:{codec.payload_type} {rtpmap}"]
    lines += [
        f"a=rtcp-fb:{codec.payload_type} {value}"
        for value in sorted(codec.feedback & choice.feedback)
    ]
    extra = (choice.extra_parameters or {}).get(codec.name, {})
    parameters = {**codec.parameters, **extra}
    if parameters:
        text = ";".join(f"{k}={v}" if v else k for k, v in parameters.items())
        lines.append(f"a=fmtp:{codec.payload_type} {text}")
    return lines


def _sent_lines(kind: str, sent: SentTrack) -> list[str]:
    track = f"{sent.stream}-{kind}"
    lines = [f"a=msid:{sent.stream} {track}"]
    ssrcs = [sent.ssrc]
    if sent.rtx_ssrc is not None:
        ssrcs.append(sent.rtx_ssrc)
        # RFC 5576 section 4.2, RFC 4588 section 8.3: the second repairs the first.
        lines.append(f"a=ssrc-group:FID {sent.ssrc} {sent.rtx_ssrc}")
    for ssrc in ssrcs:
        lines += [f"a=ssrc:{ssrc} cname:{sent.cname}", f"a=ssrc:{ssrc} msid:{sent.stream} {track}"]
    return lines
