"""Every message of the signalling protocol, version 1. PROTOCOL.md explains them with examples.

Models are strict (no ``"1"`` for 1, no ``true`` for 1) and frozen. What clients send may hold no
unknown field; what the server sends may grow new ones, which older clients ignore. Secrets and
session descriptions stay out of ``repr``, so a logged message does not spread them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from signaling.figures import ForwardDelay, TrackFigures, ViewerFigures
from signaling.limits import PROTOCOL_VERSION

Role = Literal["host", "viewer"]
RoomState = Literal["waiting", "live", "away"]
FilterState = Literal["off", "starting", "on", "recovering", "unavailable"]
MediaState = Literal["connected", "lost"]
HostLeftReason = Literal["left", "timeout", "stopped"]
PeerLeftReason = Literal["left", "dropped"]
LeftReason = Literal["left", "replaced", "shutdown"]

SDP_BYTES = 65536
# Faster than once a second nobody reads; slower than once a minute a request each is as good.
STATISTICS_EVERY_MIN_S = 1.0
STATISTICS_EVERY_MAX_S = 60.0

ROOM_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"


def _within_sdp_limit(sdp: str) -> str:
    if len(sdp.encode()) > SDP_BYTES:
        raise ValueError(f"longer than {SDP_BYTES} bytes")
    return sdp


RoomName = Annotated[str, Field(pattern=ROOM_PATTERN)]
Sdp = Annotated[str, Field(min_length=1, repr=False), AfterValidator(_within_sdp_limit)]
RequestId = Annotated[str, Field(max_length=64)]
PeerName = Annotated[str, Field(max_length=64)]
ResumeToken = Annotated[str, Field(max_length=128)]
ParameterName = Annotated[str, Field(min_length=1, max_length=64)]
# Values are checked by the filters; this only keeps them numbers that every language can hold.
ParameterValue = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Parameters = Annotated[dict[ParameterName, ParameterValue], Field(max_length=64)]


def _absent(value: object) -> bool:
    return value is None


class FilterView(BaseModel):
    """What a client may know of the beauty filter: settings and state, never a face.

    Attributes:
        state: What the filter does now.
        enabled: What the host asked for.
        params: Strength by name, whole numbers; ``GET /api/filters`` names them and their ranges.
        consent: Whether the host has agreed that its picture is searched for a face. Without it
            nothing is, whatever else is set.
        reason: Why the state is ``recovering`` or ``unavailable``, in words, else None.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    state: FilterState
    enabled: bool
    params: dict[str, int]
    consent: bool = False
    reason: str | None = None


class Request(BaseModel):
    """What every client message has: an optional id that the answer repeats as ``reply_to``."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: RequestId | None = Field(default=None, exclude_if=_absent)


class Join(Request):
    """Enter a room, once, before anything else."""

    type: Literal["join"] = "join"
    version: Annotated[int, Field(ge=PROTOCOL_VERSION, le=PROTOCOL_VERSION)]
    room: RoomName
    role: Role
    name: PeerName | None = Field(default=None, exclude_if=_absent)
    resume: ResumeToken | None = Field(default=None, exclude_if=_absent, repr=False)


class Publish(Request):
    """Offer the host's audio and video; an earlier publication is replaced."""

    type: Literal["publish"] = "publish"
    sdp: Sdp


class Unpublish(Request):
    """Stop the publication and stay in the room."""

    type: Literal["unpublish"] = "unpublish"


class Subscribe(Request):
    """Offer to receive the host's media; an earlier subscription is replaced."""

    type: Literal["subscribe"] = "subscribe"
    sdp: Sdp


class Unsubscribe(Request):
    """Stop receiving and stay in the room."""

    type: Literal["unsubscribe"] = "unsubscribe"


class SetFilter(Request):
    """Change the beauty filter; what is not named stays as it is.

    ``consent`` true is a person's explicit yes, false takes it back and switches the filter off.
    """

    type: Literal["set_filter"] = "set_filter"
    enabled: bool | None = Field(default=None, exclude_if=_absent)
    params: Parameters | None = Field(default=None, exclude_if=_absent)
    consent: bool | None = Field(default=None, exclude_if=_absent)


class WatchStatistics(Request):
    """Be sent ``statistics`` every so many seconds from now on; null ends it."""

    type: Literal["watch_statistics"] = "watch_statistics"
    every_s: Annotated[float, Field(ge=STATISTICS_EVERY_MIN_S, le=STATISTICS_EVERY_MAX_S)] | None


class Leave(Request):
    """Leave the room and end the session; a host gives its room up at once."""

    type: Literal["leave"] = "leave"


class Event(BaseModel):
    """What every server message has in common."""

    model_config = ConfigDict(strict=True, frozen=True)


class Reply(Event):
    """A server message that may answer a request: ``reply_to`` is that request's id."""

    reply_to: RequestId | None = Field(default=None, exclude_if=_absent)


