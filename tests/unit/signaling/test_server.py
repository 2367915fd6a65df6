import json

import pytest

from signaling.errors import Close, ErrorCode, PeerProtocolError, Refused
from signaling.limits import Limits
from signaling.messages import (
    HostLive,
    Join,
    Leave,
    Left,
    LeftReason,
    PeerJoined,
    Publish,
    Published,
    Role,
    SetFilter,
    Subscribe,
    ViewersChanged,
)
from signaling.server import ServerProtocol
from signaling.states import CLIENT_MOVES, State
from tests.unit.signaling.strategies import PLAIN_REQUESTS, joined


def text(name: str, **fields: object) -> str:
    return json.dumps(PLAIN_REQUESTS[name] | fields)


def connected(role: Role | None = None, limits: Limits | None = None) -> ServerProtocol:
    """A connection that opened at 0.0, joined if a role is named."""
    protocol = ServerProtocol(0.0, limits)
    if role is not None:
        assert isinstance(protocol.receive(text("join", role=role), 0.0), Join)
        protocol.send(joined(role, None))
        protocol.frames()
    return protocol


def goes_on(protocol: ServerProtocol) -> bool:
    return protocol.close is None


def state_of(protocol: ServerProtocol) -> State:
    return protocol.state


def replies(protocol: ServerProtocol) -> list[dict[str, object]]:
    return [json.loads(frame) for frame in protocol.frames()]


def codes(protocol: ServerProtocol) -> list[object]:
    return [reply.get("code") for reply in replies(protocol)]


def test_a_host_joins_publishes_and_leaves():
    protocol = ServerProtocol(0.0)
    assert protocol.receive(text("join", id="1"), 0.1) == Join(
        version=1, room="a-room", role="host", id="1"
    )
    assert state_of(protocol) is State.JOINING
    protocol.send(joined("host", "1"))
    assert state_of(protocol) is State.HOST
    assert protocol.receive(text("publish", id="2"), 0.2) == Publish(sdp="v=0\r\n", id="2")
    protocol.send(Published(sdp="v=0", reply_to="2"))
    assert isinstance(protocol.receive(text("set_filter"), 0.3), SetFilter)
    assert protocol.receive(text("leave", id="3"), 0.4) == Leave(id="3")
    assert goes_on(protocol)
    protocol.send(Left(reason="left", reply_to="3"))
    assert [reply["type"] for reply in replies(protocol)] == ["joined", "published", "left"]
    assert protocol.close == Close(1000, "left")
    assert protocol.state is State.CLOSED


def test_a_viewer_joins_and_subscribes():
    protocol = connected("viewer")
    assert isinstance(protocol.receive(text("subscribe"), 0.0), Subscribe)
    protocol.send(HostLive())
    assert replies(protocol) == [{"type": "host_live"}]


def test_frames_are_taken_once():
    protocol = connected("viewer")
    protocol.send(HostLive())
    assert len(protocol.frames()) == 1
    assert protocol.frames() == []


@pytest.mark.parametrize(
    ("reason", "code"), [("left", 1000), ("replaced", 1000), ("shutdown", 1001)]
)
@pytest.mark.parametrize("role", ["host", "viewer"])
def test_the_server_may_end_the_session_by_itself(role: Role, reason: LeftReason, code):
    protocol = connected(role)
    protocol.send(Left(reason=reason))
    assert protocol.close == Close(code, reason)


def test_a_connection_that_has_not_joined_can_be_told_of_the_shutdown():
    protocol = ServerProtocol(0.0)
    protocol.send(Left(reason="shutdown"))
    assert protocol.close == Close(1001, "shutdown")


# Order and rights.


@pytest.mark.parametrize("state", [None, "host", "viewer"])
@pytest.mark.parametrize("name", sorted(PLAIN_REQUESTS))
def test_each_state_takes_what_its_row_says_and_nothing_else(state: Role | None, name):
    protocol = connected(state)
    allowed = name in CLIENT_MOVES[protocol.state]
    message = protocol.receive(text(name, id="7"), 0.0)
    assert (message is not None) is allowed
    if not allowed:
        theirs = {"host": ("subscribe", "unsubscribe"), "viewer": ("publish", "unpublish")}
        is_right_of_other = state is not None and (
            name in theirs[state] or (state, name) == ("viewer", "set_filter")
        )
        (reply,) = replies(protocol)
        assert reply["code"] == ("not_allowed" if is_right_of_other else "wrong_order")
        assert reply["reply_to"] == "7"
        assert goes_on(protocol)


