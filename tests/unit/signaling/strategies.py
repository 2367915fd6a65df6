"""Hypothesis strategies for every message, and one plain example of each."""

from typing import get_args

from hypothesis import strategies as st

from signaling.figures import (
    ForwardDelay,
    ReceivedFigures,
    SentFigures,
    TrackFigures,
    ViewerFigures,
)
from signaling.messages import (
    CLIENT_MESSAGES,
    SERVER_MESSAGES,
    FilterState,
    FilterView,
    HostLeftReason,
    Joined,
    LeftReason,
    MediaState,
    PeerLeftReason,
    Role,
    RoomState,
    Statistics,
)

# Everything that UTF-8 can carry.
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
sdps = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400)
seconds = st.floats(min_value=0, max_value=1e6, allow_nan=False)
counts = st.integers(min_value=0, max_value=10**6)

parameters = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64),
    st.integers(min_value=-(2**31), max_value=2**31 - 1),
    max_size=8,
)

views = st.builds(
    FilterView,
    state=st.sampled_from(get_args(FilterState)),
    enabled=st.booleans(),
    params=parameters,
    consent=st.booleans(),
    reason=st.none() | words,
)

sent = st.builds(SentFigures, packets=counts, sends_failed=counts)
tracks = st.builds(
    TrackFigures,
    kind=st.sampled_from(["audio", "video"]),
    received=st.builds(ReceivedFigures, packets=counts, lost=counts),
    sent=sent,
    keyframes_asked=counts,
)
peers = st.builds(
    ViewerFigures,
    peer=words,
    rtt_ms=st.none() | seconds,
    loss=st.floats(0, 1),
    estimate_bps=st.none() | counts,
    nacks=counts,
    keyframe_requests=counts,
    sent=st.dictionaries(st.sampled_from(["audio", "video"]), sent),
)

# By field name; a field means the same in every message that has it, "state" excepted.
FIELDS = {
    "id": st.none() | words,
    "reply_to": st.none() | words,
    "version": st.just(1),
    "room": st.from_regex(r"[a-z0-9][a-z0-9-]{0,63}", fullmatch=True),
    "role": st.sampled_from(get_args(Role)),
    "name": st.none() | words,
    "resume": st.none() | words,
    "sdp": sdps,
    "enabled": st.none() | st.booleans(),
    "params": st.none() | parameters,
    "consent": st.none() | st.booleans(),
    "peer": words,
    "rids": st.lists(words, max_size=4),
    "grace_s": seconds,
    "publishing": st.booleans(),
    "viewers": counts,
    "filter": views,
    "code": words,
    "message": words,
    "retry_after_s": st.none() | seconds,
    "every_s": st.none() | st.floats(1, 60),
    "elapsed_s": seconds,
    "forward_ms": st.none() | st.builds(ForwardDelay, p50=seconds, p95=seconds, p99=seconds),
    "keyframe_requests": counts,
    "malformed_rtp": counts,
    "malformed_rtcp": counts,
    "foreign_packets": counts,
    "tracks": st.lists(tracks, max_size=2),
    "peers": st.lists(peers, max_size=3),
}
STATES = {"joined": RoomState, "host_media": MediaState}
REASONS = {"host_left": HostLeftReason, "peer_left": PeerLeftReason, "left": LeftReason}


def messages_of(name: str) -> st.SearchStrategy:
    """Every valid message of one type."""
    model = CLIENT_MESSAGES.get(name) or SERVER_MESSAGES[name]
    own = {
        "state": st.sampled_from(get_args(STATES.get(name, RoomState))),
        "reason": st.sampled_from(get_args(REASONS.get(name, LeftReason))),
    }
    fields = {field: (FIELDS | own)[field] for field in model.model_fields if field != "type"}
    return st.builds(model, **fields)


client_messages = st.sampled_from(sorted(CLIENT_MESSAGES)).flatmap(messages_of)
server_messages = st.sampled_from(sorted(SERVER_MESSAGES)).flatmap(messages_of)

FILTER = FilterView(state="off", enabled=False, params={"smooth": 0, "brighten": 0})


def joined(role: Role, reply_to: str | None = "1", *, is_live: bool = False) -> Joined:
    """The answer to a join of a room that waits for its host, or is live."""
    return Joined(
        room="a-room",
        peer="p",
        role=role,
        resume=None,
        grace_s=10.0,
        state="live" if is_live else "waiting",
        publishing=is_live,
        viewers=0,
        filter=FILTER,
        reply_to=reply_to,
    )


NO_STATISTICS = Statistics(
    elapsed_s=0.0,
    viewers=0,
    forward_ms=None,
    keyframe_requests=0,
    malformed_rtp=0,
    malformed_rtcp=0,
    foreign_packets=0,
    tracks=[],
    peers=[],
)

# The fewest fields with which each client message is valid.
PLAIN_REQUESTS: dict[str, dict[str, object]] = {
    "join": {"type": "join", "version": 1, "room": "a-room", "role": "host"},
    "publish": {"type": "publish", "sdp": "v=0\r\n"},
    "unpublish": {"type": "unpublish"},
    "subscribe": {"type": "subscribe", "sdp": "v=0\r\n"},
    "unsubscribe": {"type": "unsubscribe"},
    "set_filter": {"type": "set_filter", "enabled": True, "params": {"smooth": 10}},
    "watch_statistics": {"type": "watch_statistics", "every_s": 1.5},
    "leave": {"type": "leave"},
}
