"""Ed25519 signature over the exact bytes of a manifest.

The manifest names size and hash of every file, so it stands for the whole bundle. Its
bytes are signed as they are, behind `DOMAIN`: a signature of ours that was made
for something else is not one of a bundle.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asd_agent.errors import BundleError, ConfigError

DOMAIN = b"asd-bundle-v1\0"
"""Comes before the manifest in what is signed"""
SIGNATURE_FILE = "manifest.sig"
"""Lies beside the manifest: the raw bytes of the signature"""
SIGNATURE_BYTES = 64
"""Size of every Ed25519 signature"""
MAX_KEY_BYTES = 4096
"""A key file is about 120 bytes"""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key whose bundles are taken."""

    name: str
    """Name of its file, without the ending"""
    id: str
    """First 16 hexadecimal digits of the SHA-256 of `raw`"""
    raw: bytes
    """The 32 bytes of the key"""

    @classmethod
    def of(cls, name: str, raw: bytes) -> "PublicKey":
        """A key under the name by which people know it."""
        return cls(name, hashlib.sha256(raw).hexdigest()[:16], raw)

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


def message(raw: bytes) -> bytes:
    """What is signed for a manifest of these bytes."""
    return DOMAIN + raw


def load_public_key(path: Path) -> PublicKey:
    """Read a public key in PEM.

    Raises
    ------
    ConfigError
        The file cannot be read, or holds no public Ed25519 key.
    """
    # A slow import that `--help` and unsigned bundles do without.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            raw = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise _no_key(path, f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_KEY_BYTES:
        raise _no_key(path, f"has more than {MAX_KEY_BYTES} bytes")
    if b"PRIVATE KEY" in raw:
        raise _no_key(path, "is a private key, which belongs on no device")
    try:
        key = serialization.load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "holds no public key in PEM") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise _no_key(path, "holds a key of another kind")
    return PublicKey.of(path.stem, key.public_bytes_raw())


def check(raw: bytes, signature: bytes | None, keys: Iterable[PublicKey]) -> PublicKey:
    """Find the key that signed a manifest of these bytes.

    Raises
    ------
    BundleError
        There is no signature (``unsigned``), or none of the keys made it
        (``untrusted``).
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    if not signature:
        raise BundleError(
            f"the bundle is not signed: it has no {SIGNATURE_FILE}. Sign it with "
            "asd-export sign and name the public key in bundle.trusted_keys, or set "
            "bundle.allow_unsigned: true",
            "unsigned",
        )
    if len(signature) != SIGNATURE_BYTES:
        raise BundleError(
            f"{SIGNATURE_FILE} has {len(signature)} bytes, a signature has "
            f"{SIGNATURE_BYTES}. Sign the bundle again with asd-export sign",
            "untrusted",
        )
    known = list(keys)
    for key in known:
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(key.raw).verify(
                signature, message(raw)
            )
        except InvalidSignature:
            continue
        return key
    names = ", ".join(map(str, known)) or "none"
    raise BundleError(
        f"{SIGNATURE_FILE} was made by no trusted key (trusted: {names}), or "
        "manifest.json was changed after it was signed. Sign the bundle with one of "
        "these keys, or add the public key of its builder to bundle.trusted_keys",
        "untrusted",
    )


def _no_key(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"bundle.trusted_keys: {path}: {what}. It must be a public Ed25519 key in "
        "PEM, as asd-export keygen writes it"
    )
