import re

import pytest
from aioice import stun as oracle

from mediasrv.transport.ice import (
    CONSENT_S,
    PATHS_MAX,
    CheckOutcome,
    IceCredentials,
    IceLiteAgent,
    Path,
)
from mediasrv.transport.stun import BindingRequest, parse_binding_request

CREDENTIALS = IceCredentials("0123456789abcdef", "0123456789abcdef0123456789abcdef")
HOME = Path(0, ("192.0.2.1", 5000))
AWAY = Path(0, ("198.51.100.1", 6000))
IPV6 = Path(1, ("2001:db8::1", 5000))


def agent() -> IceLiteAgent:
    return IceLiteAgent(CREDENTIALS, "theirs")


def check(
    *,
    username: str = "0123456789abcdef:theirs",
    password: str = CREDENTIALS.password,
    nominates: bool = False,
    controlled: bool = False,
) -> BindingRequest:
    message = oracle.Message(oracle.Method.BINDING, oracle.Class.REQUEST)
    message.attributes["USERNAME"] = username
    message.attributes["ICE-CONTROLLED" if controlled else "ICE-CONTROLLING"] = 7
    if nominates:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return parse_binding_request(bytes(message))


def answered(outcome: CheckOutcome) -> oracle.Message:
    answer = oracle.parse_message(outcome.response)
    assert answer.check_message_integrity(CREDENTIALS.password.encode())
    return answer


# Credentials.


def test_credentials_are_random_and_within_the_rules():
    drawn = [IceCredentials.generate() for _ in range(100)]
    assert len({c.fragment for c in drawn} | {c.password for c in drawn}) == 200
    for credentials in drawn:
        # RFC 8839 section 5.4: 4 to 256 and 22 to 256 ice-chars.
        assert re.fullmatch(r"[A-Za-z0-9+/]{4,256}", credentials.fragment)
        assert re.fullmatch(r"[A-Za-z0-9+/]{22,256}", credentials.password)


def test_a_check_for_this_session_is_accepted():
    assert agent().accepts(check())


@pytest.mark.parametrize(
    "request_",
    [
        check(username="somebody:theirs"),
        check(username="0123456789abcdef:else"),
        check(username="0123456789abcdef"),
        check(username="theirs:0123456789abcdef"),
        check(username=""),
        check(username="0123456789abcdef:theirs:more"),
        check(password="wrong"),
        check(password=""),
    ],
)
def test_any_other_check_is_not(request_):
    assert not agent().accepts(request_)


def test_an_unsigned_check_is_not_accepted():
    message = oracle.Message(oracle.Method.BINDING, oracle.Class.REQUEST)
    message.attributes["USERNAME"] = "0123456789abcdef:theirs"
    assert not agent().accepts(parse_binding_request(bytes(message)))


def test_without_a_fragment_in_the_offer_any_will_do():
    lenient = IceLiteAgent(CREDENTIALS)
    assert lenient.accepts(check(username="0123456789abcdef:whoever"))
    assert not lenient.accepts(check(username="somebody:whoever"))


# Paths.


def test_the_first_path_serves_before_any_is_nominated():
    ice = agent()
    outcome = ice.receive_check(check(), HOME, 0.0)
    assert (outcome.proven, outcome.forgotten) == (HOME, None)
    assert answered(outcome).attributes["XOR-MAPPED-ADDRESS"] == HOME.address
    ice.receive_check(check(), AWAY, 0.1)
    assert ice.selected == HOME
    assert ice.proven_paths == [HOME, AWAY]


def test_a_path_is_proven_once():
    ice = agent()
    ice.receive_check(check(), HOME, 0.0)
    again = ice.receive_check(check(), HOME, 0.1)
    assert again.proven is None
    assert answered(again).message_class is oracle.Class.RESPONSE


def test_the_latest_nominated_path_wins():
    ice = agent()
    for path, nominates, selected in [
        (HOME, False, HOME),
        (AWAY, True, AWAY),
        (HOME, False, AWAY),
        (IPV6, True, IPV6),
        (AWAY, True, AWAY),
    ]:
        ice.receive_check(check(nominates=nominates), path, 0.0)
        assert ice.selected == selected


def test_an_ipv6_peer_is_told_its_address():
    outcome = agent().receive_check(check(), IPV6, 0.0)
    assert answered(outcome).attributes["XOR-MAPPED-ADDRESS"] == IPV6.address


def test_the_same_address_behind_another_socket_is_another_path():
    ice = agent()
    ice.receive_check(check(), HOME, 0.0)
    assert not ice.is_proven(Path(1, HOME.address))


def test_a_peer_that_takes_us_for_the_controlling_side_proves_nothing():
    ice = agent()
    outcome = ice.receive_check(check(controlled=True, nominates=True), HOME, 0.0)
    assert answered(outcome).error_code == 487
    assert (outcome.proven, ice.selected, ice.proven_paths) == (None, None, [])
    assert not ice.is_proven(HOME)
    assert not ice.consent_expired(1000.0)


def test_the_oldest_path_makes_room():
    ice = agent()
    paths = [Path(0, ("192.0.2.1", 1000 + i)) for i in range(PATHS_MAX + 3)]
    for i, path in enumerate(paths[:PATHS_MAX]):
        assert ice.receive_check(check(nominates=i == 1), path, 0.0).forgotten is None
    forgotten = [ice.receive_check(check(), path, 0.0).forgotten for path in paths[PATHS_MAX:]]
    # The one in use is passed over.
    assert forgotten == [paths[0], paths[2], paths[3]]
    assert ice.selected == paths[1]
    assert len(ice.proven_paths) == PATHS_MAX
    assert not ice.is_proven(paths[0])


def test_a_forgotten_path_can_be_proven_again():
    ice = agent()
    paths = [Path(0, ("192.0.2.1", 1000 + i)) for i in range(PATHS_MAX + 1)]
    for path in paths:
        ice.receive_check(check(nominates=path == paths[5]), path, 0.0)
    assert ice.receive_check(check(), paths[0], 0.0).proven == paths[0]


# Consent.


def test_consent_lasts_for_30_s_after_the_latest_check():
    assert CONSENT_S == 30.0
    ice = agent()
    ice.receive_check(check(nominates=True), HOME, 100.0)
    assert not ice.consent_expired(130.0)
    assert ice.consent_expired(130.1)
    ice.receive_check(check(), AWAY, 129.0)
    assert not ice.consent_expired(159.0)
    assert ice.consent_expired(159.1)


def test_consent_cannot_expire_before_it_is_given():
    assert not agent().consent_expired(1e9)


def test_a_role_conflict_is_no_consent():
    ice = agent()
    ice.receive_check(check(), HOME, 0.0)
    ice.receive_check(check(controlled=True), HOME, 20.0)
    assert ice.consent_expired(30.1)


def test_a_doubted_peer_is_given_less_time_until_its_next_check():
    ice = agent()
    ice.receive_check(check(), HOME, 100.0)
    ice.doubt()
    assert not ice.consent_expired(112.0)
    assert ice.consent_expired(112.1)
    ice.receive_check(check(), HOME, 105.0)
    assert not ice.consent_expired(135.0)
    assert ice.consent_expired(135.1)
