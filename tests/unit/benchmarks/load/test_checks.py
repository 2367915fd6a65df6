from benchmarks.load.checks import is_success, write_check
from mediasrv.transport.stun import parse_binding_request, write_binding_success


def test_the_servers_parser_takes_a_check_for_a_nomination_signed_with_its_password():
    request = parse_binding_request(write_check("theirs:ours", b"secret", 7))
    assert request.username == "theirs:ours"
    assert request.nominates
    assert not request.controlled
    assert request.signed_with(b"secret")
    assert not request.signed_with(b"other")


def test_checks_differ():
    assert write_check("a:b", b"c", 1) != write_check("a:b", b"c", 1)


def test_only_an_answer_counts_as_success():
    check = write_check("a:b", b"c", 1)
    assert not is_success(check)
    assert not is_success(b"\x01\x01")
    assert is_success(write_binding_success(bytes(12), ("127.0.0.1", 1), b"c"))
