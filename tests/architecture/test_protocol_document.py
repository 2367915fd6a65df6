"""signaling/PROTOCOL.md and the code say the same, in both directions."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from mediasrv.http.outbox import OUTBOX_MESSAGES
from mediasrv.rooms import RoomLimits
from mediasrv.statistics import PEERS_MAX
from signaling.codec import parse_object, validate
from signaling.errors import ERROR_RULES, ErrorCode
from signaling.figures import (
    ForwardDelay,
    ReceivedFigures,
    SentFigures,
    TrackFigures,
    ViewerFigures,
)
from signaling.limits import PROTOCOL_VERSION, Limits
from signaling.messages import (
    CLIENT_MESSAGES,
    SDP_BYTES,
    SERVER_MESSAGES,
    STATISTICS_EVERY_MAX_S,
    STATISTICS_EVERY_MIN_S,
    FilterView,
)
from signaling.states import CLIENT_MOVES, REFUSED, REPLIES, SERVER_MOVES, State

TEXT = (Path(__file__).resolve().parents[2] / "signaling" / "PROTOCOL.md").read_text("utf-8")

# Explained once for all messages, under "Messages".
COMMON_FIELDS = {"type", "id", "reply_to"}

EXAMPLE = re.compile(r"```json\n(.*?)```", re.DOTALL)


def section(title: str) -> str:
    """The text under a second-level heading."""
    match = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert match is not None, title
    return match[1]


def subsections(text: str) -> dict[str, str]:
    """Heading to text of every message described in a section."""
    return dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^### |\Z)", text, re.DOTALL | re.MULTILINE))


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading."""
    match = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\n((?:\|.*\n)*)", text, re.MULTILINE)
    if match is None:
        return []
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in match[1].splitlines()]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


SECTIONS = {
    "Client messages": CLIENT_MESSAGES,
    "Server messages": SERVER_MESSAGES,
}
MESSAGES = [(title, name) for title, models in SECTIONS.items() for name in models]


@pytest.mark.parametrize("title", SECTIONS)
def test_every_message_is_described_once_and_nothing_else_is(title):
    headings = re.findall(r"^### `(\w+)`$", section(title), re.MULTILINE)
    assert headings == list(SECTIONS[title])


@pytest.mark.parametrize(("title", "name"), MESSAGES)
def test_every_message_has_an_example_of_itself_that_validates(title, name):
    examples = EXAMPLE.findall(subsections(section(title))[name])
    assert examples
    for example in examples:
        message = validate(parse_object(example, Limits()), SECTIONS[title])
        assert message.type == name
        unknown = json.loads(example).keys() - type(message).model_fields.keys()
        assert not unknown


def test_there_is_no_example_outside_the_description_of_a_message():
    described = sum(
        len(EXAMPLE.findall(text))
        for title in SECTIONS
        for text in subsections(section(title)).values()
    )
    assert len(EXAMPLE.findall(TEXT)) == described


@pytest.mark.parametrize(("title", "name"), MESSAGES)
def test_every_field_is_listed_and_only_those(title, name):
    fields = [quoted(row[0])[0] for row in rows(subsections(section(title))[name], "field")]
    expected = [f for f in SECTIONS[title][name].model_fields if f not in COMMON_FIELDS]
    assert fields == expected


@pytest.mark.parametrize("name", CLIENT_MESSAGES)
def test_a_field_that_may_be_left_out_is_called_optional(name):
    for field, kind, _ in rows(subsections(section("Client messages"))[name], "field"):
        required = CLIENT_MESSAGES[name].model_fields[quoted(field)[0]].is_required()
        assert ("optional" in kind) is not required


@pytest.mark.parametrize(("title", "name"), MESSAGES)
def test_every_value_of_a_choice_is_named(title, name):
    description = EXAMPLE.sub("", subsections(section(title))[name])
    for value in choices(SECTIONS[title][name]):
        assert f'"{value}"' in description


def choices(model: type[BaseModel]) -> set[str]:
    """The strings that a model's JSON schema lists as the only ones, FilterView's apart."""
    return {
        value
        for field in model.model_json_schema()["properties"].values()
        for value in field.get("enum", [])
    }


PARTS = {
    ("filter_changed", "field of a filter"): FilterView,
    ("statistics", "field of a track"): TrackFigures,
    ("statistics", "field of received"): ReceivedFigures,
    ("statistics", "field of sent"): SentFigures,
    ("statistics", "field of a peer"): ViewerFigures,
}


