"""Seeded hostile input: what may arrive that no honest peer would send."""

import hmac
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

DATAGRAM_MAX_BYTES = 1600

# Numbers at which parsers count, shift, allocate or wrap.
ODD_NUMBERS = (
    "-1", "0", "1", "127", "128", "255", "256", "65535", "65536", "4294967295", "4294967296",
    "18446744073709551616", "9" * 400, "0x10", "1e9", "1_0", "+5", "", "NaN", "\u0664\u0662",
)  # fmt: skip
ODD_TEXTS = (
    "", " ", "\x00", "\t", "\x7f", "\x85", "\u2028", "\r", "\n", "\r\n", "\ufeff", "\ud800",
    "\U0001f600", "%s%n", "../../..", "'\"`;--", "a=", "m=", "=", ":", "/", "*", "A" * 3000,
)  # fmt: skip


def short_id(value: object) -> str:
    """Name a parameter of a test by what can be read of it."""
    return value if isinstance(value, str) and 0 < len(value) < 40 else "input"


def mutations(
    count: int, seed: int, valid: Sequence[T], mutate: Callable[[Random, T], T]
) -> Iterator[T]:
    """Yield ``count`` mutations of the valid inputs in turn, the same ones for the same seed."""
    rng = Random(seed)
    for i in range(count):
        mutant = valid[i % len(valid)]
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            mutant = mutate(rng, mutant)
        yield mutant


def mutate_bytes(rng: Random, valid: bytes) -> bytes:
    """Cut, grow, flip, overwrite or repeat a part of a datagram."""
    found = bytearray(valid)
    at = rng.randrange(len(found) + 1)
    kind = rng.randrange(6)
    if kind == 0:
        del found[at:]
    elif kind == 1:
        found += rng.randbytes(rng.randrange(64))
    elif kind == 2 and found:
        for _ in range(rng.randrange(1, 9)):
            found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    elif kind == 3:
        found[at : at + 4] = struct.pack("!I", rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF)))
    elif kind == 4:
        end = rng.randrange(at, len(found) + 1)
        found[at:at] = found[at:end]
    elif found:
        found[at:] = rng.randbytes(len(found) - at)
    return bytes(found[:DATAGRAM_MAX_BYTES])


def keeping_class(
    mutate: Callable[[Random, bytes], bytes], first_byte_range: range
) -> Callable[[Random, bytes], bytes]:
    """Keep a mutation's first byte in the range of its protocol, so that it reaches its parser."""

    def mutate_within(rng: Random, valid: bytes) -> bytes:
        mutant = mutate(rng, valid)
        if len(mutant) >= 8 and mutant[0] not in first_byte_range:
            return bytes([rng.choice(first_byte_range)]) + mutant[1:]
        return mutant

    return mutate_within


def mutate_stun(rng: Random, valid: bytes) -> bytes:
    """Break the attributes of a STUN message, or its bytes; half of the lengths are put right."""
    if rng.random() < 0.3 or len(valid) < 24:
        return mutate_bytes(rng, valid)
    attributes = _split_stun(valid)
    at = rng.randrange(len(attributes)) if attributes else 0
    kind = rng.randrange(6)
    if kind == 0 and attributes:
        attributes.insert(rng.randrange(len(attributes)), attributes[at])
    elif kind == 1 and attributes:
        del attributes[at]
    elif kind == 2 and attributes:
        attributes[at] = (attributes[at][0], rng.randbytes(rng.randrange(40)))
    elif kind == 3:
        attributes.insert(at, (0x0006, rng.randbytes(rng.choice((0, 1, 512, 513, 700)))))
    elif kind == 4:
        attributes.insert(at, (rng.randrange(0x10000), rng.randbytes(rng.randrange(9))))
    else:
        attributes += [(rng.randrange(0x10000), b"")] * rng.randrange(60)
    body = bytearray()
    for number, value in attributes:
        size = len(value) if rng.random() < 0.9 else rng.randrange(0x10000)
        body += struct.pack("!HH", number, size) + value + bytes(-len(value) % 4)
    size = len(body) if rng.random() < 0.8 else rng.randrange(0x10000)
    return valid[:2] + struct.pack("!H", size & 0xFFFF) + valid[4:20] + bytes(body)


def sign_stun(message: bytes, password: bytes) -> bytes:
    """Give a message, broken as it may be, a valid MESSAGE-INTEGRITY and FINGERPRINT."""

    def with_size(body: bytes, more: int) -> bytes:
        size = len(body) - 20 + more
        return body[:2] + struct.pack("!H", size & 0xFFFF) + body[4:]

    signature = hmac.digest(password, with_size(message, 24), "sha1")
    signed = with_size(message + struct.pack("!HH", 0x0008, 20) + signature, 8)
    return signed + struct.pack("!HHI", 0x8028, 4, zlib.crc32(signed) ^ 0x5354554E)


def _split_stun(message: bytes) -> list[tuple[int, bytes]]:
    found, offset = [], 20
    while offset + 4 <= len(message):
        number, size = struct.unpack_from("!HH", message, offset)
        found.append((number, message[offset + 4 : offset + 4 + size]))
        offset += 4 + size + (-size % 4)
    return found


def mutate_sdp(rng: Random, valid: str) -> str:
    """Break a session description by line, by word, by number or by character."""
    lines = valid.split("\r\n")
    at = rng.randrange(len(lines))
    kind = rng.randrange(9)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(rng.randrange(len(lines)), lines[at])
    elif kind == 2:
        lines[at : at + 1] = [lines[at]] * rng.choice((3, 40, 300))
    elif kind == 3:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 4:
        lines[at] = _odd_word(rng, lines[at])
    elif kind == 5:
        lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
    elif kind == 6:
        return "\r\n".join(lines)[: rng.randrange(len(valid) + 1)]
    elif kind == 7:
        cut = rng.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:cut] + rng.choice(ODD_TEXTS) + lines[at][cut:]
    else:
        lines[at] = lines[at].partition(":")[0]
    return "\r\n".join(lines)


def _odd_word(rng: Random, line: str) -> str:
    words = line.split(" ")
    words[rng.randrange(len(words))] = rng.choice(ODD_NUMBERS + ODD_TEXTS)
    return " ".join(words)


def mutate_json(rng: Random, valid: str) -> str:
    """Break a message of the signalling protocol: its text, or a field of it."""
    kind = rng.randrange(7)
    at = rng.randrange(len(valid) + 1)
    if kind == 0:
        return valid[:at]
    if kind == 1:
        return valid[:at] + rng.choice(ODD_TEXTS) + valid[at:]
    if kind == 2:
        return valid[:at] + rng.choice("[{") * rng.choice((1, 9, 2000)) + valid[at:]
    try:
        fields = json.loads(valid)
    except (ValueError, RecursionError):
        return valid[at:]
    if not isinstance(fields, dict) or not fields:
        return valid + valid
    name = rng.choice(list(fields))
    if kind == 3:
        del fields[name]
    elif kind == 4:
        fields[rng.choice(("id", "type", "extra", "sdp", "\x00"))] = _odd_value(rng)
    else:
        fields[name] = _odd_value(rng)
    return json.dumps(fields)


def _odd_value(rng: Random) -> Any:
    return rng.choice(
        (None, True, -1, 2**64, 1e308, [], {}, [[]], {"a": {"b": {}}}, *ODD_TEXTS, *ODD_NUMBERS)
    )
