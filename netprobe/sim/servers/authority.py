"""The lab's own certificate authority, which only that lab trusts. No private key ever touches a disk."""

import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netprobe.sim.servers.answers import Condition

_DAY = timedelta(days=1)
_COMMON_NAME_LIMIT = 64  # RFC 5280, A.1: ub-common-name
#: What an intermediate certificate and proofs of transparency take in life: with it a server's first flight is larger
#: than one packet. The number is RFC 5612's, for examples.
_BALLAST = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), bytes(1600))


class Authority:
    """Issues certificates for servers. All of them share one key: what differs between them is what they say.

    `now` is the time that the servers believe it is; default: the machine's.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime.now(UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._root, self._root_key = _make_root("netprobe lab root", self._now)
        self._stranger, self._stranger_key = _make_root("nobody's root", self._now)

    @property
    def pem(self) -> bytes:
        """The certificate to trust."""
        return self._root.public_bytes(serialization.Encoding.PEM)

    def context(
        self,
        names: Sequence[str],
        condition: Condition = Condition.VALID,
        protocols: Sequence[str] = ("http/1.1",),
    ) -> ssl.SSLContext:
        """A server's side of TLS 1.2 and 1.3 with a certificate for `names` (host names, `*.` ones, addresses).

        It prefers the first of the `protocols` that a client offers in ALPN.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(protocols)
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # The ssl module reads keys from files only: this one is in memory and has no name (memfd_create(2)).
        descriptor = os.memfd_create("chain", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, key + self._issue(names, condition).public_bytes(serialization.Encoding.PEM))
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return context

    def proof(
        self, names: Sequence[str], condition: Condition = Condition.VALID
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """The same certificate and its key, for a server whose TLS is not OpenSSL's."""
        return self._issue(names, condition), self._key

    def _issue(self, names: Sequence[str], condition: Condition) -> x509.Certificate:
        now = self._now
        begin, end = now - 30 * _DAY, now + 60 * _DAY
        if condition is Condition.EXPIRED:
            end = now - _DAY
        elif condition is Condition.NOT_YET_VALID:
            begin = now + _DAY
        issuer, issuer_key = self._root, self._root_key
        if condition is Condition.UNKNOWN_ISSUER:
            issuer, issuer_key = self._stranger, self._stranger_key
        subject = _named(names[0][:_COMMON_NAME_LIMIT])
        issued_by = issuer.subject
        if condition is Condition.SELF_SIGNED:
            issued_by, issuer_key = subject, self._key
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issued_by)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .add_extension(_BALLAST, critical=False)
            .sign(issuer_key, hashes.SHA256())
        )


def _make_root(name: str, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    root = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 365 * _DAY)
        .not_valid_after(now + 365 * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return root, key


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
