"""A DTLS client without a transport: datagrams in, datagrams out, SRTP keys at the end.

aiortc's own is tied to a task and an ICE transport per connection, which a thousand light viewers
cannot afford; pyOpenSSL and pylibsrtp underneath are the same.
"""

import datetime
from dataclasses import dataclass

import pylibsrtp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

RECORD_MAX_BYTES = 1500
EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"


@dataclass(frozen=True, slots=True)
class SrtpProfile:
    """One SRTP protection profile: its OpenSSL name, libsrtp's number, its key sizes."""

    name: bytes
    policy: int
    key_bytes: int
    salt_bytes: int


# In the order in which browsers prefer them.
PROFILES = (
    SrtpProfile(b"SRTP_AEAD_AES_256_GCM", pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    SrtpProfile(b"SRTP_AEAD_AES_128_GCM", pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    SrtpProfile(b"SRTP_AES128_CM_SHA1_80", pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
)


class DtlsFailed(Exception):
    """The handshake cannot be completed."""


class Identity:
    """A certificate and the TLS context that all connections of a load share.

    Attributes:
        fingerprint: SHA-256 of the certificate, as SDP writes it.
    """

    def __init__(self, profiles: tuple[SrtpProfile, ...] = PROFILES) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(key)
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        self.context = SSL.Context(SSL.DTLS_METHOD)
        # The peer's certificate is not checked: both ends are ours, on one machine.
        self.context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        self.context.use_certificate(certificate)
        self.context.use_privatekey(key)
        # Our server has an ECDSA certificate, others still RSA.
        self.context.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256")
        self.context.set_tlsext_use_srtp(b":".join(p.name for p in profiles))


class DtlsClient:
    """One handshake; feed it datagrams, send what it returns.

    Attributes:
        profile: What was agreed, None before the end of the handshake.
    """

    def __init__(self, identity: Identity) -> None:
        self._connection = SSL.Connection(identity.context, None)
        self._connection.set_connect_state()
        self.profile: SrtpProfile | None = None

    def begin(self) -> bytes:
        """Return the first flight."""
        return self._advance()

    def feed(self, datagram: bytes) -> bytes:
        """Take a datagram; returns the flight to answer with, empty for none.

        Raises:
            DtlsFailed: The peer broke off.
        """
        self._connection.bio_write(datagram)
        return self._advance() if self.profile is None else b""

    def retransmit(self) -> bytes:
        """Return the last flight again if its time has come, else nothing."""
        self._connection.DTLSv1_handle_timeout()
        return self._pending()

    def close(self) -> bytes:
        """Return the goodbye."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            return b""
        return self._pending()

    def _advance(self) -> bytes:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return self._pending()
        except SSL.Error as exc:
            raise DtlsFailed(str(exc)) from exc
        name = self._connection.get_selected_srtp_profile()
        self.profile = next((p for p in PROFILES if p.name == name), None)
        if self.profile is None:
            raise DtlsFailed("no SRTP profile in common")
        return self._pending()

    def _pending(self) -> bytes:
        # A flight of ours, with one small certificate, fits into one datagram.
        try:
            return bytes(self._connection.bio_read(RECORD_MAX_BYTES))
        except SSL.WantReadError:
            return b""

    def srtp(self) -> tuple[pylibsrtp.Session, pylibsrtp.Session]:
        """Make the sessions that unprotect what comes and protect what goes."""
        if self.profile is None:
            raise DtlsFailed("the handshake is not complete")
        profile = self.profile
        keys, salts = profile.key_bytes, profile.salt_bytes
        material = self._connection.export_keying_material(EXPORTER_LABEL, 2 * (keys + salts))
        # RFC 5764 section 4.2: both keys, then both salts, the client's first.
        client = material[:keys] + material[2 * keys : 2 * keys + salts]
        server = material[keys : 2 * keys] + material[2 * keys + salts :]
        policy = pylibsrtp.Policy
        return (
            _session(server, policy.SSRC_ANY_INBOUND, profile),
            _session(client, policy.SSRC_ANY_OUTBOUND, profile),
        )


def _session(key: bytes, direction: int, profile: SrtpProfile) -> pylibsrtp.Session:
    return pylibsrtp.Session(
        pylibsrtp.Policy(key=key, ssrc_type=direction, srtp_profile=profile.policy)
    )


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "load")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    return builder.sign(key, hashes.SHA256())
