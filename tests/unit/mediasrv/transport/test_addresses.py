from types import SimpleNamespace

import ifaddr
import pytest
from aiortc.sdp import candidate_from_sdp

from mediasrv.transport.addresses import (
    Candidate,
    candidates,
    is_usable,
    usable_local_addresses,
)


def adapter(*addresses: str | tuple[str, int, int]) -> SimpleNamespace:
    return SimpleNamespace(ips=[SimpleNamespace(ip=address) for address in addresses])


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("192.0.2.1", True),
        ("10.0.0.1", True),
        ("2001:db8::1", True),
        ("fd00::1", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("169.254.1.1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("0.0.0.0", False),  # noqa: S104 (compared only)
        ("::", False),
        ("", False),
        ("no address", False),
    ],
)
def test_addresses_that_nobody_can_reach_are_not_offered(address, usable):
    assert is_usable(address) is usable


def test_local_addresses_come_best_first_and_once(monkeypatch):
    adapters = [
        adapter("127.0.0.1", ("::1", 0, 0)),
        adapter(("fe80::1", 0, 2), ("2001:db8::1", 0, 0), "192.0.2.1"),
        adapter("192.0.2.1", "169.254.0.1", "10.0.0.1"),
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)
    assert usable_local_addresses() == [
        "192.0.2.1",
        "10.0.0.1",
        "2001:db8::1",
        "127.0.0.1",
        "::1",
    ]


def test_this_machine_has_an_address():
    assert "127.0.0.1" in usable_local_addresses()


def test_priorities_fall_and_stay_within_the_rules():
    found = candidates([f"192.0.2.{i}" for i in range(100)], 4000)
    priorities = [candidate.priority for candidate in found]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == 100
    # RFC 8445 section 5.1.2.1: the type preference of host candidates, component 1.
    assert all(p >> 24 == 126 and p & 0xFF == 255 for p in priorities)
    assert priorities[0] == 2130706431


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_a_candidate_is_read_by_aiortc(address):
    found = candidate_from_sdp(Candidate(address, 4000, 17).to_sdp(3))
    assert (found.ip, found.port, found.priority) == (address, 4000, 17)
    assert (found.type, found.protocol, found.component, found.foundation) == (
        "host",
        "udp",
        1,
        "3",
    )
