"""STUN, with aioice's implementation and RFC 5769 as oracles."""

import struct

import pytest
from aioice import stun as oracle

from mediasrv.transport.stun import (
    ATTRIBUTES_MAX,
    BindingRequest,
    StunRefused,
    parse_binding_request,
    write_binding_success,
    write_role_conflict,
)
from tests.hostile import mutate_stun, mutations, short_id

PASSWORD = "0123456789abcdef0123456789abcdef"
KEY = PASSWORD.encode()
TRANSACTION = bytes(range(12))

# RFC 5769 section 2.1; its padding is blanks, not zeros.
RFC_5769_REQUEST = bytes.fromhex(
    "00010058 2112a442 b7e7a701 bc34d686 fa87dfae"
    "80220010 5354554e 20746573 7420636c 69656e74"
    "00240004 6e0001ff 80290008 932ff9b1 51263b36"
    "00060009 6576746a 3a683676 59202020"
    "00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2"
    "80280004 e57a3bcf"
)
RFC_5769_PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
RFC_5769_TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")


def request(
    username: str = "ours:theirs", *, password: str = PASSWORD, nominates: bool = False
) -> oracle.Message:
    message = oracle.Message(oracle.Method.BINDING, oracle.Class.REQUEST, TRANSACTION)
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 1853824767
    message.attributes["ICE-CONTROLLING"] = 7
    if nominates:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return message


def raw(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return struct.pack("!HHI", kind, size, 0x2112A442) + TRANSACTION + body


def attribute(number: int, value: bytes) -> bytes:
    return struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4)


# Requests.


def test_a_request_of_aioice_is_read():
    found = parse_binding_request(bytes(request(nominates=True)))
    assert found.transaction_id == TRANSACTION
    assert (found.username, found.local_fragment) == ("ours:theirs", "ours")
    assert found.nominates
    assert not found.controlled
    assert found.signed_with(KEY)
    assert not found.signed_with(KEY[:-1])
    assert not found.signed_with(b"")


def test_the_request_of_rfc_5769_is_read():
    found = parse_binding_request(RFC_5769_REQUEST)
    assert found.transaction_id == RFC_5769_TRANSACTION
    assert found.username == "evtj:h6vY"
    assert found.controlled
    assert not found.nominates
    assert found.signed_with(RFC_5769_PASSWORD)
    assert not found.signed_with(KEY)


def test_a_request_may_lack_everything_but_its_header():
    found = parse_binding_request(raw(0x0001, b""))
    assert found == BindingRequest(TRANSACTION, "", False, False, None, raw(0x0001, b""))
    assert found.local_fragment == ""
    assert not found.signed_with(KEY)


def test_what_follows_the_signature_is_not_believed():
    signed = request("ours:theirs")
    del signed.attributes["FINGERPRINT"]
    late = (
        attribute(0x0006, b"somebody:else") + attribute(0x0025, b"") + attribute(0x8029, bytes(8))
    )
    body = bytes(signed)[20:]
    found = parse_binding_request(raw(0x0001, body + late))
    assert found.username == "ours:theirs"
    assert not found.nominates
    assert not found.controlled
    # The signature covers a length that ends at itself, so it still holds.
    assert found.signed_with(KEY)


def test_a_second_signature_does_not_replace_the_first():
    signed = request()
    del signed.attributes["FINGERPRINT"]
    forged = bytes(signed)[20:] + attribute(0x0008, bytes(20))
    assert parse_binding_request(raw(0x0001, forged)).signed_with(KEY)


