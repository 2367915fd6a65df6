import json

import pytest

from signaling.codec import parse_object, request_id, validate
from signaling.errors import ErrorCode, PeerProtocolError
from signaling.limits import Limits
from signaling.messages import CLIENT_MESSAGES, SERVER_MESSAGES, Leave

LIMITS = Limits()


def code_of(call, *arguments) -> ErrorCode:
    with pytest.raises(PeerProtocolError) as raised:
        call(*arguments)
    return raised.value.code


@pytest.mark.parametrize("frame", [b"{}", b"", bytearray(b"{}")])
def test_a_binary_frame_is_refused_as_such(frame):
    assert code_of(parse_object, frame, LIMITS) is ErrorCode.BINARY_FRAME


def padded(octets: int, letter: str = "a") -> str:
    frame = json.dumps({"pad": ""})
    return frame.replace('""', '"' + letter * ((octets - len(frame)) // len(letter.encode())) + '"')


@pytest.mark.parametrize("letter", ["a", "é", "😀"])
def test_64_kib_of_utf_8_are_read_and_one_byte_more_is_too_large(letter):
    spare = (65536 - len(padded(0))) % len(letter.encode())
    frame = padded(65536 - spare, letter) + " " * spare
    assert len(frame.encode()) == 65536
    assert parse_object(frame, LIMITS)
    assert code_of(parse_object, frame + " ", LIMITS) is ErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    "frame",
    [
        "",
        " ",
        "x",
        "{",
        "}",
        "{}x",
        "\ufeff{}",
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": "\n"}',
        '{"a": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"a": "\\u12"}',
        '{"a": 01}',
        '{"a": ' + "1" * 5000 + "}",
        '"join"',
        "[]",
        "1",
        "null",
        "true",
        "\ud800",
        '{"a": "\udfff"}',
        "[" * 60000,
        '{"a":' * 10000,
        "[" * 30000 + "]" * 30000,
    ],
    ids=lambda frame: ascii(frame[:20]),
)
def test_what_is_not_a_json_object_is_bad_json(frame):
    assert code_of(parse_object, frame, LIMITS) is ErrorCode.BAD_JSON


def nested(levels: int) -> str:
    return '{"a":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


def test_eight_levels_are_read_and_nine_are_bad_json():
    assert parse_object(nested(8), LIMITS)
    assert code_of(parse_object, nested(9), LIMITS) is ErrorCode.BAD_JSON
    assert parse_object('{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}', LIMITS)


def test_brackets_inside_a_string_nest_nothing():
    assert parse_object(json.dumps({"sdp": "[" * 60000}), LIMITS)


@pytest.mark.parametrize("value", ["", "7", "x" * 64])
def test_a_valid_id_is_found_even_in_an_invalid_message(value):
    assert request_id({"id": value, "type": 5}) == value


@pytest.mark.parametrize("value", [None, 7, "x" * 65, ["7"], {}])
def test_an_invalid_id_is_not_repeated(value):
    assert request_id({"id": value}) is None
    assert request_id({}) is None


@pytest.mark.parametrize("fields", [{}, {"type": None}, {"type": 1}, {"type": ["join"]}])
def test_a_message_without_a_type_is_bad(fields):
    assert code_of(validate, fields, CLIENT_MESSAGES) is ErrorCode.BAD_MESSAGE


@pytest.mark.parametrize("name", ["", "JOIN", "join ", "joined", "__class__", "\x00"])
def test_a_type_that_clients_do_not_send_is_unknown(name):
    assert code_of(validate, {"type": name}, CLIENT_MESSAGES) is ErrorCode.UNKNOWN_TYPE


@pytest.mark.parametrize("version", [0, 2, -1, 10**30])
def test_another_version_is_told_so_whatever_else_it_brings(version):
    fields = {"type": "join", "version": version, "room": 5, "colour": "red"}
    assert code_of(validate, fields, CLIENT_MESSAGES) is ErrorCode.UNSUPPORTED_VERSION
    fields = {"type": "joined", "version": version}
    assert code_of(validate, fields, SERVER_MESSAGES) is ErrorCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize("version", [True, False, "1", 1.0, 2.0, None])
def test_a_version_that_is_no_integer_is_a_bad_message(version):
    fields = {"type": "join", "version": version, "room": "r", "role": "host"}
    assert code_of(validate, fields, CLIENT_MESSAGES) is ErrorCode.BAD_MESSAGE


def test_a_version_where_none_belongs_is_a_bad_message():
    assert code_of(validate, {"type": "leave", "version": 2}, CLIENT_MESSAGES) is (
        ErrorCode.BAD_MESSAGE
    )


def test_the_error_text_names_the_field_at_fault():
    with pytest.raises(PeerProtocolError, match="sdp: Field required"):
        validate({"type": "publish"}, CLIENT_MESSAGES)
    with pytest.raises(PeerProtocolError) as raised:
        validate({"type": "set_filter", "params": {"smooth": "x"}}, CLIENT_MESSAGES)
    assert raised.value.text == "params.smooth: Input should be a valid integer"


def test_the_error_text_repeats_no_value_and_little_of_a_name():
    fields = {"type": "join", "version": 1, "room": "S3CRET!", "role": "host"}
    with pytest.raises(PeerProtocolError) as raised:
        validate(fields, CLIENT_MESSAGES)
    assert "S3CRET" not in str(raised.value)
    with pytest.raises(PeerProtocolError) as raised:
        validate({"type": "leave", "a\nb\x1b" + "c" * 60000: 1}, CLIENT_MESSAGES)
    assert len(raised.value.text) < 120
    assert raised.value.text.startswith("a?b?ccc")


def test_a_valid_message_is_read():
    assert validate({"type": "leave", "id": "1"}, CLIENT_MESSAGES) == Leave(id="1")
