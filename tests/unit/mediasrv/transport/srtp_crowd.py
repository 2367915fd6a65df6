"""A crowd of peers on real loopback sockets, each with SRTP keys of its own."""

import socket

from pylibsrtp import Policy, Session

from mediasrv.relay.lanes import PlainGroup, Target
from mediasrv.relay.layout import Batch, LayoutKind
from mediasrv.relay.packets import ExtensionIds, TrackPacket
from mediasrv.transport.aiortc_seam import SharedBuffer, SrtpSession
from mediasrv.transport.burst import Wire
from mediasrv.transport.ice import Path

IPV4, IPV6 = "127.0.0.1", "::1"
PROFILES = {
    "gcm": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28, 16),
    "hmac": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30, 10),
}
# A pause of the loopback; nothing waits for it unless a packet is missing.
PATIENCE_S = 5.0
NO_IDS = ExtensionIds()


def session(profile, key, direction):
    """One direction of SRTP, as the seam sets it up."""
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return Session(policy)


class Receiver:
    """One peer: a socket, keys, and our outlet to it (as PeerTransport is one)."""

    def __init__(self, burst, index, host=IPV4, profile="gcm"):
        port, shared = burst.port, burst.buffer
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.bind((host, 0))
        self.ssrc = 0xA0000000 + index
        self.offset = 65_500 + 3 * index
        self.picture_offset = -index
        code, size, self.overhead_bytes = PROFILES[profile]
        key = bytes((index + i) & 0xFF for i in range(size))
        outbound = session(code, key, Policy.SSRC_ANY_OUTBOUND)
        inbound = session(code, key, Policy.SSRC_ANY_INBOUND)
        self.srtp = SrtpSession(inbound, outbound, self.overhead_bytes)
        self._theirs = session(code, key, Policy.SSRC_ANY_INBOUND)
        self.path = Path(port.addresses.index(host), self.socket.getsockname()[:2])
        self._burst, self._wire = burst, None
        self.wire = Wire(self.srtp, self.path)
        self.route = 0
        self._port, self._shared = port, shared
        self.sends = 0

    @property
    def wire(self):
        return self._wire

    @wire.setter
    def wire(self, wire):
        self._wire = wire
        self._burst.rewired()

    @property
    def buffer(self):
        return self._shared.memory

    def send_packets(self, spans, runs):
        """What the transport does for one peer at a time."""
        self.sends += 1
        if self.wire is None or not self.srtp.protect_in_place(self._shared, spans):
            return False
        view = self._shared.view
        return all([self._port.send_run(view[a:b], cut, self.path) for a, b, cut in runs])  # noqa: C419

    def send_rtcp(self, packet):
        raise AssertionError("no reports here")

    @property
    def target(self):
        return Target(self, self.ssrc, self.offset, self.picture_offset)

    def came(self, count):
        """The next packets that arrived, decrypted; fewer when they do not come."""
        self.socket.settimeout(PATIENCE_S)
        return [self._theirs.unprotect(self.socket.recv(2048)) for _ in range(count)]

    def nothing_more(self):
        self.socket.setblocking(False)
        try:
            self.socket.recv(2048)
        except BlockingIOError:
            return True
        return False


class PlainPaper:
    """An outlet that keeps what it is given, unprotected."""

    def __init__(self, overhead_bytes):
        self.shared = SharedBuffer(256 * 1024)
        self.buffer = self.shared.memory
        self.overhead_bytes = overhead_bytes
        self.route = 0
        self.packets: list[bytes] = []

    def send_packets(self, spans, runs):
        self.packets += [bytes(self.buffer[at : at + size]) for at, size in spans]
        return True

    def send_rtcp(self, packet):
        raise AssertionError("no reports here")


def expected(receiver, layout):
    """What the oracle sends to a receiver."""
    paper = PlainPaper(receiver.overhead_bytes)
    target = receiver.target
    assert PlainGroup([target._replace(outlet=paper)]).send(layout) == []
    return paper.packets


def layout_of(*sizes, first=0, overhead_bytes=16, picture_bits=15):
    """A batch of VP8 packets of these payload sizes, laid out."""
    packets = []
    for i, size in enumerate(sizes):
        picture = (first + i).to_bytes(2, "big") if picture_bits == 15 else bytes([first + i])
        head = b"\x90\x80" + picture
        head = bytes([head[0], head[1], head[2] | (0x80 if picture_bits == 15 else 0), *head[3:]])
        payload = head + bytes([first + i & 0xFF]) * (size - len(head))
        packet = TrackPacket(first + i, (first + i) * 3000, i == len(sizes) - 1, "vp8", payload)
        packet.picture_id, packet.picture_id_bits = first + i, picture_bits
        packets.append(packet)
    kind = LayoutKind(NO_IDS, 96, overhead_bytes)
    return Batch(packets, 1.0).layout(kind.key, kind)
