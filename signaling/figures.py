"""What ``statistics`` tells, in parts: counters and shares, no name, no address, never a face."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

TrackKind = Literal["audio", "video"]


class Figures(BaseModel):
    """A part of ``statistics``: strict and frozen, like every message."""

    model_config = ConfigDict(strict=True, frozen=True)


class ForwardDelay(Figures):
    """From a packet's arrival to the last viewer's send, in milliseconds."""

    p50: float
    p95: float
    p99: float


class ReceivedFigures(Figures):
    """What came of one track from the host's present stream, which starts anew with each one.

    Attributes:
        packets: RTP packets, repairs included.
        bytes: Their payload.
        lost: Packets that have not come.
        nacks: Packets that the host was asked to send again.
        given_up: Packets that were asked for in vain.
    """

    packets: int = 0
    bytes: int = 0
    lost: int = 0
    nacks: int = 0
    given_up: int = 0


class SentFigures(Figures):
    """What was sent of one track, to one viewer or to all.

    Attributes:
        packets: RTP packets, repairs not counted.
        bytes: Their payload.
        repaired: Packets that were sent again.
        repairs_refused: Requests for packets that would have come too late or too often.
        repairs_missed: Requests for packets that were forgotten or never sent.
        layered_out: Packets left out because the viewer has little bandwidth.
        sends_failed: Sends that found no room; the viewer waits for a keyframe then.
    """

    packets: int = 0
    bytes: int = 0
    repaired: int = 0
    repairs_refused: int = 0
    repairs_missed: int = 0
    layered_out: int = 0
    sends_failed: int = 0


class TrackFigures(Figures):
    """One track of the room.

    Attributes:
        kind: Audio or video.
        received: From the host.
        sent: To all viewers, those who have left included.
        keyframes_asked: Wishes of viewers for a keyframe.
    """

    kind: TrackKind
    received: ReceivedFigures
    sent: SentFigures
    keyframes_asked: int


class ViewerFigures(Figures):
    """One viewer who is sent to.

    Attributes:
        peer: Its id.
        rtt_ms: Round trip, None before it was measured.
        loss: Share (0..1) of the video that its last report missed.
        estimate_bps: What its browser believes that its network carries, None if it does not say.
        nacks: Packets that it asked for again.
        keyframe_requests: How often it asked for a keyframe.
        sent: By kind of track.
    """

    peer: str
    rtt_ms: float | None
    loss: float
    estimate_bps: int | None
    nacks: int
    keyframe_requests: int
    sent: dict[TrackKind, SentFigures]
