"""Certificates that are wrong on purpose: expired, for another host, of nobody."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    file: Path


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


def authority(folder: Path, name: str = "test CA") -> Authority:
    """Make an authority that is good for a year."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _begun(name, name, key.public_key(), -1, 365)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "ca.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return Authority(key, made, file)


def signed(
    by: Authority,
    folder: Path,
    host: str = "localhost",
    *,
    from_days: float = -1,
    to_days: float = 90,
) -> Signed:
    """Make a certificate of a host, valid between two days from now."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = by.certificate.subject.rfc4514_string().removeprefix("CN=")
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    made = (
        _begun(host, issuer, key.public_key(), from_days, to_days)
        .add_extension(names, critical=False)
        .sign(by.key, hashes.SHA256())
    )
    files = Signed(folder / "server.pem", folder / "server.key")
    files.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def _begun(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePublicKey,
    from_days: float,
    to_days: float,
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=from_days))
        .not_valid_after(now + timedelta(days=to_days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