class Joined(Reply):
    """You are in; this is how the room stands."""

    type: Literal["joined"] = "joined"
    version: int = PROTOCOL_VERSION
    room: str
    peer: str
    role: Role
    resume: str | None = Field(repr=False)
    grace_s: float
    state: RoomState
    publishing: bool
    viewers: Annotated[int, Field(ge=0)]
    filter: FilterView


class Published(Reply):
    """The answer to a publication."""

    type: Literal["published"] = "published"
    sdp: Sdp


class Unpublished(Reply):
    """The publication has ended."""

    type: Literal["unpublished"] = "unpublished"


class Subscribed(Reply):
    """The answer to a subscription."""

    type: Literal["subscribed"] = "subscribed"
    sdp: Sdp


class Unsubscribed(Reply):
    """The subscription has ended."""

    type: Literal["unsubscribed"] = "unsubscribed"


class FilterChanged(Reply):
    """The filter's settings or state are now these."""

    type: Literal["filter_changed"] = "filter_changed"
    filter: FilterView


class HostLive(Event):
    """To viewers: the room is live, subscribe unless you are subscribed."""

    type: Literal["host_live"] = "host_live"


class HostAway(Event):
    """To viewers: the host's connection dropped, the room waits for it."""

    type: Literal["host_away"] = "host_away"
    grace_s: float


class HostReturned(Event):
    """To viewers: the host's connection is back, subscriptions go on."""

    type: Literal["host_returned"] = "host_returned"


class HostLeft(Event):
    """To viewers: the room is no longer live."""

    type: Literal["host_left"] = "host_left"
    reason: HostLeftReason


class HostMedia(Event):
    """To everybody: the media transport of the host was connected or lost."""

    type: Literal["host_media"] = "host_media"
    state: MediaState


class QualitiesWanted(Event):
    """To a host with simulcast: send these qualities, and no other."""

    type: Literal["qualities_wanted"] = "qualities_wanted"
    rids: list[str]


class PeerJoined(Event):
    """To the host: somebody joined."""

    type: Literal["peer_joined"] = "peer_joined"
    peer: str
    role: Role
    name: str | None


class PeerLeft(Event):
    """To the host: somebody who was announced has left."""

    type: Literal["peer_left"] = "peer_left"
    peer: str
    reason: PeerLeftReason


class ViewersChanged(Event):
    """To everybody: how many viewers there are, at most once a second."""

    type: Literal["viewers_changed"] = "viewers_changed"
    viewers: Annotated[int, Field(ge=0)]


class Statistics(Reply):
    """How a room's media fares; counters have counted since the room had media.

    Attributes:
        elapsed_s: Seconds from when the room had media to when its tracks were read, which is at
            most a second ago; two messages apart it makes rates of their counters.
        viewers: Viewers who are sent to.
        forward_ms: Since the statistics before; None when nothing was forwarded meanwhile.
        keyframe_requests: Sent to the host.
        malformed_rtp: Packets of the host that were dropped as malformed.
        malformed_rtcp: The same of RTCP, whoever sent it.
        foreign_packets: Packets of the host that belong to no track.
        tracks: One of each kind; none before the room has media.
        peers: To the host: its viewers, those with the greatest loss if they are many. To a viewer:
            itself, once it is sent to.
    """

    type: Literal["statistics"] = "statistics"
    elapsed_s: float
    viewers: Annotated[int, Field(ge=0)]
    forward_ms: ForwardDelay | None
    keyframe_requests: int
    malformed_rtp: int
    malformed_rtcp: int
    foreign_packets: int
    tracks: list[TrackFigures]
    peers: list[ViewerFigures]


class Left(Reply):
    """The session is over; the connection closes after this."""

    type: Literal["left"] = "left"
    reason: LeftReason


class Error(Reply):
    """A request failed, or the connection broke a rule. Branch on ``code``, show ``message``."""

    type: Literal["error"] = "error"
    code: str
    message: str
    retry_after_s: float | None = Field(default=None, exclude_if=_absent)


ClientMessage: TypeAlias = (
    Join | Publish | Unpublish | Subscribe | Unsubscribe | SetFilter | WatchStatistics | Leave
)
ServerMessage: TypeAlias = (
    Joined
    | Published
    | Unpublished
    | Subscribed
    | Unsubscribed
    | FilterChanged
    | HostLive
    | HostAway
    | HostReturned
    | HostLeft
    | HostMedia
    | QualitiesWanted
    | PeerJoined
    | PeerLeft
    | ViewersChanged
    | Statistics
    | Left
    | Error
)

CLIENT_MESSAGES: Mapping[str, type[ClientMessage]] = MappingProxyType(
    {model.model_fields["type"].default: model for model in get_args(ClientMessage)}
)
SERVER_MESSAGES: Mapping[str, type[ServerMessage]] = MappingProxyType(
    {model.model_fields["type"].default: model for model in get_args(ServerMessage)}
)
