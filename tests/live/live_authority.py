"""A certificate authority of the tests' own."""

import datetime as dt
import ipaddress
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)


class Authority:
    """Signs certificates for servers; `pem` is what a client has to trust."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, name),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{name} root"),
            ]
        )
        builder = self._builder(self._name, self._key.public_key(), NOW - DAY, NOW + 10 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, begin: dt.datetime, end: dt.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
        )

    def issue(
        self,
        *names: str,
        subject: x509.Name | None = None,
        begin: dt.datetime = NOW - DAY,
        end: dt.datetime = NOW + DAY,
    ) -> tuple[x509.Certificate, bytes]:
        """A server's certificate for `names` (addresses too), and key and certificate as one PEM text."""
        key = server_key()
        chosen = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        alternatives = [_general_name(name) for name in names]
        certificate = (
            self._builder(chosen, key.public_key(), begin, end)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate, private + certificate.public_bytes(serialization.Encoding.PEM)

    def issue_file(self, path: Path, *names: str, **options: dt.datetime) -> Path:
        """The PEM text of `issue` in a file."""
        path.write_bytes(self.issue(*names, **options)[1])  # type: ignore[arg-type]
        return path


@lru_cache
def server_key() -> ec.EllipticCurvePrivateKey:
    """One key serves all."""
    return ec.generate_private_key(ec.SECP256R1())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
