"""Read STUN binding requests and write their answers (RFC 8489), nothing else.

A server that is ICE-lite never sends a request, so this is all the STUN it needs. Hostile input
raises only :class:`StunRefused`.
"""

import hmac
import ipaddress
import struct
import zlib
from dataclasses import dataclass
from hashlib import sha1

MAGIC_COOKIE = 0x2112A442
HEADER_BYTES = 20

BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111

USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
XOR_MAPPED_ADDRESS = 0x0020
USE_CANDIDATE = 0x0025
FINGERPRINT = 0x8028
ICE_CONTROLLED = 0x8029

# RFC 8489 section 14.7: the CRC is XOR-ed so that it never equals another protocol's CRC-32.
FINGERPRINT_XOR = 0x5354554E
INTEGRITY_BYTES = 20
USERNAME_MAX_BYTES = 513  # RFC 8489 section 14.3: fewer than 513 bytes
ATTRIBUTES_MAX = 32  # ours: a browser's check carries seven

_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")


class StunRefused(Exception):
    """The datagram is no STUN message that an ICE-lite server answers."""


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """One connectivity or consent check.

    Attributes:
        transaction_id: 12 bytes, echoed in the answer.
        username: ``"ours:theirs"``, empty when absent.
        nominates: True when the peer carries USE-CANDIDATE.
        controlled: True when the peer believes that we control (a role conflict, RFC 8445 7.3.1.1).
        integrity_offset: Where MESSAGE-INTEGRITY starts in ``raw``, or None when unsigned.
        raw: The datagram as it came.
    """

    transaction_id: bytes
    username: str
    nominates: bool
    controlled: bool
    integrity_offset: int | None
    raw: bytes

    @property
    def local_fragment(self) -> str:
        """The part of the username that names our session."""
        return self.username.partition(":")[0]

    def signed_with(self, password: bytes) -> bool:
        """Tell whether MESSAGE-INTEGRITY was made with ``password`` (compared in constant time)."""
        start = self.integrity_offset
        if start is None:
            return False
        # The HMAC covers a header whose length ends at MESSAGE-INTEGRITY itself.
        signed_bytes = start + _ATTRIBUTE.size + INTEGRITY_BYTES - HEADER_BYTES
        covered = self.raw[:2] + signed_bytes.to_bytes(2, "big") + self.raw[4:start]
        expected = hmac.digest(password, covered, sha1)
        found = self.raw[start + 4 : start + 4 + INTEGRITY_BYTES]
        return hmac.compare_digest(expected, found)


def parse_binding_request(datagram: bytes) -> BindingRequest:
    """Read one binding request; the signature is checked later, when the session is known.

    Raises:
        StunRefused: Anything but a well-formed binding request.
    """
    if len(datagram) < HEADER_BYTES:
        raise StunRefused("shorter than a STUN header")
    kind, length, cookie, transaction_id = _HEADER.unpack_from(datagram)
    if cookie != MAGIC_COOKIE or length % 4 or HEADER_BYTES + length != len(datagram):
        raise StunRefused("not a STUN message")
    if kind != BINDING_REQUEST:
        raise StunRefused("not a binding request")
    username, nominates, controlled, integrity = "", False, False, None
    for attribute, value, offset in _attributes(datagram):
        if attribute == USERNAME:
            username = _username(value)
        elif attribute == USE_CANDIDATE:
            nominates = True
        elif attribute == ICE_CONTROLLED:
            controlled = True
        elif attribute == MESSAGE_INTEGRITY:
            if len(value) != INTEGRITY_BYTES:
                raise StunRefused("MESSAGE-INTEGRITY of a wrong size")
            integrity = offset
    return BindingRequest(transaction_id, username, nominates, controlled, integrity, datagram)


def _attributes(datagram: bytes) -> list[tuple[int, bytes, int]]:
    """Split into (type, value, offset); what follows MESSAGE-INTEGRITY is only FINGERPRINT."""
    found: list[tuple[int, bytes, int]] = []
    offset, signed = HEADER_BYTES, False
    while offset < len(datagram):
        attribute, size = _ATTRIBUTE.unpack_from(datagram, offset)
        end = offset + _ATTRIBUTE.size + size
        if end > len(datagram) or len(found) >= ATTRIBUTES_MAX:
            raise StunRefused("an attribute runs past the end, or too many of them")
        value = datagram[offset + _ATTRIBUTE.size : end]
        if attribute == FINGERPRINT:
            _check_fingerprint(datagram, offset, value)
        elif not signed:
            # RFC 8489 section 14.5: attributes after MESSAGE-INTEGRITY are ignored, unsigned.
            found.append((attribute, value, offset))
            signed = attribute == MESSAGE_INTEGRITY
        offset = end + (-size % 4)
    return found


def _check_fingerprint(datagram: bytes, offset: int, value: bytes) -> None:
    last = offset + _ATTRIBUTE.size + 4 == len(datagram)
    if not last or len(value) != 4:
        raise StunRefused("FINGERPRINT is not the last attribute")
    if int.from_bytes(value, "big") != zlib.crc32(datagram[:offset]) ^ FINGERPRINT_XOR:
        raise StunRefused("FINGERPRINT does not match")


def _username(value: bytes) -> str:
    if len(value) >= USERNAME_MAX_BYTES:
        raise StunRefused("USERNAME too long")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise StunRefused("USERNAME is not UTF-8") from exc


def write_binding_success(transaction_id: bytes, source: tuple[str, int], password: bytes) -> bytes:
    """Answer a check with the address it came from, signed with our password."""
    return _sign(
        BINDING_SUCCESS,
        transaction_id,
        _encode(XOR_MAPPED_ADDRESS, _xor_address(source, transaction_id)),
        password,
    )


def write_role_conflict(transaction_id: bytes, password: bytes) -> bytes:
    """Answer a peer that takes itself for the controlled side (487, RFC 8445 section 7.3.1.1)."""
    value = b"\x00\x00\x04\x57Role Conflict"
    return _sign(BINDING_ERROR, transaction_id, _encode(ERROR_CODE, value), password)


def _encode(attribute: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(attribute, len(value)) + value + bytes(-len(value) % 4)


def _xor_address(source: tuple[str, int], transaction_id: bytes) -> bytes:
    address = ipaddress.ip_address(source[0].partition("%")[0])
    mask = MAGIC_COOKIE.to_bytes(4, "big") + transaction_id
    family = 1 if address.version == 4 else 2
    port = source[1] ^ (MAGIC_COOKIE >> 16)
    packed = bytes(a ^ b for a, b in zip(address.packed, mask, strict=False))
    return struct.pack("!xBH", family, port) + packed


def _sign(kind: int, transaction_id: bytes, attributes: bytes, password: bytes) -> bytes:
    """Append MESSAGE-INTEGRITY and FINGERPRINT; each covers a header that ends at itself."""
    integrity_end = len(attributes) + 4 + INTEGRITY_BYTES
    body = _HEADER.pack(kind, integrity_end, MAGIC_COOKIE, transaction_id) + attributes
    body += _encode(MESSAGE_INTEGRITY, hmac.digest(password, body, sha1))
    body = body[:2] + (integrity_end + 8).to_bytes(2, "big") + body[4:]
    crc = zlib.crc32(body) ^ FINGERPRINT_XOR
    return body + _encode(FINGERPRINT, crc.to_bytes(4, "big"))
