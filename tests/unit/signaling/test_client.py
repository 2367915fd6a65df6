import json
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.client import Answer, ClientProtocol, error_from
from signaling.codec import encode
from signaling.errors import ErrorCode, Overloaded, PeerProtocolError, Refused
from signaling.limits import Limits
from signaling.messages import (
    ClientMessage,
    Error,
    FilterChanged,
    HostLive,
    Join,
    Leave,
    Left,
    Publish,
    Published,
    Role,
    ServerMessage,
    SetFilter,
    Subscribe,
    Subscribed,
    Unpublish,
    Unpublished,
    Unsubscribe,
    Unsubscribed,
    WatchStatistics,
)
from signaling.server import ServerProtocol
from signaling.states import State
from tests.unit.signaling.strategies import FILTER, NO_STATISTICS, joined, server_messages


def member(role: Role) -> ClientProtocol:
    client = ClientProtocol()
    assert client.send(Join(version=1, room="r", role=role)) == "1"
    assert isinstance(client.receive(encode(joined(role, is_live=True))), Answer)
    client.frames()
    return client


SUCCESSES: list[tuple[Role, ClientMessage, ServerMessage]] = [
    ("host", Publish(sdp="v=0"), Published(sdp="v=0")),
    ("host", Unpublish(), Unpublished()),
    ("host", SetFilter(enabled=True), FilterChanged(filter=FILTER)),
    ("viewer", Subscribe(sdp="v=0"), Subscribed(sdp="v=0")),
    ("viewer", Unsubscribe(), Unsubscribed()),
    ("host", WatchStatistics(every_s=1.0), NO_STATISTICS),
    ("viewer", WatchStatistics(every_s=None), NO_STATISTICS),
    ("host", Leave(), Left(reason="left")),
    ("viewer", Leave(), Left(reason="left")),
]


@pytest.mark.parametrize(
    ("role", "request_", "reply"), SUCCESSES, ids=lambda case: getattr(case, "type", case)
)
def test_a_request_passes_both_ends_and_its_reply_is_paired(role: Role, request_, reply):
    client, server = ClientProtocol(), ServerProtocol(0.0)
    client.send(Join(version=1, room="r", role=role))
    (frame,) = client.frames()
    assert isinstance(server.receive(frame, 0.0), Join)
    server.send(joined(role, is_live=True))
    request_id = client.receive(server.frames()[0]) and client.send(request_)
    (frame,) = client.frames()
    received = server.receive(frame, 0.0)
    assert received == request_.model_copy(update={"id": request_id})
    server.send(reply.model_copy(update={"reply_to": request_id}))
    answer = client.receive(server.frames()[0])
    assert isinstance(answer, Answer)
    assert answer.request == received
    assert answer.result() == reply.model_copy(update={"reply_to": request_id})
    assert client.pending == ()
    assert client.state == server.state


def test_ids_are_fresh_and_pending_until_answered():
    client = member("host")
    ids = [client.send(SetFilter(enabled=True, id="mine")) for _ in range(3)]
    assert ids == ["2", "3", "4"]
    assert list(client.pending) == ids
    assert [json.loads(frame)["id"] for frame in client.frames()] == ["2", "3", "4"]
    client.receive(encode(FilterChanged(filter=FILTER, reply_to="3")))
    assert list(client.pending) == ["2", "4"]


def test_an_event_is_returned_as_it_is():
    client = member("viewer")
    assert client.receive('{"type": "host_live"}') == HostLive()
    changed = FilterChanged(filter=FILTER)
    assert client.receive(encode(changed)) == changed


def test_an_error_reply_is_raised_by_its_result():
    client = member("viewer")
    request_id = client.send(Subscribe(sdp="v=0"))
    error = Error(code="not_live", message="the room is not live", reply_to=request_id)
    answer = client.receive(encode(error))
    assert isinstance(answer, Answer)
    with pytest.raises(Refused, match="not_live: the room is not live") as raised:
        answer.result()
    assert raised.value.code is ErrorCode.NOT_LIVE
    assert client.state is State.VIEWER