def test_one_changed_bit_breaks_the_signature():
    signed = request()
    del signed.attributes["FINGERPRINT"]
    good = bytes(signed)
    for at in range(8, len(good)):
        bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        try:
            assert not parse_binding_request(bad).signed_with(KEY), at
        except StunRefused:
            continue


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (b"", "shorter than a STUN header"),
        (bytes(19), "shorter than a STUN header"),
        (bytes(20), "not a STUN message"),
        (raw(0x0001, b"", length=4), "not a STUN message"),
        (raw(0x0001, bytes(3)), "not a STUN message"),
        (raw(0x0011, b""), "not a binding request"),
        (raw(0x0101, b""), "not a binding request"),
        (raw(0x0003, b""), "not a binding request"),
        (raw(0x0001, struct.pack("!HH", 6, 1)), "runs past the end"),
        (raw(0x0001, struct.pack("!HH", 6, 0xFFFF) + bytes(8)), "runs past the end"),
        (raw(0x0001, attribute(0x7000, b"") * (ATTRIBUTES_MAX + 1)), "too many"),
        (raw(0x0001, attribute(0x0006, b"a" * 513)), "USERNAME too long"),
        (raw(0x0001, attribute(0x0006, b"\xff\xfe")), "not UTF-8"),
        (raw(0x0001, attribute(0x0008, bytes(19))), "MESSAGE-INTEGRITY of a wrong size"),
        (raw(0x0001, attribute(0x8028, bytes(4))), "FINGERPRINT does not match"),
        (raw(0x0001, attribute(0x8028, bytes(5))), "FINGERPRINT is not the last"),
        (raw(0x0001, attribute(0x8028, bytes(4)) + attribute(0x0025, b"")), "not the last"),
    ],
    ids=short_id,
)
def test_what_is_wrong_is_refused(datagram, why):
    with pytest.raises(StunRefused, match=why):
        parse_binding_request(datagram)


def test_names_and_attributes_at_their_limits_are_read():
    body = attribute(0x0006, b"a" * 512) + attribute(0x7000, b"") * (ATTRIBUTES_MAX - 1)
    assert len(parse_binding_request(raw(0x0001, body)).username) == 512


def test_an_empty_priority_is_of_no_interest():
    # 24 bytes that make aioice raise struct.error out of its protocol callback.
    empty = raw(0x0001, attribute(0x0024, b""))
    with pytest.raises(struct.error):
        oracle.parse_message(empty)
    assert not parse_binding_request(empty).signed_with(KEY)


def test_hostile_requests_raise_nothing_but_refusals():
    valid = [bytes(request()), bytes(request(nominates=True)), RFC_5769_REQUEST]
    refused = signed = 0
    for mutant in mutations(4000, 1, valid, mutate_stun):
        try:
            found = parse_binding_request(mutant)
        except StunRefused:
            refused += 1
        else:
            signed += found.signed_with(KEY)
    assert refused > 2500
    # Attributes may be added behind the signature; nothing that it covers may change.
    assert signed < 400


# Answers.


@pytest.mark.parametrize(
    "source",
    [
        ("192.0.2.1", 32853),
        ("255.255.255.255", 65535),
        ("0.0.0.0", 0),  # noqa: S104 (written, not bound)
        ("2001:db8:1234:5678:11:2233:4455:6677", 32853),
        ("::1", 1),
        ("::ffff:c000:201", 9),
    ],
)
def test_an_answer_is_read_by_aioice(source):
    found = oracle.parse_message(write_binding_success(TRANSACTION, source, KEY))
    assert found.message_class is oracle.Class.RESPONSE
    assert found.message_method is oracle.Method.BINDING
    assert found.transaction_id == TRANSACTION
    assert found.attributes["XOR-MAPPED-ADDRESS"] == source
    assert found.check_message_integrity(KEY)
    assert not found.check_message_integrity(b"wrong")
    assert list(found.attributes) == ["XOR-MAPPED-ADDRESS", "MESSAGE-INTEGRITY", "FINGERPRINT"]


@pytest.mark.parametrize(
    ("source", "encoded"),
    [
        (("192.0.2.1", 32853), "00200008 0001a147 e112a643"),
        (
            ("2001:db8:1234:5678:11:2233:4455:6677", 32853),
            "00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9",
        ),
    ],
)
def test_an_address_is_hidden_as_rfc_5769_says(source, encoded):
    answer = write_binding_success(RFC_5769_TRANSACTION, source, RFC_5769_PASSWORD)
    assert bytes.fromhex(encoded) in answer


def test_the_scope_of_an_address_is_not_sent():
    found = oracle.parse_message(write_binding_success(TRANSACTION, ("fe80::1%eth0", 5), KEY))
    assert found.attributes["XOR-MAPPED-ADDRESS"] == ("fe80::1", 5)


def test_a_role_conflict_is_read_by_aioice():
    found = oracle.parse_message(write_role_conflict(TRANSACTION, KEY))
    assert found.message_class is oracle.Class.ERROR
    assert found.error_code == 487
    assert found.attributes["ERROR-CODE"] == (487, "Role Conflict")
    assert found.check_message_integrity(KEY)
