"""A signature is of one key, over exactly these bytes, for this purpose."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from asd_agent.bundle.signature import (
    DOMAIN,
    MAX_KEY_BYTES,
    PublicKey,
    check,
    load_public_key,
    message,
)
from asd_agent.errors import BundleError, ConfigError
from support.bundles import key_pair, public

RAW = b'{"id": "pump-2"}'
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = public(PRIVATE)
SIGNATURE = PRIVATE.sign(message(RAW))


def refusal(
    raw: bytes, signature: bytes | None, keys: tuple[PublicKey, ...] = (KEY,)
) -> BundleError:
    with pytest.raises(BundleError) as caught:
        check(raw, signature, keys)
    return caught.value


def test_what_is_signed_is_frozen() -> None:
    # Every bundle in the field has it: a change would make all of them untrusted.
    assert DOMAIN == b"asd-bundle-v1\0"
    assert message(RAW) == b'asd-bundle-v1\0{"id": "pump-2"}'
    assert KEY.raw.hex() == (
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    )
    assert KEY.id == "56475aa75463474c"
    assert str(KEY) == "factory (56475aa75463474c)"


def test_the_key_that_signed_is_found() -> None:
    other = public(Ed25519PrivateKey.generate(), "old")
    assert check(RAW, SIGNATURE, [KEY]) == KEY
    assert check(RAW, SIGNATURE, [other, KEY]) == KEY


@pytest.mark.parametrize("signature", [None, b""])
def test_without_a_signature(signature: bytes | None) -> None:
    error = refusal(RAW, signature)
    assert error.reason == "unsigned"
    assert "bundle.trusted_keys" in str(error)
    assert "bundle.allow_unsigned: true" in str(error)


@pytest.mark.parametrize("at", range(0, 64 * 8, 7))
def test_a_bit_of_the_signature_is_flipped(at: int) -> None:
    flipped = bytearray(SIGNATURE)
    flipped[at // 8] ^= 1 << at % 8
    assert refusal(RAW, bytes(flipped)).reason == "untrusted"


@pytest.mark.parametrize("at", range(len(RAW) * 8))
def test_a_bit_of_the_manifest_is_flipped(at: int) -> None:
    flipped = bytearray(RAW)
    flipped[at // 8] ^= 1 << at % 8
    assert refusal(bytes(flipped), SIGNATURE).reason == "untrusted"


@pytest.mark.parametrize(
    "signature", [SIGNATURE[:-1], SIGNATURE + b"\0", SIGNATURE * 2, b"\0"]
)
def test_a_signature_of_another_size(signature: bytes) -> None:
    error = refusal(RAW, signature)
    assert error.reason == "untrusted"
    assert f"has {len(signature)} bytes, a signature has 64" in str(error)


def test_a_signature_that_was_made_for_something_else() -> None:
    assert refusal(RAW, PRIVATE.sign(RAW)).reason == "untrusted"


def test_a_signature_of_another_key_names_those_that_are_trusted() -> None:
    error = refusal(RAW, Ed25519PrivateKey.generate().sign(message(RAW)))
    assert error.reason == "untrusted"
    assert f"trusted: {KEY}" in str(error)
    assert "trusted: none" in str(refusal(RAW, SIGNATURE, ()))


def test_a_key_file_is_read(tmp_path: Path) -> None:
    private, path = key_pair(tmp_path, "line-3")
    key = load_public_key(path)
    assert key == public(private, "line-3")
    assert check(RAW, private.sign(message(RAW)), [key]) is key


def _private_pem() -> bytes:
    return PRIVATE.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _other_kind() -> bytes:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "holds no public key"),
        (b"hello", "holds no public key"),
        (KEY.raw, "holds no public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "holds no"),
        (b" " * (MAX_KEY_BYTES + 1), "has more than 4096 bytes"),
        (_private_pem(), "is a private key, which belongs on no device"),
        (_other_kind(), "a key of another kind"),
    ],
)
def test_a_key_file_that_cannot_be(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "factory.pub"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=what) as caught:
        load_public_key(path)
    assert str(path) in str(caught.value)
    assert "asd-export keygen" in str(caught.value)


def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pub", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_public_key(path)


def test_cryptography_is_loaded_only_by_what_needs_it() -> None:
    code = (
        "import sys, asd_agent.setup, asd_agent.bundle.store; "
        "from asd_agent.bundle.bundle import Bundle; Bundle.open(); "
        "print('cryptography' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"
