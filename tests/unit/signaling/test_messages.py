import json

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from signaling.codec import encode, parse_object, validate
from signaling.limits import Limits
from signaling.messages import (
    CLIENT_MESSAGES,
    ROOM_PATTERN,
    SERVER_MESSAGES,
    FilterChanged,
    HostLive,
    Join,
    Joined,
    PeerJoined,
    Publish,
    SetFilter,
    WatchStatistics,
)
from tests.unit.signaling.strategies import (
    FILTER,
    PLAIN_REQUESTS,
    client_messages,
    server_messages,
)


@settings(deadline=None, max_examples=300)
@given(client_messages)
def test_every_client_message_survives_the_round_trip(message):
    assert validate(parse_object(encode(message), Limits()), CLIENT_MESSAGES) == message


@settings(deadline=None, max_examples=300)
@given(server_messages)
def test_every_server_message_survives_the_round_trip(message):
    assert validate(parse_object(encode(message), Limits()), SERVER_MESSAGES) == message


@pytest.mark.parametrize("name", sorted(PLAIN_REQUESTS))
def test_a_plain_request_is_written_as_it_was_read(name):
    fields = PLAIN_REQUESTS[name]
    assert json.loads(encode(CLIENT_MESSAGES[name].model_validate(fields))) == fields


def test_every_client_message_has_a_plain_request():
    assert PLAIN_REQUESTS.keys() == CLIENT_MESSAGES.keys()


@pytest.mark.parametrize("name", sorted(PLAIN_REQUESTS))
def test_a_client_message_with_an_unknown_field_is_invalid(name):
    with pytest.raises(ValidationError, match="extra_forbidden"):
        CLIENT_MESSAGES[name].model_validate(PLAIN_REQUESTS[name] | {"face": 1})


@pytest.mark.parametrize(
    ("name", "field"), [(n, f) for n, fields in PLAIN_REQUESTS.items() for f in fields]
)
def test_no_field_of_a_request_takes_a_value_of_another_type(name, field):
    wrongs: tuple[object, ...] = ([], 1.5, {"smooth": "10"}, b"host", False)
    for wrong in wrongs:
        if PLAIN_REQUESTS[name][field] == wrong or (field, wrong) == ("enabled", False):
            continue
        with pytest.raises(ValidationError):
            CLIENT_MESSAGES[name].model_validate(PLAIN_REQUESTS[name] | {field: wrong})


def test_a_server_message_may_have_grown_a_field():
    assert (
        SERVER_MESSAGES["host_live"].model_validate({"type": "host_live", "new": 1}) == HostLive()
    )


@pytest.mark.parametrize("room", ["a", "0", "a" * 64, "a-", "0-0", "a--b"])
def test_a_room_name_is_lower_case_letters_digits_and_hyphens(room):
    assert Join(version=1, room=room, role="host").room == room


@pytest.mark.parametrize(
    "room", ["", "-a", "A", "a" * 65, "a_b", "a b", "a\n", "\na", "ä", "a/b", "..", "a\x00"]
)
def test_any_other_room_name_is_invalid(room):
    with pytest.raises(ValidationError):
        Join(version=1, room=room, role="host")
    assert ROOM_PATTERN.startswith("^")
    assert ROOM_PATTERN.endswith("$")


@pytest.mark.parametrize("version", [True, 1.0, "1", None, 2, 0, -1])
def test_only_the_integer_1_is_version_1(version):
    with pytest.raises(ValidationError):
        Join(version=version, room="r", role="host")


def test_a_join_must_name_its_version():
    with pytest.raises(ValidationError, match="version"):
        Join.model_validate({"type": "join", "room": "r", "role": "host"})


@pytest.mark.parametrize(("field", "limit"), [("name", 64), ("id", 64), ("resume", 128)])
def test_a_text_field_is_valid_up_to_its_limit(field, limit):
    fields = PLAIN_REQUESTS["join"]
    Join.model_validate(fields | {field: "é" * limit})
    with pytest.raises(ValidationError, match=field):
        Join.model_validate(fields | {field: "é" * (limit + 1)})


