"""One text frame to one message and back, with every limit enforced on the way in."""

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from signaling.errors import ErrorCode, PeerProtocolError
from signaling.limits import PROTOCOL_VERSION, Limits
from signaling.messages import ClientMessage, RequestId, ServerMessage

JsonObject: TypeAlias = dict[str, object]

_Message = TypeVar("_Message", bound=BaseModel)

_REQUEST_ID: TypeAdapter[str] = TypeAdapter(RequestId)

# An unknown field's name comes from the peer, and error texts, which are also logged, repeat
# nothing of it at length and no character that would break a line.
_PLACE_CHARACTERS = 48


def encode(message: ClientMessage | ServerMessage) -> str:
    """Write a message as one line of JSON text."""
    return message.model_dump_json()


def parse_object(frame: str | bytes, limits: Limits) -> JsonObject:
    """Read a frame as a JSON object, without looking at its meaning.

    Costs at most a few milliseconds whatever the frame holds: size is checked first, and the
    parser gives up at its own nesting limit (200) long before a stack could overflow.

    Raises:
        PeerProtocolError: ``binary_frame``, ``too_large`` or ``bad_json``.
    """
    if not isinstance(frame, str):
        raise PeerProtocolError(ErrorCode.BINARY_FRAME, "messages are text frames")
    try:
        octets = frame.encode()
    except UnicodeEncodeError as error:
        raise PeerProtocolError(ErrorCode.BAD_JSON, "the text is not Unicode") from error
    if len(octets) > limits.message_bytes:
        raise PeerProtocolError(
            ErrorCode.TOO_LARGE, f"a message has at most {limits.message_bytes} bytes"
        )
    try:
        value = from_json(octets, allow_inf_nan=False)
    except ValueError as error:
        raise PeerProtocolError(ErrorCode.BAD_JSON, "the message is not JSON") from error
    if not isinstance(value, dict):
        raise PeerProtocolError(ErrorCode.BAD_JSON, "the message is not a JSON object")
    if _is_deeper_than(value, limits.nesting):
        raise PeerProtocolError(ErrorCode.BAD_JSON, f"nested deeper than {limits.nesting}")
    return value


def request_id(fields: JsonObject) -> str | None:
    """Find the id that an answer to this message must repeat, if the message has a valid one."""
    try:
        return _REQUEST_ID.validate_python(fields.get("id"), strict=True)
    except ValidationError:
        return None


def validate(fields: JsonObject, models: Mapping[str, type[_Message]]) -> _Message:
    """Turn a JSON object into the message that its ``type`` names.

    Raises:
        PeerProtocolError: ``bad_message``, ``unknown_type`` or ``unsupported_version``.
    """
    name = fields.get("type")
    if not isinstance(name, str):
        raise PeerProtocolError(ErrorCode.BAD_MESSAGE, "type: a string is required")
    model = models.get(name)
    if model is None:
        raise PeerProtocolError(ErrorCode.UNKNOWN_TYPE, "there is no message of this type")
    if "version" in model.model_fields:
        _check_version(fields)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise PeerProtocolError(ErrorCode.BAD_MESSAGE, _first_fault(error)) from error


def _check_version(fields: JsonObject) -> None:
    # Before validation: another version may have other fields, and deserves the better answer.
    version = fields.get("version", PROTOCOL_VERSION)
    if type(version) is int and version != PROTOCOL_VERSION:
        raise PeerProtocolError(
            ErrorCode.UNSUPPORTED_VERSION, f"this is version {PROTOCOL_VERSION}"
        )


def _is_deeper_than(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        children = list(value.values())
    elif isinstance(value, list):
        children = value
    else:
        return False
    return levels == 0 or any(_is_deeper_than(child, levels - 1) for child in children)


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in fault["loc"])[:_PLACE_CHARACTERS]
    printable = "".join(character if character.isprintable() else "?" for character in place)
    return f"{printable}: {fault['msg']}"
