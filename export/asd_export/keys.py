"""Keys that sign bundles: made, kept from others, read, used.

A private key is PKCS8 PEM that only its owner may read, from its first byte on; it is
never written over. Its public key is SubjectPublicKeyInfo PEM, for every device.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk, read_plain, told
from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES
from asd_agent.bundle.signature import (
    MAX_KEY_BYTES,
    SIGNATURE_BYTES,
    SIGNATURE_FILE,
    PublicKey,
    load_public_key,
    message,
)
from asd_agent.bundle.trust import MANIFEST_FILE, Trust
from asd_agent.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PRIVATE, PUBLIC = ".key", ".pub"
"""Endings of the two files of a pair"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key in memory, and the public key that belongs to it."""

    public: PublicKey
    private: "Ed25519PrivateKey" = field(repr=False)

    def sign(self, manifest: bytes) -> bytes:
        """Signature of a manifest of these bytes."""
        return self.private.sign(message(manifest))


def make(name: Path, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """Write a new pair: the files of the private and of the public key.

    Parameters
    ----------
    name
        Where they go, with or without the ending of the private key.
    passphrase
        Encrypts the private key; None: whoever reads the file has the key.

    Raises
    ------
    ConfigError
        A file is there already, or the folder cannot be written.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - slow
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    stem = name.with_suffix("") if name.suffix in {PRIVATE, PUBLIC} else name
    files = Path(f"{stem}{PRIVATE}"), Path(f"{stem}{PUBLIC}")
    for path in files:
        if path.exists() or path.is_symlink():
            raise ConfigError(f"{path}: is there already; a key is never written over")
    key = ed25519.Ed25519PrivateKey.generate()
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else None
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        lock or serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _create(files[0], private, 0o600)
    try:
        _create(files[1], public, 0o644)
    except ConfigError:
        files[0].unlink()  # half a pair would be in the way of the next
        raise
    return files


def load(path: Path, passphrase: bytes | None = None) -> Pair:
    """Read a private key that nobody else may read.

    Raises
    ------
    ConfigError
        The file cannot be read, others may read it, the pass phrase is wrong or
        missing, or it holds no private Ed25519 key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - slow
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    raw = _read_private(path)
    try:
        key = serialization.load_pem_private_key(raw, passphrase or None)
    except TypeError as error:  # a pass phrase where none belongs, or none
        fix = "is not encrypted: leave --passphrase-file out"
        if not passphrase:
            fix = "is encrypted: name its pass phrase with --passphrase-file"
        raise ConfigError(f"{path}: {fix}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        wrong = "the pass phrase is wrong, or the file holds" if passphrase else "holds"
        raise ConfigError(
            f"{path}: {wrong} no private key in PEM, as asd-export keygen writes it"
        ) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigError(
            f"{path}: holds a key of another kind. Make one with asd-export keygen"
        )
    return Pair(PublicKey.of(path.stem, key.public_key().public_bytes_raw()), key)


def read_passphrase(path: Path | None) -> bytes | None:
    """First line of a file; None: no file is named.

    Raises
    ------
    ConfigError
        The file cannot be read, or its first line is empty.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            line = file.readline(MAX_KEY_BYTES).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if not line:
        raise ConfigError(f"{path}: its first line must be the pass phrase")
    return line


def sign(folder: Path, pair: Pair, *, replace: bool = False) -> bool:
    """Write ``manifest.sig``, whole or not at all; whether there was none of this key.

    Parameters
    ----------
    folder
        A bundle; every hash is checked first.
    replace
        Whether the signature of another key may be replaced.

    Raises
    ------
    BundleError
        The bundle is broken, or cannot be written.
    ConfigError
        Another key signed it, and `replace` was not asked for.
    """
    # As a device does it: a file that the manifest does not list is refused there.
    kind = Bundle.open(folder).manifest.device_class
    Bundle.open(folder, Trust(allow_unsigned=True, device_class=kind))
    with told(folder, "cannot be read"):
        raw = read_plain(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
    signature = pair.sign(raw)
    path = folder / SIGNATURE_FILE
    with told(path, "cannot be read"):
        found = read_plain(path, SIGNATURE_BYTES) if _is_there(path) else b""
    if found not in {b"", signature} and not replace:
        raise ConfigError(
            f"{path}: another key signed this bundle, or the manifest was changed "
            "since. Give --force to replace the signature"
        )
    if found != signature:
        with told(path):
            Disk().write_whole(path, signature)
    return found != signature


def public_keys(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    """Read public keys that were named on the command line.

    Raises
    ------
    ConfigError
        One cannot be read, or is none.
    """
    try:
        return tuple(load_public_key(path) for path in paths)
    except ConfigError as error:
        text = str(error).replace("bundle.trusted_keys", "--trusted-key", 1)
        raise ConfigError(text) from error


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _create(path: Path, raw: bytes, mode: int) -> None:
    """Write a file that was not there; nobody else can read it in between."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(fd)
    except FileExistsError as error:
        raise ConfigError(
            f"{path}: is there already; a key is never written over"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"{path}: others may read this private key: mode "
            f"{stat.S_IMODE(mode):04o}. "
            f"If nobody did, run: chmod 600 {path}"
        )
    if len(raw) > MAX_KEY_BYTES:
        raise ConfigError(f"{path}: has more than {MAX_KEY_BYTES} bytes, so is no key")
    return raw
