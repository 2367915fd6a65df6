"""One ICE-lite agent: which addresses of a peer are proven, which one is used, is it still there.

Sans-IO (RFC 8445 section 2.5, RFC 7675): fed with checks and the time, it answers with datagrams.
We never send checks, so nobody can turn the server into a probe of other people's addresses.
"""

import secrets
from dataclasses import dataclass, field
from typing import NamedTuple

from mediasrv.transport import stun

# RFC 7675 section 5.1: consent expires 30 s after the last valid check.
CONSENT_S = 30.0
# Ours, for who seems to have said goodbye: more than two of the checks that browsers send every 5 s
# or oftener.
DOUBTED_CONSENT_S = 12.0
# Ours: browsers with many interfaces prove a handful of paths; more would only fill memory.
PATHS_MAX = 16

# Host and port; IPv6 scope and flow label are not kept, link-local addresses are never offered.
Address = tuple[str, int]


class Path(NamedTuple):
    """One way to the peer: which of our sockets, and the peer's address behind it.

    A tuple, because the port looks one up for every datagram.
    """

    socket_id: int
    address: Address


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """Our fragment and password of one session (RFC 8445 section 5.3: 24 and 128 bits at least)."""

    fragment: str
    password: str

    @classmethod
    def generate(cls) -> "IceCredentials":
        """Draw a new pair from the system's random source."""
        return cls(_ice_chars(16), _ice_chars(32))


def _ice_chars(count: int) -> str:
    """Random ICE characters; hex is a subset of the allowed ALPHA / DIGIT / "+" / "/"."""
    return secrets.token_hex(count // 2)


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check led to.

    Attributes:
        response: The datagram to answer with.
        proven: The path, when this check was the first valid one on it.
        forgotten: A path that had to make room.
    """

    response: bytes
    proven: Path | None = None
    forgotten: Path | None = None


@dataclass(slots=True)
class IceLiteAgent:
    """The ICE side of one peer.

    Attributes:
        credentials: Ours; the peer signs its checks with the password.
        remote_fragment: The peer's fragment from its offer; empty accepts any.
        selected: The path media leaves by, None before the first valid check.
    """

    credentials: IceCredentials
    remote_fragment: str = ""
    selected: Path | None = None
    _proven: dict[Path, None] = field(default_factory=dict)
    _nominated: bool = False
    _last_check: float | None = None
    _consent_s: float = CONSENT_S

    @property
    def proven_paths(self) -> list[Path]:
        """Paths that have passed a check, oldest first."""
        return list(self._proven)

    def accepts(self, request: stun.BindingRequest) -> bool:
        """Tell whether ``request`` belongs to this session and is signed with our password."""
        ours, _, theirs = request.username.partition(":")
        if ours != self.credentials.fragment:
            return False
        if self.remote_fragment and theirs != self.remote_fragment:
            return False
        return request.signed_with(self.credentials.password.encode())

    def receive_check(self, request: stun.BindingRequest, path: Path, now: float) -> CheckOutcome:
        """Answer a check that :meth:`accepts` let through and learn from it.

        The peer controls (we are lite), so the latest path it nominates is the one to use. Until
        it nominates any, the first proven path serves, which saves a round trip.
        """
        password = self.credentials.password.encode()
        if request.controlled:
            return CheckOutcome(stun.write_role_conflict(request.transaction_id, password))
        self._last_check = now
        self._consent_s = CONSENT_S
        proven = forgotten = None
        if path not in self._proven:
            forgotten = self._make_room()
            self._proven[path] = None
            proven = path
        if request.nominates:
            self._nominated = True
            self.selected = path
        elif not self._nominated and self.selected is None:
            self.selected = path
        response = stun.write_binding_success(request.transaction_id, path.address, password)
        return CheckOutcome(response, proven, forgotten)

    def _make_room(self) -> Path | None:
        if len(self._proven) < PATHS_MAX:
            return None
        oldest = next(path for path in self._proven if path != self.selected)
        del self._proven[oldest]
        return oldest

    def is_proven(self, path: Path) -> bool:
        """Tell whether datagrams other than STUN may be taken from ``path``."""
        return path in self._proven

    def consent_expired(self, now: float) -> bool:
        """Tell whether the peer has been silent for longer than consent lasts."""
        return self._last_check is not None and now - self._last_check > self._consent_s

    def doubt(self) -> None:
        """Believe in silence sooner, until the next check.

        For a goodbye that cannot be verified: who forges one ends nothing.
        """
        self._consent_s = DOUBTED_CONSENT_S
