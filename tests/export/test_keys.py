"""Keys: kept from others, never written over, and they sign only what is whole."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.signature import SIGNATURE_FILE, load_public_key
from asd_agent.bundle.trust import Trust
from asd_agent.errors import BundleError, ConfigError
from asd_export import cli, keys
from support.bundles import forge


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return forge(tmp_path / "bundle")


def pair(folder: Path, name: str = "factory") -> keys.Pair:
    private, _ = keys.make(folder / name)
    return keys.load(private)


def test_a_pair_is_made_read_and_belongs_together(tmp_path: Path) -> None:
    private, public = keys.make(tmp_path / "factory")
    assert (private.name, public.name) == ("factory.key", "factory.pub")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert keys.load(private).public == load_public_key(public)
    raw = private.read_bytes()
    assert isinstance(
        serialization.load_pem_private_key(raw, None), ed25519.Ed25519PrivateKey
    )


@pytest.mark.parametrize("name", ["factory.key", "factory.pub", "factory"])
def test_the_ending_may_be_given(tmp_path: Path, name: str) -> None:
    private, public = keys.make(tmp_path / name)
    assert (private.name, public.name) == ("factory.key", "factory.pub")


def test_a_private_key_is_never_readable_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    fdopen = os.fdopen

    def look(fd: int, mode: str) -> object:
        modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return fdopen(fd, mode)

    monkeypatch.setattr(os, "fdopen", look)
    before = os.umask(0)
    try:
        keys.make(tmp_path / "factory")
    finally:
        os.umask(before)
    assert modes == [0o600, 0o644]


@pytest.mark.parametrize("there", ["factory.key", "factory.pub"])
@pytest.mark.parametrize("link", [False, True])
def test_nothing_is_written_over(tmp_path: Path, there: str, link: bool) -> None:
    if link:
        (tmp_path / there).symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / there).write_text("mine")
    with pytest.raises(ConfigError, match="never written over"):
        keys.make(tmp_path / "factory")
    assert [path.name for path in tmp_path.iterdir()] == [there]


def test_what_comes_in_between_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "factory.key"
    file.write_text("mine")
    with pytest.raises(ConfigError, match="never written over"):
        keys._create(file, b"other", 0o600)
    assert file.read_text() == "mine"


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        keys.make(tmp_path / "none" / "factory")


def test_half_a_pair_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = keys._create

    def full(path: Path, raw: bytes, mode: int) -> None:
        if path.suffix == ".pub":
            raise ConfigError("the disk is full")
        create(path, raw, mode)

    monkeypatch.setattr(keys, "_create", full)
    with pytest.raises(ConfigError):
        keys.make(tmp_path / "factory")
    assert list(tmp_path.iterdir()) == []


def test_a_pass_phrase_encrypts_it(tmp_path: Path) -> None:
    private, _ = keys.make(tmp_path / "factory", b"correct horse")
    assert keys.load(private, b"correct horse").public.name == "factory"
    with pytest.raises(ConfigError, match="is encrypted: name its pass phrase"):
        keys.load(private)
    with pytest.raises(ConfigError, match="pass phrase is wrong"):
        keys.load(private, b"wrong")
    plain, _ = keys.make(tmp_path / "plain")
    with pytest.raises(ConfigError, match="is not encrypted"):
        keys.load(plain, b"correct horse")


def test_a_pass_phrase_is_the_first_line_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "phrase"
    file.write_bytes(b"correct horse\r\nsecond\n")
    assert keys.read_passphrase(file) == b"correct horse"
    assert keys.read_passphrase(None) is None
    file.write_bytes(b"\n")
    with pytest.raises(ConfigError, match="first line"):
        keys.read_passphrase(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        keys.read_passphrase(tmp_path / "none")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused_with_the_fix(
    tmp_path: Path, mode: int
) -> None:
    private, _ = keys.make(tmp_path / "factory")
    private.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {private}"):
        keys.load(private)
    private.chmod(0o400)
    keys.load(private)


def test_what_is_no_private_key_is_refused(tmp_path: Path) -> None:
    _, public = keys.make(tmp_path / "factory")
    public.chmod(0o600)
    other = tmp_path / "other.key"
    other.touch(0o600)
    other.write_bytes(
        x25519.X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    long = tmp_path / "long.key"
    long.touch(0o600)
    long.write_bytes(b"-" * 5000)
    for path, words in (
        (public, "holds no private key"),
        (other, "of another kind"),
        (long, "more than"),
        (tmp_path / "none", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words):
            keys.load(path)


def test_a_pair_shows_no_secret(tmp_path: Path) -> None:
    private, _ = keys.make(tmp_path / "factory")
    assert "private" not in repr(keys.load(private))


def test_a_signed_bundle_is_trusted_and_signing_again_changes_nothing(
    tmp_path: Path, bundle: Path
) -> None:
    own = pair(tmp_path)
    assert keys.sign(bundle, own)
    before = (bundle / SIGNATURE_FILE).stat().st_mtime_ns
    assert not keys.sign(bundle, own)
    assert (bundle / SIGNATURE_FILE).stat().st_mtime_ns == before
    assert Bundle.open(bundle, Trust((own.public,))).signed_by == own.public


def test_another_key_replaces_a_signature_only_when_asked(
    tmp_path: Path, bundle: Path
) -> None:
    old, new = pair(tmp_path, "old"), pair(tmp_path, "new")
    keys.sign(bundle, old)
    with pytest.raises(ConfigError, match="--force"):
        keys.sign(bundle, new)
    Bundle.open(bundle, Trust((old.public,)))
    assert keys.sign(bundle, new, replace=True)
    # A device that trusts both while the key is rolled takes either.
    trusting = Trust((old.public, new.public))
    assert Bundle.open(bundle, trusting).signed_by == new.public
    with pytest.raises(BundleError, match="no trusted key"):
        Bundle.open(bundle, Trust((old.public,)))


def test_a_bundle_of_any_class_can_be_signed(tmp_path: Path) -> None:
    bundle = forge(tmp_path / "b", device_class="pi5")
    assert keys.sign(bundle, pair(tmp_path))


@pytest.mark.parametrize("damage", ["changed", "extra", "missing", "link"])
def test_a_broken_bundle_is_not_signed(
    tmp_path: Path, bundle: Path, damage: str
) -> None:
    file = bundle / "golden.safetensors"
    if damage == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif damage == "extra":
        (bundle / "notes.txt").touch()
    else:
        shutil.move(file, tmp_path / "elsewhere")
    if damage == "link":
        file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError):
        keys.sign(bundle, pair(tmp_path))
    assert not (bundle / SIGNATURE_FILE).exists()


def test_a_link_in_place_of_the_signature_is_not_followed(
    tmp_path: Path, bundle: Path
) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"x" * 64)
    (bundle / SIGNATURE_FILE).symlink_to(target)
    with pytest.raises(BundleError):
        keys.sign(bundle, pair(tmp_path), replace=True)
    assert target.read_bytes() == b"x" * 64


def test_keygen_and_sign_tell_what_to_do_next(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = tmp_path / "factory"
    assert cli.main(["keygen", str(name)]) == 0
    out = capsys.readouterr().out
    key = load_public_key(Path(f"{name}.pub"))
    assert f"key {key.id}" in out
    assert "trusted_keys: [/etc/asd/factory.pub]" in out
    command = next(line for line in out.splitlines() if "asd-export sign" in line)
    words = command.replace("BUNDLE", str(bundle)).split()
    assert cli.main(words[1:]) == 0
    assert f"signed by factory ({key.id})" in capsys.readouterr().out
    assert cli.main(words[1:]) == 0
    assert "was signed before by" in capsys.readouterr().out
    assert cli.main(["keygen", str(name)]) == 2
    assert "never written over" in capsys.readouterr().err


def test_keygen_with_a_pass_phrase(tmp_path: Path, bundle: Path) -> None:
    phrase, name = tmp_path / "phrase", tmp_path / "factory"
    phrase.write_text("correct horse\n")
    words = ["--passphrase-file", str(phrase)]
    assert cli.main(["keygen", str(name), *words]) == 0
    sign = ["sign", str(bundle), "--key", f"{name}.key"]
    assert cli.main(sign) == 2
    assert cli.main([*sign, *words]) == 0


def test_public_keys_of_the_command_line_are_named_as_given(tmp_path: Path) -> None:
    private, public = keys.make(tmp_path / "factory")
    assert [key.name for key in keys.public_keys([public])] == ["factory"]
    with pytest.raises(ConfigError, match=r"--trusted-key: .*private key"):
        keys.public_keys([private])