@pytest.mark.parametrize("name", PLAIN_REQUESTS)
def test_nothing_may_follow_a_join_before_its_answer(name):
    protocol = ServerProtocol(0.0)
    protocol.receive(text("join"), 0.0)
    assert protocol.receive(text(name), 0.0) is None
    assert codes(protocol) == ["wrong_order"]
    assert protocol.state is State.JOINING


def test_a_refused_join_may_be_tried_again():
    protocol = ServerProtocol(0.0)
    protocol.receive(text("join", id="1"), 1.0)
    protocol.refuse(ErrorCode.ROOM_TAKEN, "taken", "1", retry_after_s=4.5)
    assert replies(protocol) == [
        {
            "type": "error",
            "reply_to": "1",
            "code": "room_taken",
            "message": "taken",
            "retry_after_s": 4.5,
        }
    ]
    assert protocol.state is State.NEW
    assert isinstance(protocol.receive(text("join", role="viewer"), 2.0), Join)


def test_a_refused_publish_changes_nothing():
    protocol = connected("host")
    protocol.receive(text("publish", id="2"), 0.0)
    protocol.refuse(ErrorCode.BAD_SDP, "no", "2")
    assert codes(protocol) == ["bad_sdp"]
    assert protocol.state is State.HOST
    assert protocol.receive(text("publish"), 0.0) is not None


def test_not_allowed_is_no_protocol_error_and_never_ends_the_connection():
    protocol = connected("viewer")
    for _ in range(50):
        protocol.receive(text("publish"), 0.0)
    assert set(codes(protocol)) == {"not_allowed"}
    assert goes_on(protocol)


@pytest.mark.parametrize(
    "message", [Published(sdp="v=0"), PeerJoined(peer="p", role="viewer", name=None)]
)
def test_a_server_that_sends_out_of_order_is_stopped(message):
    protocol = connected("viewer")
    with pytest.raises(RuntimeError, match="while viewer"):
        protocol.send(message)
    assert protocol.frames() == []


def test_joined_cannot_be_sent_to_somebody_who_has_not_asked():
    with pytest.raises(RuntimeError, match="joined host while new"):
        ServerProtocol(0.0).send(joined("host", None))


# Hostile frames.


@pytest.mark.parametrize(
    ("frame", "code", "close_code"),
    [
        (b"{}", "binary_frame", 1003),
        ("nonsense", "bad_json", 1007),
        ("[" * 100_000, "too_large", 1009),
        ("[" * 65_000, "bad_json", 1007),
        ("[]", "bad_json", 1007),
        ("\ud800", "bad_json", 1007),
        (json.dumps({"type": "leave", "id": "a" * 65536}), "too_large", 1009),
    ],
)
@pytest.mark.parametrize("role", [None, "host"])
def test_what_is_no_message_is_answered_and_closed(frame, code, close_code, role: Role | None):
    protocol = connected(role)
    assert protocol.receive(frame, 0.0) is None
    assert codes(protocol) == [code]
    assert protocol.close == Close(close_code, code)
    assert protocol.state is State.CLOSED
    assert protocol.receive(text("join"), 0.0) is None
    assert protocol.frames() == []


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({}, "bad_message"),
        ({"type": "join"}, "bad_message"),
        ({"type": "dance"}, "unknown_type"),
        ({"type": "join", "version": 2}, "unsupported_version"),
        ({"type": "leave"}, "wrong_order"),
    ],
)
def test_eight_protocol_errors_within_ten_seconds_are_too_many(frame, code):
    protocol = ServerProtocol(0.0, Limits(join_timeout_s=100))
    for strike in range(7):
        protocol.receive(json.dumps(frame | {"id": "9"}), 1.0 + strike)
        assert replies(protocol)[0]["reply_to"] == "9"
        assert goes_on(protocol)
    protocol.receive(json.dumps(frame), 8.0)
    assert codes(protocol) == [code, "too_many_errors"]
    assert protocol.close == Close(1008, "too_many_errors")


