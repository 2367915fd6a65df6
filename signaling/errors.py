"""Signalling errors, by who must act, and the one table of what each code means.

SignalingError
    PeerProtocolError   the other end broke the protocol; it must change its code
    Refused             the request is understood and declined; the connection goes on
    Overloaded          not now; the same request may succeed later
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

LogLevel = Literal["debug", "info", "warning", "error"]


class ErrorCode(StrEnum):
    """Codes of the ``error`` message. They are stable: clients branch on them."""

    BAD_JSON = "bad_json"
    BINARY_FRAME = "binary_frame"
    TOO_LARGE = "too_large"
    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    WRONG_ORDER = "wrong_order"
    TOO_MANY_ERRORS = "too_many_errors"
    JOIN_TIMEOUT = "join_timeout"
    ROOM_TAKEN = "room_taken"
    NOT_ALLOWED = "not_allowed"
    NOT_LIVE = "not_live"
    BAD_SDP = "bad_sdp"
    UNSUPPORTED_CODEC = "unsupported_codec"
    FILTER_UNAVAILABLE = "filter_unavailable"
    BAD_FILTER = "bad_filter"
    CONSENT_REQUIRED = "consent_required"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"


class SignalingError(Exception):
    """Something about one message or one connection is not as it must be.

    Attributes:
        code: The stable code.
        text: One sentence for a person. It never repeats what the peer sent.
        retry_after_s: When a retry makes sense, if that is known.
    """

    def __init__(self, code: ErrorCode, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.retry_after_s = retry_after_s


class PeerProtocolError(SignalingError):
    """The peer sent what the protocol does not allow."""


class Refused(SignalingError):
    """The request is declined; repeating it unchanged will not help, the connection goes on."""


class Overloaded(SignalingError):
    """There is no room for this now; the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class Close:
    """How a connection ends: a websocket close code (RFC 6455, 7.4) and a short reason."""

    code: int
    reason: str


# RFC 6455 section 7.4.1 and the IANA registry of websocket close codes.
NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What follows from one error code.

    Attributes:
        kind: The exception class that carries the code.
        close_code: The websocket close code that follows the error, or None to go on.
        http_status: The status when the same error answers an HTTP request.
        log_level: How loudly the server says it. Peers' mistakes are quiet: anyone can make them.
        retryable: True when the same request may succeed later.
    """

    kind: type[SignalingError]
    close_code: int | None
    http_status: int
    log_level: LogLevel
    retryable: bool


ERROR_RULES: Mapping[ErrorCode, ErrorRule] = MappingProxyType(
    {
        ErrorCode.BAD_JSON: ErrorRule(PeerProtocolError, 1007, 400, "info", False),
        ErrorCode.BINARY_FRAME: ErrorRule(PeerProtocolError, 1003, 415, "info", False),
        ErrorCode.TOO_LARGE: ErrorRule(PeerProtocolError, 1009, 413, "info", False),
        ErrorCode.BAD_MESSAGE: ErrorRule(PeerProtocolError, None, 400, "debug", False),
        ErrorCode.UNKNOWN_TYPE: ErrorRule(PeerProtocolError, None, 400, "debug", False),
        ErrorCode.UNSUPPORTED_VERSION: ErrorRule(PeerProtocolError, None, 400, "debug", False),
        ErrorCode.WRONG_ORDER: ErrorRule(PeerProtocolError, None, 409, "debug", False),
        ErrorCode.TOO_MANY_ERRORS: ErrorRule(PeerProtocolError, 1008, 429, "info", True),
        ErrorCode.JOIN_TIMEOUT: ErrorRule(PeerProtocolError, 1008, 408, "info", True),
        ErrorCode.ROOM_TAKEN: ErrorRule(Refused, None, 409, "debug", True),
        ErrorCode.NOT_ALLOWED: ErrorRule(Refused, None, 403, "debug", False),
        ErrorCode.NOT_LIVE: ErrorRule(Refused, None, 409, "debug", True),
        ErrorCode.BAD_SDP: ErrorRule(Refused, None, 400, "info", False),
        ErrorCode.UNSUPPORTED_CODEC: ErrorRule(Refused, None, 422, "info", False),
        ErrorCode.FILTER_UNAVAILABLE: ErrorRule(Refused, None, 503, "warning", True),
        ErrorCode.BAD_FILTER: ErrorRule(Refused, None, 422, "debug", False),
        ErrorCode.CONSENT_REQUIRED: ErrorRule(Refused, None, 403, "debug", False),
        ErrorCode.RATE_LIMITED: ErrorRule(Overloaded, None, 429, "debug", True),
        ErrorCode.OVERLOADED: ErrorRule(Overloaded, None, 503, "warning", True),
        ErrorCode.INTERNAL: ErrorRule(Refused, None, 500, "error", False),
    }
)


def error_of(code: ErrorCode, text: str, *, retry_after_s: float | None = None) -> SignalingError:
    """Build the exception of the class that the table names for ``code``."""
    return ERROR_RULES[code].kind(code, text, retry_after_s=retry_after_s)
