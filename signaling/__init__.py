"""Who may talk, in what order, in what words: signalling between clients and the media server.

Sans-IO: nothing here opens a socket or reads a clock. PROTOCOL.md is the specification.
"""

from signaling.client import Answer, ClientProtocol, error_from
from signaling.codec import encode
from signaling.errors import (
    ERROR_RULES,
    Close,
    ErrorCode,
    ErrorRule,
    Overloaded,
    PeerProtocolError,
    Refused,
    SignalingError,
    error_of,
)
from signaling.limits import PROTOCOL_VERSION, Limits
from signaling.server import Outbox, ServerProtocol
from signaling.states import State

__all__ = [
    "ERROR_RULES",
    "PROTOCOL_VERSION",
    "Answer",
    "ClientProtocol",
    "Close",
    "ErrorCode",
    "ErrorRule",
    "Limits",
    "Outbox",
    "Overloaded",
    "PeerProtocolError",
    "Refused",
    "ServerProtocol",
    "SignalingError",
    "State",
    "encode",
    "error_from",
    "error_of",
]
