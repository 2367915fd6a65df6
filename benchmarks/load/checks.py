"""The controlling side of ICE in two functions: write a check, read what comes back.

The server's own codec (mediasrv.transport.stun) reads requests and writes answers only.
"""

import hmac
import secrets
import struct
import zlib
from hashlib import sha1

from mediasrv.transport.stun import (
    BINDING_REQUEST,
    BINDING_SUCCESS,
    FINGERPRINT,
    FINGERPRINT_XOR,
    HEADER_BYTES,
    MAGIC_COOKIE,
    MESSAGE_INTEGRITY,
    USE_CANDIDATE,
    USERNAME,
)

ICE_CONTROLLING = 0x802A
PRIORITY = 0x0024
# RFC 8445 section 5.1.2.1, of a peer-reflexive candidate.
PRIORITY_VALUE = (110 << 24) + (65535 << 8) + 255

_HEADER = struct.Struct("!HHI12s")


def write_check(username: str, password: bytes, tie_breaker: int) -> bytes:
    """Write a binding request that controls and nominates.

    Args:
        username: ``"theirs:ours"``.
        password: Theirs.
        tie_breaker: 64 random bits of the session.
    """
    attributes = (
        _attribute(USERNAME, username.encode())
        + _attribute(PRIORITY, PRIORITY_VALUE.to_bytes(4, "big"))
        + _attribute(ICE_CONTROLLING, tie_breaker.to_bytes(8, "big"))
        + _attribute(USE_CANDIDATE, b"")
    )
    header = _HEADER.pack(
        BINDING_REQUEST, len(attributes) + 24, MAGIC_COOKIE, secrets.token_bytes(12)
    )
    body = header + attributes
    body += _attribute(MESSAGE_INTEGRITY, hmac.digest(password, body, sha1))
    body = body[:2] + (len(body) - HEADER_BYTES + 8).to_bytes(2, "big") + body[4:]
    return body + _attribute(FINGERPRINT, (zlib.crc32(body) ^ FINGERPRINT_XOR).to_bytes(4, "big"))


def is_success(datagram: bytes) -> bool:
    """Tell whether this is the answer to a check that passed."""
    return len(datagram) >= HEADER_BYTES and datagram[:2] == BINDING_SUCCESS.to_bytes(2, "big")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)
