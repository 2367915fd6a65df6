"""Where packets of one viewer leave, how it wants them repaired, and what is counted of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class Outlet(Protocol):
    """Where packets of one viewer leave, protected; offered by the transport."""

    @property
    def buffer(self) -> bytearray:
        """Where packets are laid out, OUTLET_BUFFER_MIN_BYTES or more; lost with every send."""

    @property
    def overhead_bytes(self) -> int:
        """Room that each packet needs behind it; fixed once connected."""

    @property
    def route(self) -> int:
        """A number that outlets share which are best sent to together."""

    def send_packets(
        self, spans: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int, int]]
    ) -> bool:
        """Send what lies in :attr:`buffer`; False when some of it was lost."""

    def send_rtcp(self, packet: bytes) -> None:
        """Send one compound RTCP packet."""


@dataclass(frozen=True, slots=True)
class Retransmission:
    """RTX as a viewer negotiated it (RFC 4588): an SSRC and, by codec, payload types."""

    ssrc: int
    payload_types: Mapping[str, int]
    first_sequence: int


@dataclass(slots=True)
class ForwarderCounters:
    """What one viewer was sent of one track."""

    packets_sent: int = 0
    octets_sent: int = 0
    sends_failed: int = 0
    layered_out: int = 0
    repaired: int = 0
    repairs_refused: int = 0
    repairs_missed: int = 0
    padded: int = 0

    def add(self, other: "ForwarderCounters") -> None:
        """Add another viewer's counts."""
        # Spelled out, because it is done for every viewer whenever somebody asks.
        self.packets_sent += other.packets_sent
        self.octets_sent += other.octets_sent
        self.sends_failed += other.sends_failed
        self.layered_out += other.layered_out
        self.repaired += other.repaired
        self.repairs_refused += other.repairs_refused
        self.repairs_missed += other.repairs_missed
        self.padded += other.padded
