"""Which local addresses a browser may be told to send to."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import ifaddr

CANDIDATE_TYPE_PREFERENCE = 126  # RFC 8445 section 5.1.2.1: host candidates


@dataclass(frozen=True, slots=True)
class Candidate:
    """One host candidate of ours, as the answer shows it."""

    address: str
    port: int
    priority: int

    def to_sdp(self, index: int) -> str:
        """Write the value of the ``a=candidate`` line (RFC 8839 section 5.1)."""
        return f"{index} 1 udp {self.priority} {self.address} {self.port} typ host"


def usable_local_addresses() -> list[str]:
    """List the addresses of this machine's interfaces that a peer can reach, best first.

    Link-local, multicast and unspecified ones are left out. Loopback stays, because a browser on
    this machine may have nothing else, and comes last, because Firefox ignores it.
    """
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            if text not in found and is_usable(text):
                found.append(text)
    return sorted(found, key=_preference)


def is_usable(text: str) -> bool:
    """Tell whether ``text`` is an address worth offering."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return not (address.is_link_local or address.is_multicast or address.is_unspecified)


def _preference(text: str) -> tuple[bool, int]:
    address = ipaddress.ip_address(text)
    return address.is_loopback, address.version


def candidates(addresses: Sequence[str], port: int) -> list[Candidate]:
    """Give each address a priority, falling in the order of the list (RFC 8445 5.1.2.1)."""
    return [
        Candidate(address, port, (CANDIDATE_TYPE_PREFERENCE << 24) + ((65535 - i) << 8) + 255)
        for i, address in enumerate(addresses)
    ]
