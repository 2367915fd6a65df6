"""The session descriptions of a light peer: offers, answers, and what it reads of the others'."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

OPUS = "111 opus/48000/2"
VP8 = "96 VP8/90000"
ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

# What Chromium offers of what matters to the forwarding: feedback and extensions.
_LINES = {
    "audio": ["a=fmtp:111 minptime=10;useinbandfec=1", f"a=extmap:1 {AUDIO_LEVEL_URI}"],
    "video": [
        "a=rtcp-fb:96 goog-remb",
        "a=rtcp-fb:96 ccm fir",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        f"a=extmap:2 {ABS_SEND_TIME_URI}",
    ],
}
_CODECS = {"audio": OPUS, "video": VP8}


@dataclass(frozen=True, slots=True)
class LocalSide:
    """What a light peer says about itself."""

    fragment: str
    password: str
    fingerprint: str
    address: tuple[str, int]


@dataclass(frozen=True, slots=True)
class RemoteSide:
    """What a light peer needs to know of the other side.

    Attributes:
        fragment: Of its ICE.
        password: Of its ICE.
        addresses: Host candidates over UDP and IPv4, in the order of the text.
        ssrcs: By kind, where announced.
    """

    fragment: str
    password: str
    addresses: tuple[tuple[str, int], ...]
    ssrcs: dict[str, int]

    def best_address(self) -> tuple[str, int]:
        """Prefer an interface's address: Firefox, and Janus, know no loopback."""
        return min(self.addresses, key=lambda address: address[0].startswith("127."))


def write_offer(
    local: LocalSide,
    direction: str,
    ssrcs: dict[str, int] | None = None,
    setup: str = "actpass",
) -> str:
    """Offer Opus and VP8, bundled.

    Args:
        local: The offering peer.
        direction: ``"recvonly"`` or ``"sendonly"``.
        ssrcs: By kind, of what is sent.
        setup: ``"active"`` for servers that would otherwise be the DTLS client themselves.
    """
    lines = _head(["0", "1"])
    for mid, kind in enumerate(("audio", "video")):
        lines += _section(local, kind, str(mid), direction, _CODECS[kind], setup=setup)
        lines += _ssrc_lines(ssrcs, kind)
    return "\r\n".join(lines) + "\r\n"


def write_answer(local: LocalSide, offer: str) -> str:
    """Accept to receive what ``offer`` sends, as DTLS client."""
    sections = re.split(r"^(?=m=)", offer, flags=re.MULTILINE)[1:]
    mids, lines = [], []
    for section in sections:
        kind = section[2:].split(" ", 1)[0]
        mid = _first(r"^a=mid:(\S+)", section)
        codec = _first(r"^a=rtpmap:(\d+ \S+)", section)
        mids.append(mid)
        answered = _section(local, kind, mid, "recvonly", codec, setup="active")
        lines += [line for line in answered if not line.startswith(("a=extmap", "a=fmtp"))]
    return "\r\n".join(_head(mids) + lines) + "\r\n"


def read_remote(sdp: str) -> RemoteSide:
    """Read an offer or an answer.

    Raises:
        ValueError: It lacks credentials or a usable candidate.
    """
    candidates = re.findall(
        r"^a=candidate:\S+ 1 udp \d+ ([0-9.]+) (\d+) typ host", sdp, re.MULTILINE | re.IGNORECASE
    )
    if not candidates:
        raise ValueError("the description has no IPv4 candidate")
    ssrcs: dict[str, int] = {}
    for section in re.split(r"^(?=m=)", sdp, flags=re.MULTILINE)[1:]:
        found = re.search(r"^a=ssrc:(\d+)", section, re.MULTILINE)
        if found:
            ssrcs[section[2:].split(" ", 1)[0]] = int(found.group(1))
    return RemoteSide(
        _first(r"^a=ice-ufrag:(\S+)", sdp),
        _first(r"^a=ice-pwd:(\S+)", sdp),
        tuple((address, int(port)) for address, port in candidates),
        ssrcs,
    )


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ValueError(f"the description has no {pattern}")
    return found.group(1)


def _head(mids: Sequence[str]) -> list[str]:
    return [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(mids)}",
    ]


def _section(
    local: LocalSide, kind: str, mid: str, direction: str, codec: str, *, setup: str
) -> list[str]:
    payload_type = codec.split(" ", 1)[0]
    host, port = local.address
    return [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        f"a={direction}",
        "a=rtcp-mux",
        f"a=ice-ufrag:{local.fragment}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{setup}",
        f"a=rtpmap:{codec}",
        *_LINES[kind],
        f"a=candidate:1 1 udp 2130706431 {host} {port} typ host",
        "a=end-of-candidates",
    ]


def _ssrc_lines(ssrcs: dict[str, int] | None, kind: str) -> list[str]:
    if not ssrcs:
        return []
    return [f"a=ssrc:{ssrcs[kind]} cname:load", f"a=msid:load load-{kind}"]