@pytest.mark.parametrize(("name", "heading"), PARTS)
def test_a_part_of_a_message_is_described_field_by_field_and_choice_by_choice(name, heading):
    description = subsections(section("Server messages"))[name]
    model = PARTS[name, heading]
    assert [quoted(row[0])[0] for row in rows(description, heading)] == list(model.model_fields)
    assert all(f'"{choice}"' in EXAMPLE.sub("", description) for choice in choices(model))


def test_the_limits_of_statistics_are_those_of_the_code():
    assert f"{STATISTICS_EVERY_MIN_S:g} to {STATISTICS_EVERY_MAX_S:g}" in TEXT
    assert f"of more than {PEERS_MAX} those" in TEXT
    assert all(f"`{name}`" in TEXT for name in ForwardDelay.model_fields)


@pytest.mark.parametrize("name", CLIENT_MESSAGES)
def test_every_request_names_its_reply_and_the_reply_its_request(name):
    assert f"`{REPLIES[name]}`" in subsections(section("Client messages"))[name]
    assert f"eply to `{name}`" in subsections(section("Server messages"))[REPLIES[name]]


def test_every_error_code_is_listed_with_what_follows_from_it():
    listed = [
        (quoted(code)[0], close, status, retry)
        for code, close, status, retry, _ in rows(section("Error codes"), "code")
    ]
    assert listed == [
        (
            code.value,
            str(ERROR_RULES[code].close_code or ""),
            str(ERROR_RULES[code].http_status),
            "yes" if ERROR_RULES[code].retryable else "no",
        )
        for code in ErrorCode
    ]
    assert all(row[4] for row in rows(section("Error codes"), "code"))


def test_the_table_of_states_is_the_table_of_the_code():
    listed = {
        quoted(state)[0]: (quoted(client), quoted(server))
        for state, client, server in rows(section("States"), "state")
    }
    for state in State:
        if state is State.CLOSED:
            continue
        server = [move.split()[0] for move in SERVER_MOVES[state] if move != REFUSED]
        expected = (list(CLIENT_MOVES[state]), list(dict.fromkeys(server)))
        assert listed.pop(state) == expected
    assert not listed


def test_every_limit_has_the_value_of_the_code():
    limits = Limits()
    listed = [
        (value, quoted(code)[0]) for _, value, code in rows(section("The connection"), "limit")
    ]
    assert listed == [
        (str(limits.message_bytes), ErrorCode.TOO_LARGE),
        (str(limits.nesting), ErrorCode.BAD_JSON),
        (f"{limits.join_timeout_s:g}", ErrorCode.JOIN_TIMEOUT),
        (str(limits.burst), ErrorCode.RATE_LIMITED),
        (f"{limits.rate_hz:g}", ErrorCode.RATE_LIMITED),
        (str(limits.strikes), ErrorCode.TOO_MANY_ERRORS),
        (str(limits.floods), ErrorCode.TOO_MANY_ERRORS),
    ]
    assert f"within {limits.strike_window_s:g} seconds" in section("The connection")
    assert f"up to {SDP_BYTES} bytes" in TEXT


def test_what_the_server_adds_of_its_own_is_told_with_the_right_numbers():
    assert f"When {OUTBOX_MESSAGES} messages wait" in TEXT
    assert f"as many as {RoomLimits().announced_viewers} viewers" in TEXT
    assert "at most once a second" in TEXT
    assert RoomLimits().count_interval_s == 1.0


def test_every_quoted_word_that_looks_like_a_name_exists():
    known = {
        *CLIENT_MESSAGES,
        *SERVER_MESSAGES,
        *ErrorCode,
        *State,
        *(field for model in CLIENT_MESSAGES.values() for field in model.model_fields),
        *(field for model in SERVER_MESSAGES.values() for field in model.model_fields),
        *(field for model in PARTS.values() for field in model.model_fields),
        *(value for model in SERVER_MESSAGES.values() for value in choices(model)),
        *(value for model in PARTS.values() for value in choices(model)),
        *("smooth", "brighten", "sendonly", "recvonly", "true", "null"),
    }
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    names = {name.strip('"') for name in quoted(prose) if re.fullmatch(r'"?[a-z_]{2,}"?', name)}
    assert names <= known


def test_the_document_is_of_this_version():
    assert TEXT.startswith(f"# Signalling protocol, version {PROTOCOL_VERSION}\n")
