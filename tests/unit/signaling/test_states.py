import pytest

from signaling.messages import CLIENT_MESSAGES, SERVER_MESSAGES, HostLive, Joined, Leave
from signaling.states import (
    CLIENT_MOVES,
    REFUSED,
    REPLIES,
    SERVER_MOVES,
    State,
    is_for_other_role,
    label,
)
from tests.unit.signaling.strategies import FILTER


@pytest.mark.parametrize("table", [CLIENT_MOVES, SERVER_MOVES])
def test_every_state_has_a_row(table):
    assert list(table) == list(State)


def test_every_message_has_a_place_and_every_place_a_message():
    client_moves = {move for row in CLIENT_MOVES.values() for move in row}
    server_moves = {move for row in SERVER_MOVES.values() for move in row}
    assert client_moves == set(CLIENT_MESSAGES)
    names = {move.removesuffix(" host").removesuffix(" viewer") for move in server_moves}
    assert names - {REFUSED} == set(SERVER_MESSAGES)


def test_every_state_can_be_reached_and_closed_is_the_only_end():
    reached = {State.NEW}
    for _ in State:
        for table in (CLIENT_MOVES, SERVER_MOVES):
            reached |= {to for state in reached for to in table[state].values()}
    assert reached == set(State)
    ends = [s for s in State if not CLIENT_MOVES[s] and not SERVER_MOVES[s]]
    assert ends == [State.CLOSED]


def test_every_request_has_a_reply_that_may_be_sent_where_it_was_accepted():
    assert REPLIES.keys() == CLIENT_MESSAGES.keys()
    for row in CLIENT_MOVES.values():
        for request, following in row.items():
            moves = {move.split()[0] for move in SERVER_MOVES[following]}
            assert REPLIES[request] in moves
            assert "error" in moves
            assert "reply_to" in SERVER_MESSAGES[REPLIES[request]].model_fields


def test_joined_is_labelled_with_its_role():
    fields = {"room": "r", "peer": "p", "resume": None, "grace_s": 10.0, "state": "waiting"}
    joined = Joined.model_validate(
        fields | {"role": "host", "publishing": False, "viewers": 0, "filter": FILTER}
    )
    assert label(joined) == "joined host"
    assert label(HostLive()) == "host_live"
    assert label(Leave()) == "leave"


def test_the_other_role_is_the_other_role():
    assert is_for_other_role(State.VIEWER, "publish")
    assert is_for_other_role(State.HOST, "subscribe")
    assert not is_for_other_role(State.HOST, "publish")
    assert not is_for_other_role(State.HOST, "join")
    assert not is_for_other_role(State.NEW, "publish")