def test_seven_errors_in_ten_seconds_are_forgiven_for_ever():
    protocol = connected("host")
    for strike in range(100):
        protocol.receive("{}", strike * 1.43)
        assert goes_on(protocol)


def test_an_error_with_an_invalid_id_repeats_none():
    protocol = ServerProtocol(0.0)
    protocol.receive(json.dumps({"type": "leave", "id": 5}), 0.0)
    assert "reply_to" not in replies(protocol)[0]


# Pace.


def test_a_burst_of_100_is_taken_and_the_next_message_is_rate_limited():
    protocol = connected("host")
    taken = [protocol.receive(text("set_filter"), 0.0) for _ in range(99)]  # the join was one
    assert None not in taken
    assert protocol.receive(text("set_filter", id="x"), 0.0) is None
    (reply,) = replies(protocol)
    assert reply["code"] == "rate_limited"
    assert reply["reply_to"] == "x"
    assert reply["retry_after_s"] == 0.033
    assert protocol.receive(text("set_filter"), 0.034) is not None


def test_rate_limited_messages_do_nothing_and_are_not_examined():
    protocol = connected("host")
    for _ in range(99):
        protocol.receive(text("set_filter"), 0.0)
    for _ in range(100):
        assert protocol.receive('{"type": "dance"}', 0.0) is None
    assert set(codes(protocol)) == {"rate_limited"}
    assert goes_on(protocol)


def test_a_slider_that_sends_on_every_screen_refresh_is_slowed_and_not_closed():
    protocol = connected("host")
    for refresh in range(60 * 60):
        protocol.receive(text("set_filter"), refresh / 60)
    assert goes_on(protocol)


def test_a_client_that_floods_in_spite_of_rate_limited_is_closed():
    protocol = connected("host")
    for _ in range(99 + 499):
        protocol.receive(text("set_filter"), 0.0)
    assert goes_on(protocol)
    protocol.receive(text("set_filter"), 0.0)
    assert codes(protocol)[-2:] == ["rate_limited", "too_many_errors"]
    assert protocol.close == Close(1008, "too_many_errors")


# Time.


def test_a_connection_that_does_not_join_within_ten_seconds_is_closed():
    protocol = ServerProtocol(50.0)
    assert protocol.deadline() == 60.0
    protocol.expire(59.999)
    assert goes_on(protocol)
    protocol.expire(60.0)
    assert codes(protocol) == ["join_timeout"]
    assert protocol.close == Close(1008, "join_timeout")
    assert protocol.deadline() is None
    protocol.expire(61.0)
    assert protocol.frames() == []


def test_a_join_that_is_being_answered_stops_the_clock_and_a_refusal_starts_it_again():
    protocol = ServerProtocol(0.0)
    protocol.receive(text("join"), 9.0)
    assert protocol.deadline() is None
    protocol.expire(11.0)
    assert goes_on(protocol)
    protocol.refuse(ErrorCode.ROOM_TAKEN, "taken")
    assert protocol.deadline() == 10.0
    protocol.expire(11.0)
    assert protocol.close == Close(1008, "join_timeout")


def test_a_member_has_no_deadline():
    assert connected("host").deadline() is None
    assert connected("viewer").deadline() is None


# The end.


def test_after_the_end_nothing_is_sent():
    protocol = connected("viewer")
    protocol.end(Close(1013, "overloaded"))
    protocol.send(ViewersChanged(viewers=1))
    protocol.refuse(ErrorCode.INTERNAL, "no")
    protocol.end(Close(1000, "later"))
    assert protocol.frames() == []
    assert protocol.close == Close(1013, "overloaded")


def test_what_was_queued_before_the_end_can_still_be_written():
    protocol = connected("viewer")
    protocol.send(ViewersChanged(viewers=1))
    protocol.end(Close(1011, "internal"))
    assert len(protocol.frames()) == 1


def test_answered_errors_are_reported_once():
    protocol = connected("viewer")
    protocol.receive("{}", 0.0)
    protocol.receive(text("publish"), 0.0)
    protocol.refuse(ErrorCode.NOT_LIVE, "no")
    assert [type(error) for error in protocol.errors()] == [PeerProtocolError, Refused, Refused]
    assert protocol.errors() == []