def test_an_sdp_is_limited_in_bytes_not_characters():
    assert len(Publish(sdp="é" * 32768).sdp.encode()) == 65536
    with pytest.raises(ValidationError, match="65536 bytes"):
        Publish(sdp="é" * 32768 + "a")
    with pytest.raises(ValidationError):
        Publish(sdp="")


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 2**31, -(2**31) - 1, 10**4000])
def test_a_filter_strength_is_an_integer_of_32_bits(value):
    with pytest.raises(ValidationError):
        SetFilter.model_validate({"type": "set_filter", "params": {"smooth": value}})


@pytest.mark.parametrize("every_s", [0.99, 60.1, 0, -1, "2", True])
def test_statistics_come_once_a_second_at_most_and_once_a_minute_at_least(every_s):
    with pytest.raises(ValidationError):
        WatchStatistics.model_validate({"type": "watch_statistics", "every_s": every_s})
    with pytest.raises(ValidationError):
        WatchStatistics.model_validate({"type": "watch_statistics"})


@pytest.mark.parametrize("every_s", [1, 1.5, 60, None])
def test_statistics_may_be_asked_for_at_any_interval_between_or_not_at_all(every_s):
    message = {"type": "watch_statistics", "every_s": every_s}
    assert validate(message, CLIENT_MESSAGES).every_s == every_s


def test_filter_strengths_are_limited_in_number_and_name():
    SetFilter(params={f"p{number}": 1 for number in range(64)})
    for params in ({f"p{number}": 1 for number in range(65)}, {"": 1}, {"a" * 65: 1}):
        with pytest.raises(ValidationError):
            SetFilter(params=params)


def test_absent_optional_fields_are_not_written_and_null_is_read_as_absent():
    join = Join(version=1, room="r", role="viewer")
    assert json.loads(encode(join)) == {
        "type": "join",
        "version": 1,
        "room": "r",
        "role": "viewer",
    }
    nulls = {"id": None, "name": None, "resume": None}
    assert Join.model_validate(PLAIN_REQUESTS["join"] | nulls).resume is None


def test_a_none_that_means_something_is_written_as_null():
    joined = Joined(
        room="r",
        peer="p",
        role="viewer",
        resume=None,
        grace_s=10.0,
        state="waiting",
        publishing=False,
        viewers=1,
        filter=FILTER,
    )
    assert json.loads(encode(joined)) == {
        "type": "joined",
        "version": 1,
        "room": "r",
        "peer": "p",
        "role": "viewer",
        "resume": None,
        "grace_s": 10.0,
        "state": "waiting",
        "publishing": False,
        "viewers": 1,
        "filter": {
            "state": "off",
            "enabled": False,
            "params": {"smooth": 0, "brighten": 0},
            "consent": False,
            "reason": None,
        },
    }
    assert json.loads(encode(PeerJoined(peer="p", role="viewer", name=None)))["name"] is None


def test_messages_are_frozen():
    message = FilterChanged(filter=FILTER)
    with pytest.raises(ValidationError, match="frozen"):
        message.reply_to = "1"


def test_secrets_and_session_descriptions_stay_out_of_repr():
    join = Join(version=1, room="r", role="host", resume="s3cret")
    assert "s3cret" not in f"{join!r} {join}"
    publish = Publish(sdp="v=0 192.0.2.1")
    assert "192.0.2.1" not in f"{publish!r} {publish}"


def test_no_message_has_a_place_for_anything_of_a_face():
    words = ("landmark", "face", "mesh", "box", "point", "x", "y", "count")
    for model in (*CLIENT_MESSAGES.values(), *SERVER_MESSAGES.values(), type(FILTER)):
        for field in model.model_fields:
            assert field not in words