def test_an_error_that_answers_nothing_is_an_event():
    client = ClientProtocol()
    message = Error(code="join_timeout", message="late")
    assert client.receive(encode(message)) == message


def test_a_refused_join_may_be_tried_again():
    client = ClientProtocol()
    client.send(Join(version=1, room="r", role="host"))
    client.receive(encode(Error(code="room_taken", message="taken", reply_to="1")))
    assert client.state is State.NEW
    assert client.send(Join(version=1, room="other", role="host")) == "2"


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_comes_back_as_its_class(code):
    error = error_from(Error(code=code, message="words", retry_after_s=1.0))
    assert (error.code, error.text, error.retry_after_s) == (code, "words", 1.0)


def test_a_code_of_a_newer_server_is_internal():
    error = error_from(Error(code="gone_fishing", message="back soon", retry_after_s=9.0))
    assert isinstance(error, Refused)
    assert error.code is ErrorCode.INTERNAL
    assert error.text == "gone_fishing: back soon"
    assert error.retry_after_s == 9.0
    assert isinstance(error_from(Error(code="overloaded", message="")), Overloaded)


def test_a_client_cannot_send_out_of_order():
    with pytest.raises(RuntimeError, match="publish while new"):
        ClientProtocol().send(Publish(sdp="v=0"))
    with pytest.raises(RuntimeError, match="subscribe while host"):
        member("host").send(Subscribe(sdp="v=0"))
    client = ClientProtocol()
    client.send(Join(version=1, room="r", role="host"))
    with pytest.raises(RuntimeError, match="join while joining"):
        client.send(Join(version=1, room="r", role="host"))


def test_a_client_cannot_send_more_than_a_message_may_hold():
    client = member("host")
    with pytest.raises(ValueError, match="65536 bytes"):
        client.send(Publish(sdp="v" * 65536))
    assert client.frames() == []
    assert client.pending == ()
    assert client.send(Unpublish()) == "2"


def test_requests_without_an_answer_are_limited_in_number():
    client = member("host")
    for _ in range(Limits().pending):
        client.send(SetFilter())
    with pytest.raises(RuntimeError, match="64 requests"):
        client.send(SetFilter())


def test_messages_of_a_newer_server_are_ignored():
    assert member("host").receive('{"type": "confetti", "colour": "red"}') is None


def test_after_left_nothing_is_read_or_sent():
    client = member("viewer")
    assert client.receive('{"type": "left", "reason": "shutdown"}') == Left(reason="shutdown")
    assert client.state is State.CLOSED
    assert client.receive("nonsense") is None
    with pytest.raises(RuntimeError, match="leave while closed"):
        client.send(Leave())


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"{}", ErrorCode.BINARY_FRAME),
        ("nonsense", ErrorCode.BAD_JSON),
        ('{"type": "viewers_changed"}', ErrorCode.BAD_MESSAGE),
        ('{"type": "joined", "version": 2}', ErrorCode.UNSUPPORTED_VERSION),
        ('{"type": "peer_left", "peer": "p", "reason": "left"}', ErrorCode.WRONG_ORDER),
        ('{"type": "unsubscribed", "reply_to": "99"}', ErrorCode.BAD_MESSAGE),
    ],
)
def test_a_server_that_breaks_the_protocol_is_caught(frame, code):
    with pytest.raises(PeerProtocolError) as raised:
        member("viewer").receive(frame)
    assert raised.value.code is code


def test_a_reply_of_the_wrong_kind_is_caught():
    client = member("viewer")
    request_id = client.send(Subscribe(sdp="v=0"))
    with pytest.raises(PeerProtocolError, match="unsubscribed does not answer subscribe"):
        client.receive(encode(Unsubscribed(reply_to=request_id)))


@settings(deadline=None, max_examples=200)
@given(st.lists(server_messages, max_size=12), st.sampled_from(get_args(Role)))
def test_no_order_of_server_messages_surprises_a_client(messages, role):
    client = member(role)
    for message in messages:
        try:
            received = client.receive(encode(message))
        except PeerProtocolError:
            continue
        assert received is None or received == message
