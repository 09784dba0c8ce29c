"""A certificate authority for tests that need certificates nobody should accept."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
PRESENT = (NOW - DAY, NOW + DAY)
PAST = (NOW - 3 * DAY, NOW - DAY)
FUTURE = (NOW + DAY, NOW + 3 * DAY)

Period = tuple[datetime.datetime, datetime.datetime]
"""From when until when a certificate is valid"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, as PEM files."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates into a folder; its own is `ca`."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key, PRESENT)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        self._write("ca", builder.sign(self._key, hashes.SHA256()), self._key)

    @property
    def ca(self) -> Path:
        """Certificate that those who trust this authority have."""
        return self._folder / "ca.pem"

    def sign(
        self,
        file: str,
        *names: str,
        common: str = "localhost",
        period: Period = PRESENT,
        itself: bool = False,
    ) -> Pair:
        """Make a certificate.

        Parameters
        ----------
        names
            Names and addresses that it is for; none: it has no such list.
        itself
            Whether it is signed with its own key, and not by the authority.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = _name(common) if itself else self._name
        builder = _builder(_name(common), issuer, key, period)
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        if names:
            listed = x509.SubjectAlternativeName([_general(name) for name in names])
            builder = builder.add_extension(listed, False)
        signed = builder.sign(key if itself else self._key, hashes.SHA256())
        return self._write(file, signed, key)

    def _write(
        self, file: str, cert: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> Pair:
        pair = Pair(self._folder / f"{file}.pem", self._folder / f"{file}.key")
        pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    period: Period,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(period[0])
        .not_valid_after(period[1])
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
