"""Seeded mutations of valid conversations: whatever comes, both ends answer with typed errors."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.client import ClientProtocol
from signaling.codec import encode, parse_object, validate
from signaling.errors import ERROR_RULES, ErrorCode, PeerProtocolError
from signaling.limits import Limits
from signaling.messages import SERVER_MESSAGES, Error, Join, Role
from signaling.server import ServerProtocol
from signaling.states import State
from tests.unit.signaling.strategies import PLAIN_REQUESTS, joined

SEED = 20250101
MUTATIONS = 3000

PIECES = (
    *("{", "}", "[", "]", '"', "\\", ",", ":", "\x00", "\x1f", "\ufeff", "\ud800", "😀", "1e999"),
    *("\\ud83d", "null", "true", "-", "0" * 50, "[" * 500, '{"a":' * 50, "NaN", '"type":"join"'),
)
VALUES: tuple[object, ...] = (
    *(None, True, False, 0, -1, 2**63, 10**400, 1.5, "", "\x00", "a" * 70, "é" * 33, [], {}),
    *([[[[[[[[[[]]]]]]]]]], {"a": {"b": 1}}, "host", "viewer", "join", "__proto__", "\u202e"),
)


def bent(text: str, chance: random.Random) -> str:
    """Damage the text itself."""
    kind = chance.randrange(5)
    at = chance.randrange(len(text) + 1)
    to = min(len(text), at + chance.randrange(1, 12))
    if kind == 0:
        return text[:at] + text[to:]
    if kind == 1:
        return text[:at] + chance.choice(PIECES) + text[at:]
    if kind == 2:
        return text[:at] + text[at:to] * chance.choice((2, 40, 9000)) + text[to:]
    if kind == 3:
        return text[:at] + chr(chance.randrange(0x110000)) + text[to:]
    return text[:at]


def warped(fields: dict[str, object], chance: random.Random) -> str:
    """Keep the text JSON and damage what it says."""
    fields = dict(fields)
    for _ in range(chance.randrange(1, 4)):
        name = chance.choice([*fields, "id", "name", "resume", "sdp", "params", "version", "x"])
        if chance.random() < 0.3:
            fields.pop(name, None)
        elif name == "params":
            fields[name] = {str(chance.choice(VALUES)): chance.choice(VALUES)}
        else:
            fields[name] = chance.choice(VALUES)
    return json.dumps(fields, ensure_ascii=chance.random() < 0.5)


def mutated(chance: random.Random) -> str:
    fields = PLAIN_REQUESTS[chance.choice(sorted(PLAIN_REQUESTS))]
    if chance.random() < 0.5:
        return warped(fields, chance)
    text = json.dumps(fields)
    for _ in range(chance.randrange(1, 4)):
        text = bent(text, chance)
    return text


def fresh(role: Role | None) -> ServerProtocol:
    protocol = ServerProtocol(0.0)
    if role is not None:
        protocol.receive(json.dumps(PLAIN_REQUESTS["join"] | {"role": role}), 0.0)
        protocol.send(joined(role))
        protocol.frames()
    return protocol


def check_answers(protocol: ServerProtocol) -> set[str]:
    """Every frame is a valid error with a known code; return the codes."""
    seen = set()
    for frame in protocol.frames():
        frame.encode()
        message = validate(parse_object(frame, Limits()), SERVER_MESSAGES)
        assert isinstance(message, Error)
        assert len(message.message) < 200
        seen.add(message.code)
        close_code = ERROR_RULES[ErrorCode(message.code)].close_code
        assert close_code is None or (protocol.close and protocol.close.code == close_code)
    return seen


@pytest.mark.parametrize("role", [None, "host", "viewer"])
def test_thousands_of_mutated_messages_end_in_typed_errors(role: Role | None):
    chance = random.Random(f"{SEED} {role}")
    seen: set[str] = set()
    accepted = 0
    for _ in range(MUTATIONS):
        protocol = fresh(role)
        message = protocol.receive(mutated(chance), 0.0)
        answers = check_answers(protocol)
        assert (message is None) is bool(answers)
        accepted += message is not None
        seen |= answers
    assert seen >= {"bad_json", "bad_message", "unknown_type", "unsupported_version"}
    assert seen >= ({"wrong_order", "too_large"} if role else {"wrong_order"})
    assert 0 < accepted < MUTATIONS / 2


def test_a_connection_survives_any_stream_of_them_until_it_is_closed_for_a_reason():
    chance = random.Random(SEED)
    endings = set()
    for _ in range(200):
        protocol = fresh("host")
        now = 0.0
        while protocol.close is None:
            protocol.receive(mutated(chance), now)
            check_answers(protocol)
            now += chance.random()
        assert protocol.state is State.CLOSED
        endings.add(protocol.close.reason)
    assert endings >= {"bad_json"}
    assert endings <= set(ErrorCode)


@settings(deadline=None, max_examples=500)
@given(st.text() | st.binary(), st.sampled_from([None, "host", "viewer"]))
def test_arbitrary_frames_raise_nothing(frame, role):
    protocol = fresh(role)
    assert protocol.receive(frame, 0.0) is None
    assert len(check_answers(protocol)) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=500)
@given(st.dictionaries(st.text() | st.sampled_from(["type", "id", "room"]), json_values))
def test_arbitrary_objects_raise_nothing(fields):
    protocol = fresh("viewer")
    assert protocol.receive(json.dumps(fields), 0.0) is None
    assert len(check_answers(protocol)) == 1


def test_a_hostile_server_raises_one_class_of_error_in_a_client():
    chance = random.Random(SEED)
    samples = [
        encode(joined("viewer")),
        '{"type": "subscribed", "reply_to": "2", "sdp": "v=0"}',
        '{"type": "viewers_changed", "viewers": 4}',
        '{"type": "error", "code": "not_live", "message": "m", "reply_to": "2"}',
        '{"type": "host_left", "reason": "timeout"}',
    ]
    refused = 0
    for _ in range(MUTATIONS):
        client = ClientProtocol()
        client.send(Join(version=1, room="r", role="viewer"))
        if chance.random() < 0.5:
            client.receive(encode(joined("viewer")))
        text = chance.choice(samples)
        text = bent(text, chance) if chance.random() < 0.5 else warped(json.loads(text), chance)
        try:
            client.receive(text)
        except PeerProtocolError:
            refused += 1
    assert refused > MUTATIONS / 2
